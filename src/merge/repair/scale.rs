//! By how much the residual stream grows over a gap, for the repair by a scale (Prune&Comp,
//! arXiv 2507.18212).

use crate::error::{Error, Result};
use crate::merge::recipe::RecipeStep;
use crate::merge::select::scores::SelectionScores;
use crate::merge::state::MergeState;
use crate::task::Task;

/// Measures by how much the stream grows over the gap that `step` left, and records it; returns it.
/// None after the last block, where the final norm makes it void.
///
/// # Errors
/// As [`Growth::factor`]; [`Error::Cancelled`], or what reading and computing fail with.
pub async fn scale_gap(
    scores: &SelectionScores<'_>,
    state: &mut MergeState,
    step: &RecipeStep,
    task: &Task,
) -> Result<Option<f64>> {
    let context = scores.context;
    let index = state.index_of(step.keep)?;
    let Some(end) = state.blocks().get(index + 1).map(|next| next.layer) else {
        return Ok(None);
    };
    let engine = context.original.engine.as_ref();
    let (current, _) = context.build(state, task).await?;
    let after = scores.original_stream(end, usize::MAX, task).await?;
    let mut before = scores.block_input(&current, state, index, usize::MAX, task).await?;
    let progress = task.step("repair", 1 + before.chunk_count(), "chunks");
    current.forward(&mut before, index..index + 1, None, task, &progress).await?;
    let mut growth = Growth::new(context.original.description.hidden);
    for chunk in 0..before.chunk_count() {
        growth.add(&before.values(engine, chunk).await?, &after.values(engine, chunk).await?)?;
        progress.advance(1)?;
    }
    // The current stream is smaller than the original by the scales of the gaps before it.
    let scale = growth.factor()? / state.scale_before(index);
    state.set_scale(index, scale)?;
    Ok(Some(scale))
}

/// By how much a stream grows: the mean over the channels of mean |x after| / mean |x before|.
pub struct Growth {
    /// Sum of |x| before and after, for each channel.
    sums: Vec<(f64, f64)>,
}

impl Growth {
    /// NormalEquations over nothing, for a stream of `hidden` channels.
    pub fn new(hidden: usize) -> Self {
        Self { sums: vec![(0.0, 0.0); hidden] }
    }

    /// Adds rows of the stream before and after the gap, `[rows, hidden]` each.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when the two differ in size.
    pub fn add(&mut self, before: &[f32], after: &[f32]) -> Result<()> {
        let d = self.sums.len().max(1);
        if before.len() != after.len() || !before.len().is_multiple_of(d) {
            return Err(Error::internal("the stream before and after a gap differ in size"));
        }
        for (before, after) in before.chunks_exact(d).zip(after.chunks_exact(d)) {
            for (sums, (x, y)) in self.sums.iter_mut().zip(before.iter().zip(after)) {
                sums.0 += f64::from(x.abs());
                sums.1 += f64::from(y.abs());
            }
        }
        Ok(())
    }

    /// The factor.
    ///
    /// # Errors
    /// [`Error::Degenerate`] when all channels are zero before the gap, or the sums are not
    /// numbers.
    pub fn factor(&self) -> Result<f64> {
        // A channel that is never used (padding, pruning) has no growth.
        let used = self.sums.iter().filter(|(before, _)| *before > 0.0);
        let (count, sum) = used.fold((0u32, 0.0), |(n, sum), (before, after)| (n + 1, sum + after / before));
        let factor = sum / f64::from(count);
        let what = || "the growth of the stream over a gap".to_string();
        match factor > 0.0 && factor.is_finite() {
            true => Ok(factor),
            false => Err(Error::Degenerate { what: what(), found: format!("it is {factor}") }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_the_mean_of_the_channels() {
        let mut growth = Growth::new(2);
        growth.add(&[1.0, -2.0], &[2.0, 2.0]).unwrap();
        growth.add(&[-1.0, 2.0], &[-2.0, -2.0]).unwrap();
        assert_eq!(growth.factor(), Ok(1.5));
        assert!(growth.add(&[1.0, 1.0], &[1.0]).is_err());
        assert!(Growth::new(2).factor().is_err());
    }
}
