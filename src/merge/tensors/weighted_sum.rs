//! The blocks that go into a merged tensor: their values with norms folded in, weighted sums of
//! them, and repairs of these.

use super::change::ParentDistance;
use super::gather::Gather;
use super::parts::Folded;
use crate::architecture::Projection;
use crate::checkpoint::StoredTensor;
use crate::checkpoint::read::{read_values, readable_dtype};
use crate::error::Result;
use crate::merge::state::RepairMap;
use crate::task::Task;

/// Rows are merged in chunks of about this many values.
pub(super) const CHUNK_VALUES: usize = 1 << 20;

/// A stored matrix times a vector of its inputs: one value for each output, summed in `f64` in the
/// order of the inputs.
pub(super) async fn product(name: &str, matrix: &StoredTensor, folded: Folded, x: &[f32]) -> Result<Vec<f32>> {
    let (inputs, outputs) = (x.len(), folded.outputs);
    let row = if folded.transposed { outputs } else { inputs };
    let rows = inputs * outputs / row.max(1);
    let row_bytes = row * readable_dtype(name, matrix)?.size();
    let step = (CHUNK_VALUES / row.max(1)).max(1);
    let mut sums = vec![0.0f64; outputs];
    for first in (0..rows).step_by(step) {
        let count = step.min(rows - first);
        let values = read_values(name, matrix, (first * row_bytes) as u64, count * row_bytes).await?;
        for (i, values) in values.chunks_exact(row.max(1)).enumerate() {
            if folded.transposed {
                let x = f64::from(x[first + i]);
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(*value) * x);
            } else {
                sums[first + i] = values.iter().zip(x).map(|(value, x)| f64::from(*value) * f64::from(*x)).sum();
            }
        }
    }
    Ok(sums.into_iter().map(|sum| sum as f32).collect())
}

/// The blocks that go into a tensor, and how they are put together.
pub(super) struct Blend<'a> {
    pub(super) parents: Vec<Parent<'a>>,
    pub(super) gather: Gather,
    /// Values of a stored row.
    pub(super) columns: usize,
}

impl Blend<'_> {
    /// Rows of the new tensor, from `first` on.
    pub(super) async fn rows(&self, first: usize, count: usize) -> Result<Vec<f32>> {
        let columns = self.columns;
        let mut total = vec![0.0f32; count * columns];
        for (index, parent) in self.parents.iter().enumerate() {
            match &self.gather {
                Gather::Nothing => {
                    let weight = parent.weight as f32;
                    let values = parent.values(first * columns, count * columns).await?;
                    total.iter_mut().zip(&values).for_each(|(sum, value)| *sum += weight * value);
                }
                Gather::Columns(from) => {
                    let values = parent.values(first * columns, count * columns).await?;
                    for (out, row) in total.chunks_exact_mut(columns).zip(values.chunks_exact(columns)) {
                        let picked = out.iter_mut().zip(from).filter(|(_, (parent, _))| *parent == index);
                        picked.for_each(|(out, (_, column))| *out = row[*column]);
                    }
                }
                Gather::Rows(from) => {
                    let wanted = &from[first..first + count];
                    let picked = || wanted.iter().enumerate().filter(|(_, (parent, _))| *parent == index);
                    // ChannelOrigins ascend, so the rows between the first and the last of them are
                    // not many more.
                    let rows = || picked().map(|(_, (_, row))| *row);
                    let (Some(low), Some(high)) = (rows().min(), rows().max()) else { continue };
                    let values = parent.values(low * columns, (high - low + 1) * columns).await?;
                    for (at, (_, row)) in picked() {
                        let row = (row - low) * columns;
                        total[at * columns..][..columns].copy_from_slice(&values[row..row + columns]);
                    }
                }
            }
        }
        Ok(total)
    }

    /// Adds how far each parent is from the new rows.
    pub(super) async fn measure(&mut self, merged: &[f32], first: usize, count: usize) -> Result<()> {
        for parent in &mut self.parents {
            let values = parent.values(first * self.columns, count * self.columns).await?;
            parent.measure(merged, &values);
        }
        Ok(())
    }
}

/// The rows `first..first + count` of T' W, W `[rows, columns]` what some parents give together:
/// row i is the sum over j of T[j, i] W[j], in ascending order of j.
pub(super) async fn repaired_rows(
    blend: &Blend<'_>,
    map: &RepairMap,
    (rows, columns): (usize, usize),
    first: usize,
    count: usize,
    task: &Task,
) -> Result<Vec<f32>> {
    let mut total = vec![0.0f32; count * columns];
    let mut line = vec![0.0f32; rows];
    let rows_at_once = (CHUNK_VALUES / columns.max(1)).clamp(1, rows);
    for start in (0..rows).step_by(rows_at_once) {
        let read = rows_at_once.min(rows - start);
        let block = blend.rows(start, read).await?;
        for (j, values) in block.chunks_exact(columns).enumerate() {
            map.values.read((start + j) * rows * 4, bytemuck::cast_slice_mut(&mut line));
            for (out, factor) in total.chunks_exact_mut(columns).zip(&line[first..first + count]) {
                out.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
            }
        }
        task.check()?;
    }
    Ok(total)
}

/// Rows of W T, W `[_, columns]` as it is stored the other way round: element c is the sum over j
/// of W[j] T[j, c], in ascending order of j.
pub(super) fn repaired_columns(values: &[f32], map: &RepairMap, columns: usize) -> Vec<f32> {
    let mut total = vec![0.0f32; values.len()];
    let mut line = vec![0.0f32; columns];
    for j in 0..columns {
        map.values.read(j * columns * 4, bytemuck::cast_slice_mut(&mut line));
        for (out, row) in total.chunks_exact_mut(columns).zip(values.chunks_exact(columns)) {
            out.iter_mut().zip(&line).for_each(|(sum, factor)| *sum += row[j] * factor);
        }
    }
    total
}

/// What is folded into a tensor before it is averaged.
pub(super) enum Fold {
    Nothing,
    /// Gains times the inputs of a matrix: its columns, or its rows where it is stored the other
    /// way round.
    Gain {
        gain: Vec<f32>,
        transposed: bool,
    },
    /// Added to a vector.
    Shift(Vec<f32>),
}

pub(super) struct Parent<'a> {
    pub(super) layer: usize,
    pub(super) weight: f64,
    pub(super) tensor: &'a StoredTensor,
    pub(super) tensor_name: String,
    /// Values of a stored row.
    pub(super) columns: usize,
    pub(super) fold: Fold,
    /// The queries in it and their factor, where they have one.
    pub(super) queries: Option<(Projection, f32)>,
    /// NormalEquations of squares.
    pub(super) difference: f64,
    pub(super) size: f64,
}

impl Parent<'_> {
    /// `count` values from `first` on, whole rows, with what is folded into them.
    pub(super) async fn values(&self, first: usize, count: usize) -> Result<Vec<f32>> {
        let size = readable_dtype(&self.tensor_name, self.tensor)?.size();
        let mut values = read_values(&self.tensor_name, self.tensor, (first * size) as u64, count * size).await?;
        match &self.fold {
            Fold::Nothing => {}
            Fold::Gain { gain, transposed: false } => {
                for row in values.chunks_exact_mut(gain.len().max(1)) {
                    row.iter_mut().zip(gain).for_each(|(value, g)| *value *= g);
                }
            }
            Fold::Gain { gain, transposed: true } => {
                let rows = values.chunks_exact_mut(self.columns).zip(&gain[first / self.columns..]);
                rows.for_each(|(row, g)| row.iter_mut().for_each(|value| *value *= g));
            }
            Fold::Shift(shift) => values.iter_mut().zip(&shift[first..]).for_each(|(value, s)| *value += s),
        }
        if let Some((queries, factor)) = &self.queries {
            let scale = |values: &mut [f32]| values.iter_mut().for_each(|value| *value *= factor);
            for (row, values) in (first / self.columns..).zip(values.chunks_exact_mut(self.columns)) {
                match queries.transposed && self.columns == queries.stored {
                    true => queries.runs().for_each(|(first, count)| scale(&mut values[first..first + count])),
                    false if queries.runs().any(|(first, count)| (first..first + count).contains(&row)) => {
                        scale(values)
                    }
                    false => {}
                }
            }
        }
        Ok(values)
    }

    pub(super) fn measure(&mut self, merged: &[f32], values: &[f32]) {
        for (new, old) in merged.iter().zip(values) {
            self.difference += f64::from(new - old).powi(2);
            self.size += f64::from(*old).powi(2);
        }
    }

    pub(super) fn distance(&self) -> ParentDistance {
        let distance = if self.size > 0.0 { (self.difference / self.size).sqrt() } else { self.difference.sqrt() };
        ParentDistance { layer: self.layer, weight: self.weight, distance }
    }
}
