//! Which neurons of two blocks a fit of one down projection can least do without (optimal brain
//! surgeon): those that make one block of both.
//!
//! The neurons of both get what the attention of the earlier block gives, through the best linear
//! guess of what they get in the original model ([`crate::merge::repair::mlp_input_map`]); all of
//! them together are fitted to the original stream after the two, and those stay whose loss costs
//! that fit most. The heads are those of the earlier block.

use super::concatenate::{ChannelSelection, strongest};
use super::importance::{add_squares, column_squares};
use crate::architecture::Role;
use crate::compute::Tensor;
use crate::error::Result;
use crate::merge::context::MergeContext;
use crate::merge::plan::MOST_NEURONS;
use crate::merge::repair::fit_targets::FitTargets;
use crate::merge::repair::mlp_input_map::fit_mlp_input_maps;
use crate::merge::select::scores::SelectionScores;
use crate::merge::select::validation::FIT_TOKENS;
use crate::merge::state::MergeState;
use crate::regression::{Features, NormalEquations, Samples};
use crate::task::Task;
use crate::transformer::Transformer;

/// What the neurons of both blocks of a pair give on a chunk of their input.
struct Both {
    /// `[tokens, neurons]` of the earlier and of the later block.
    neurons: [Tensor; 2],
    /// The stream after the earlier block's attention, `[tokens, hidden]`.
    stream: Tensor,
}

/// The parts of the survivors `index` and `index + 1` that make one block, on the first tokens of
/// the calibration text.
pub(super) async fn saliency_choice_of(
    scores: &SelectionScores<'_>,
    state: &MergeState,
    index: usize,
    ridge: f64,
    task: &Task,
) -> Result<ChannelSelection> {
    let original = &scores.context.original;
    let [first, end] = [index, index + 2].map(|index| state.begins(index, original.description.layers));
    let pair = state.part(index..index + 2);
    let input = scores.original_stream(first, FIT_TOKENS, task).await?;
    let targets = FitTargets::new(original, input.fork(original.engine.as_ref())?, input, first..end);
    select_by_saliency(scores.context, &pair, &targets, ridge, task).await
}

/// The parts of two survivors, whose work is that of the original blocks of `targets`, that make
/// one block of them; the input of the two is the original's.
///
/// # Errors
/// As [`NormalEquations::saliencies`]; [`crate::error::Error::Cancelled`], or what reading and
/// computing fail with.
pub async fn select_by_saliency(
    context: &MergeContext,
    pair: &MergeState,
    targets: &FitTargets<'_>,
    ridge: f64,
    task: &Task,
) -> Result<ChannelSelection> {
    let mut fitted = pair.clone();
    for (place, survivor) in pair.blocks().iter().enumerate() {
        // The earlier block's own neurons get what they did.
        if place > 0 || survivor.origins.is_some() {
            fit_mlp_input_maps(context, &mut fitted, [0, place], targets, task).await?;
        }
    }
    let pair = &context.build(&fitted, task).await?.0;
    let (count, hidden) = (pair.description.kind_of(0).neurons(), pair.description.hidden);
    let pool = pool(pair, targets, task).await?;
    let inputs = pool[0].len() + pool[1].len();
    let engine = pair.engine.as_ref();
    let mut equations = NormalEquations::full(engine, inputs, hidden)?;
    for chunk in 0..targets.input.chunk_count() {
        let Both { neurons: [earlier, later], stream } = both(pair, targets, chunk, task).await?;
        let features = [(&earlier, &pool[0]), (&later, &pool[1])].map(|(values, pool)| Features {
            values,
            channels: Some(pool).filter(|pool| pool.len() < count).map(Vec::as_slice),
        });
        let target = targets.trace(chunk, task).await?.output;
        let samples = Samples { features: &features, current: &stream, target: &target };
        equations.add(engine, samples, targets.input.window(), usize::MAX, task).await?;
    }
    let saliencies = equations.saliencies(engine, ridge, task).await?;
    let mut of = [vec![f64::NEG_INFINITY; count], vec![f64::NEG_INFINITY; count]];
    let places = pool.iter().enumerate().flat_map(|(block, pool)| pool.iter().map(move |neuron| (block, *neuron)));
    places.zip(saliencies).for_each(|((block, neuron), saliency)| of[block][neuron as usize] = saliency);
    Ok(ChannelSelection::neurons([&of[0], &of[1]], pair.description.kv_heads))
}

/// The neurons of either that the fit chooses from: all, or where that would take too much memory
/// those of most energy.
async fn pool(pair: &Transformer, targets: &FitTargets<'_>, task: &Task) -> Result<[Vec<u32>; 2]> {
    let count = pair.description.kind_of(0).neurons();
    if 2 * count <= MOST_NEURONS {
        let all: Vec<u32> = (0..count as u32).collect();
        return Ok([all.clone(), all]);
    }
    let mut importance = [vec![0.0; count], vec![0.0; count]];
    for chunk in 0..targets.input.chunk_count() {
        let both = both(pair, targets, chunk, task).await?;
        for (sums, neurons) in importance.iter_mut().zip(&both.neurons) {
            add_squares(sums, &pair.engine.read(neurons).await?);
        }
    }
    for (layer, importance) in importance.iter_mut().enumerate() {
        let columns = column_squares(pair, layer, Role::Down).await?;
        importance.iter_mut().zip(&columns).for_each(|(importance, column)| *importance *= column);
    }
    Ok(strongest([&importance[0], &importance[1]], MOST_NEURONS))
}

async fn both(pair: &Transformer, targets: &FitTargets<'_>, chunk: usize, task: &Task) -> Result<Both> {
    let [earlier, stream] = targets.mlp_activations(pair, chunk, task).await?;
    let parallel = targets.parallel_input(chunk)?;
    let later = pair.mlp_activations(1, parallel.as_ref().unwrap_or(&stream), task).await?;
    Ok(Both { neurons: [earlier, later], stream })
}
