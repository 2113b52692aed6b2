//! Running statistics of logits: what perplexity, KL and top-1 agreement need, without keeping the
//! logits.

use super::math;
use crate::compute::statistics::{BEST, COLUMNS, CROSS, MAX, SECOND, SUM, TARGET};

/// Folds the tile `logits` `[n, columns]` (and `second`, of another model) of the vocabulary from
/// `first` on into `state` `[n, COLUMNS]`.
pub fn fold(logits: &[f32], second: Option<&[f32]>, columns: usize, first: usize, targets: &[u32], state: &mut [f32]) {
    let mut weights = vec![0.0; columns];
    for (i, (state, target)) in state.chunks_exact_mut(COLUMNS).zip(targets).enumerate() {
        let row = &logits[i * columns..(i + 1) * columns];
        let target = (*target as usize).checked_sub(first).filter(|index| *index < columns);
        let rescale = fold_one(row, first, target, &mut state[..SECOND], &mut weights);
        if let Some(second) = second {
            let other = &second[i * columns..(i + 1) * columns];
            // `weights` are exp(a - MAX) of this tile.
            let cross: f64 =
                weights.iter().zip(row.iter().zip(other)).map(|(w, (a, b))| f64::from(*w) * f64::from(a - b)).sum();
            state[CROSS] = (f64::from(state[CROSS]) * f64::from(rescale) + cross) as f32;
            fold_one(other, first, target, &mut state[SECOND..CROSS], &mut weights);
        }
    }
}

/// Updates MAX, SUM, TARGET and BEST of one model; leaves exp(logit - MAX) in `weights`; returns
/// the factor by which older sums shrank.
fn fold_one(row: &[f32], first: usize, target: Option<usize>, state: &mut [f32], weights: &mut [f32]) -> f32 {
    let best = math::max(row);
    let maximum = state[MAX].max(best);
    let rescale = math::exp(state[MAX] - maximum);
    if best > state[MAX] {
        state[BEST] = (first + row.iter().position(|value| *value == best).unwrap_or(0)) as f32;
    }
    weights.copy_from_slice(row);
    state[SUM] = state[SUM] * rescale + math::exp_sum(weights, maximum);
    state[MAX] = maximum;
    if let Some(index) = target {
        state[TARGET] = row[index];
    }
    rescale
}
