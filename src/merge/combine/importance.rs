//! How much energy each neuron and each head group of a block brings into the residual stream, and
//! the parts of two blocks that bring most of it: see [`super::concatenate`] for the definition.

use super::concatenate::ChannelSelection;
use crate::architecture::Role;
use crate::checkpoint::read::{read_values, readable_dtype};
use crate::error::{Error, Result};
use crate::merge::select::scores::SelectionScores;
use crate::merge::select::validation::LOSS_TOKENS;
use crate::merge::state::MergeState;
use crate::task::Task;
use crate::transformer::{Stream, Transformer};

/// The matrices that write to the stream are read in pieces of about so many bytes.
const PIECE: usize = 4 << 20;

/// The neurons and head groups of most energy of the survivors `index` and `index + 1`, on the
/// first tokens of the calibration text.
pub(super) async fn select_by_importance(
    scores: &SelectionScores<'_>,
    state: &MergeState,
    index: usize,
    task: &Task,
) -> Result<ChannelSelection> {
    let (model, _) = scores.context.build(state, task).await?;
    let mut stream = scores.block_input(&model, state, index, LOSS_TOKENS, task).await?;
    let earlier = channel_importance(&model, &stream, index, task).await?;
    let step = task.step("choose", 1, "blocks");
    model.forward(&mut stream, index..index + 1, None, task, &step).await?;
    let later = channel_importance(&model, &stream, index + 1, task).await?;
    Ok(ChannelSelection::strongest([&earlier.neurons, &later.neurons], [&earlier.heads, &later.heads]))
}

/// Energy by part.
struct ChannelImportance {
    /// Of each inner channel of the MLP.
    pub neurons: Vec<f64>,
    /// Of each key-value head with its query heads.
    pub heads: Vec<f64>,
}

/// The importance of the channels of block `layer` on its input.
async fn channel_importance(
    model: &Transformer,
    stream: &Stream,
    layer: usize,
    task: &Task,
) -> Result<ChannelImportance> {
    let d = &model.description;
    let (mut attended, mut inner) = (vec![0.0; d.heads * d.head_size], vec![0.0; d.kind_of(layer).neurons()]);
    let step = task.step("choose", stream.chunk_count(), "chunks");
    for chunk in 0..stream.chunk_count() {
        let parts = model.block_parts(layer, stream, chunk, task).await?;
        add_squares(&mut attended, &model.engine.read(&parts.attended).await?);
        add_squares(&mut inner, &model.engine.read(&parts.inner).await?);
        step.advance(1)?;
    }
    let per_channel = async |squares: Vec<f64>, role: Role| {
        let columns = column_squares(model, layer, role).await?;
        Ok::<_, Error>(squares.iter().zip(&columns).map(|(a, w)| a * w).collect::<Vec<_>>())
    };
    let attended = per_channel(attended, Role::Output).await?;
    let group = attended.len() / d.kv_heads.max(1);
    Ok(ChannelImportance {
        neurons: per_channel(inner, Role::Down).await?,
        heads: attended.chunks(group.max(1)).map(|channels| channels.iter().sum()).collect(),
    })
}

/// Adds the square of each value of rows `[_, sums]` to the sum of its column.
pub(super) fn add_squares(sums: &mut [f64], values: &[f32]) {
    for row in values.chunks_exact(sums.len().max(1)) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value).powi(2));
    }
}

/// The sum of squares of each column (each input) of a projection of block `layer`.
pub(super) async fn column_squares(model: &Transformer, layer: usize, role: Role) -> Result<Vec<f64>> {
    let d = &model.description;
    let projection = d.kind_of(layer).projection(role)?;
    let name = d.block_tensor(layer, projection.name, "weight");
    let tensor = model.checkpoint.tensor(&name)?;
    let (rows, columns) = match projection.transposed {
        true => (projection.columns, projection.rows),
        false => (projection.rows, projection.columns),
    };
    let row_bytes = columns * readable_dtype(&name, tensor)?.size();
    let at_once = (PIECE / row_bytes.max(1)).max(1);
    let mut sums = vec![0.0; projection.columns];
    for first in (0..rows).step_by(at_once) {
        let count = at_once.min(rows - first);
        let values = read_values(&name, tensor, (first * row_bytes) as u64, count * row_bytes).await?;
        if projection.transposed {
            for (sum, row) in sums[first..].iter_mut().zip(values.chunks_exact(columns.max(1))) {
                *sum = row.iter().map(|value| f64::from(*value).powi(2)).sum();
            }
        } else {
            add_squares(&mut sums, &values);
        }
    }
    Ok(sums)
}
