//! From the books of a merge to tensors: surviving blocks renumbered, unchanged ones as ranges of the input, merged ones computed.
//!
//! New values are computed on the CPU in `f32`, products and sums apart and in ascending order of the layers, and rounded once: one recipe gives the
//! same bytes on every engine.

use std::collections::HashMap;
use std::rc::Rc;

use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use super::{RepairMap, Survivor, Survivors};
use crate::architecture::{Description, Role, readable_dtype};
use crate::checkpoint::source::MemorySource;
use crate::checkpoint::{Checkpoint, StoredTensor};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::parked::{Meter, Parked};
use crate::task::Task;
use crate::transformer::read_values;

/// Rows are merged in chunks of about this many values.
const CHUNK_VALUES: usize = 1 << 20;
/// Keys of `config.json` that list something for every block.
const PER_LAYER_KEYS: [&str; 2] = ["layer_types", "no_rope_layers"];

/// What happens to norms when blocks are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norms {
    /// Gains are folded into the matrices behind them first, and are 1 then.
    Fold,
    /// Norms and biases stay those of the first block; only matrices are averaged (the published code).
    Keep,
}

/// How far a parent is from the tensor that was made of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParentDistance {
    /// The original block.
    pub layer: usize,
    /// Its weight in the sum.
    pub weight: f64,
    /// |new - parent| / |parent|, Frobenius norms, the parent with its norm folded in where norms are folded.
    pub distance: f64,
}

/// The proof that a tensor was merged.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorChange {
    /// Its name in the merged model.
    pub tensor: String,
    /// What it was made of.
    pub parents: Vec<ParentDistance>,
}

/// What a part of a block is when blocks are averaged.
#[derive(Clone, Copy)]
enum Kind {
    Norm,
    /// A matrix, and the name of the norm that it reads.
    Matrix(Option<&'static str>),
    Bias,
}

/// One tensor of every block.
#[derive(Clone, Copy)]
struct Part {
    name: &'static str,
    suffix: &'static str,
    kind: Kind,
    /// Whether it writes what the MLP adds to the stream: what a repair is folded into.
    down: bool,
}

/// The merged checkpoint, and what changed in it.
///
/// # Errors
/// [`Error::Cancelled`], [`Error::NotFinite`] when merged values are not numbers, or what reading fails with.
pub async fn combine(
    input: &Checkpoint,
    description: &Description,
    survivors: &Survivors,
    norms: Norms,
    meter: &Meter,
    task: &Task,
) -> Result<(Checkpoint, Vec<TensorChange>)> {
    let parts = parts(description);
    let places = places(description, survivors, &parts);
    let changed = |survivor: &Survivor| survivor.terms.len() > 1 || survivor.repair.is_some();
    let changed_blocks = survivors.blocks().iter().filter(|survivor| changed(survivor)).count();
    let step = task.step("merge", changed_blocks * parts.len(), "tensors");
    let outer: Vec<String> = description.outer_tensors().into_iter().map(|(name, _)| name).collect();
    let mut tensors = IndexMap::new();
    let mut changes = Vec::new();
    for (name, tensor) in &input.tensors {
        if outer.contains(name) {
            tensors.insert(name.clone(), tensor.clone());
        }
        let Some((index, part)) = places.get(name.as_str()) else {
            continue;
        };
        let survivor = &survivors.blocks()[*index];
        let new_name = description.block_tensor(*index, part.name, part.suffix);
        let merger = Merger { input, description, survivor, part, norms, meter };
        match merger.source_layer() {
            Some(layer) => {
                let original = description.block_tensor(layer, part.name, part.suffix);
                tensors.insert(new_name, input.tensor(&original)?.clone());
            }
            None => {
                let (merged, parents) = merger.merge(&new_name, tensor, task).await?;
                tensors.insert(new_name.clone(), merged);
                changes.extend((!parents.is_empty()).then_some(TensorChange { tensor: new_name, parents }));
            }
        }
        if changed(survivor) {
            step.advance(1)?;
        }
    }
    let config = merged_config(input, description, survivors)?;
    let made_of = format!("{} {norms:?} {:?}", input.fingerprint, survivors.blocks());
    let fingerprint = Sha256::digest(made_of).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((Checkpoint { config, tensors, fingerprint, ..input.clone() }, changes))
}

/// The parts that every block has.
fn parts(description: &Description) -> Vec<Part> {
    let norm_name =
        |role: Option<Role>| description.norms.iter().find(|norm| Some(norm.role) == role).map(|norm| norm.name);
    let norms =
        description.norms.iter().map(|norm| Part { name: norm.name, suffix: "weight", kind: Kind::Norm, down: false });
    let projections = description.projections.iter().flat_map(|p| {
        let down = p.role == Role::Down;
        let weight = Part { name: p.name, suffix: "weight", kind: Kind::Matrix(norm_name(p.reads)), down };
        let bias = Part { name: p.name, suffix: "bias", kind: Kind::Bias, down };
        std::iter::once(weight).chain(p.bias.then_some(bias))
    });
    norms.chain(projections).collect()
}

/// Names of the input's tensors in whose place the merged model has one: index of the block in the merged model, and part.
fn places(description: &Description, survivors: &Survivors, parts: &[Part]) -> HashMap<String, (usize, Part)> {
    let mut places = HashMap::new();
    for (index, survivor) in survivors.blocks().iter().enumerate() {
        for part in parts {
            places.insert(description.block_tensor(survivor.layer, part.name, part.suffix), (index, *part));
        }
    }
    places
}

/// The configuration for the blocks that are left.
fn merged_config(
    input: &Checkpoint,
    description: &Description,
    survivors: &Survivors,
) -> Result<crate::checkpoint::config::Config> {
    let mut changes = vec![(description.count_key, survivors.blocks().len().to_string())];
    for key in PER_LAYER_KEYS {
        let list =
            input.config.get(key).and_then(serde_json::Value::as_array).filter(|list| list.len() == description.layers);
        if let Some(list) = list {
            let left: Vec<_> = survivors.layers().into_iter().map(|layer| &list[layer]).collect();
            let json = serde_json::to_string(&left).map_err(|e| Error::config(format!("{key}: {e}")))?;
            changes.push((key, json));
        }
    }
    input.config.with(&changes)
}

/// Merges one tensor.
struct Merger<'a> {
    input: &'a Checkpoint,
    description: &'a Description,
    survivor: &'a Survivor,
    part: &'a Part,
    norms: Norms,
    meter: &'a Meter,
}

impl Merger<'_> {
    /// The original block whose tensor is taken as it is; none where a new one must be computed.
    fn source_layer(&self) -> Option<usize> {
        if self.repair().is_some() {
            return None;
        }
        match (&self.survivor.terms[..], self.norms, self.part.kind) {
            (_, Norms::Keep, Kind::Norm | Kind::Bias) => Some(self.survivor.layer),
            ([(layer, weight)], _, _) if *weight == 1.0 => Some(*layer),
            _ => None,
        }
    }

    /// The repair that is folded into this part, if any.
    fn repair(&self) -> Option<&RepairMap> {
        self.survivor.repair.as_deref().filter(|_| self.part.down)
    }

    /// The blocks that go into this part, with their weights.
    fn terms(&self) -> Vec<(usize, f64)> {
        match (self.norms, self.part.kind) {
            (Norms::Keep, Kind::Norm | Kind::Bias) => vec![(self.survivor.layer, 1.0)],
            _ => self.survivor.terms.clone(),
        }
    }

    /// The new tensor, and how far its parents are from it.
    async fn merge(
        &self,
        name: &str,
        place: &StoredTensor,
        task: &Task,
    ) -> Result<(StoredTensor, Vec<ParentDistance>)> {
        let dtype = readable_dtype(name, place)?;
        let parked = Parked::zeros(place.bytes as usize, self.meter);
        let parents = if matches!(self.part.kind, Kind::Norm) {
            // Folded gains are 1.
            let mut bytes = Vec::new();
            dtype.encode(&vec![1.0; place.bytes as usize / dtype.size()], &mut bytes);
            parked.write(0, &bytes);
            Vec::new()
        } else {
            self.sum(name, place, dtype, &parked, task).await?
        };
        let source = Rc::new(MemorySource::from_parked(name, parked));
        Ok((StoredTensor { source, start: 0, ..place.clone() }, parents))
    }

    /// Writes the weighted sum of the parents, repaired where the gap was.
    async fn sum(
        &self,
        name: &str,
        place: &StoredTensor,
        dtype: Dtype,
        out: &Parked,
        task: &Task,
    ) -> Result<Vec<ParentDistance>> {
        let rows = place.shape.first().copied().unwrap_or(1).max(1) as usize;
        let columns = place.bytes as usize / dtype.size() / rows;
        let rows_at_once = (CHUNK_VALUES / columns.max(1)).clamp(1, rows);
        let mut parents = Vec::new();
        for (layer, weight) in self.terms() {
            let tensor_name = self.description.block_tensor(layer, self.part.name, self.part.suffix);
            let tensor = self.input.tensor(&tensor_name)?;
            let gain = if self.folds() { self.gain(layer).await? } else { None };
            parents.push(Parent { layer, weight, tensor, tensor_name, gain, difference: 0.0, size: 0.0 });
        }
        for first in (0..rows).step_by(rows_at_once) {
            let count = rows_at_once.min(rows - first);
            let mut total = match self.repair() {
                None => blend(&parents, first * columns, count * columns).await?,
                Some(map) => repaired_rows(&parents, map, (rows, columns), first, count, task).await?,
            };
            if !total.iter().all(|value| value.is_finite()) {
                let what = format!("the merged tensor {name}");
                return Err(Error::NotFinite { what, found: "a value is out of range".into() });
            }
            let mut bytes = Vec::new();
            dtype.encode(&total, &mut bytes);
            dtype.decode(&bytes, &mut total);
            out.write(first * columns * dtype.size(), &bytes);
            for parent in &mut parents {
                let values = parent.values(first * columns, count * columns).await?;
                parent.measure(&total, &values);
            }
            task.check()?;
        }
        Ok(parents.iter().map(Parent::distance).collect())
    }

    /// Whether norms are folded into this block at all: only where several are averaged.
    fn folds(&self) -> bool {
        self.norms == Norms::Fold && self.survivor.terms.len() > 1
    }

    /// The gain to fold into the columns of this part in block `layer`, if any.
    async fn gain(&self, layer: usize) -> Result<Option<Vec<f32>>> {
        let Kind::Matrix(Some(norm)) = self.part.kind else {
            return Ok(None);
        };
        let name = self.description.block_tensor(layer, norm, "weight");
        let tensor = self.input.tensor(&name)?;
        read_values(&name, tensor, 0, tensor.bytes as usize).await.map(Some)
    }
}

/// `count` values of the weighted sum of some parents, from `first` on.
async fn blend(parents: &[Parent<'_>], first: usize, count: usize) -> Result<Vec<f32>> {
    let mut total = vec![0.0f32; count];
    for parent in parents {
        let weight = parent.weight as f32;
        let values = parent.values(first, count).await?;
        total.iter_mut().zip(&values).for_each(|(sum, value)| *sum += weight * value);
    }
    Ok(total)
}

/// The rows `first..first + count` of T' W, W `[rows, columns]` the weighted sum of some parents: row i is the sum over j of T[j, i] W[j], in
/// ascending order of j.
async fn repaired_rows(
    parents: &[Parent<'_>],
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
        let block = blend(parents, start * columns, read * columns).await?;
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

struct Parent<'a> {
    layer: usize,
    weight: f64,
    tensor: &'a StoredTensor,
    tensor_name: String,
    gain: Option<Vec<f32>>,
    /// Sums of squares.
    difference: f64,
    size: f64,
}

impl Parent<'_> {
    /// `count` values from `first` on, the norm's gain folded in.
    async fn values(&self, first: usize, count: usize) -> Result<Vec<f32>> {
        let size = readable_dtype(&self.tensor_name, self.tensor)?.size();
        let mut values = read_values(&self.tensor_name, self.tensor, (first * size) as u64, count * size).await?;
        if let Some(gain) = &self.gain {
            for row in values.chunks_exact_mut(gain.len().max(1)) {
                row.iter_mut().zip(gain).for_each(|(value, g)| *value *= g);
            }
        }
        Ok(values)
    }

    fn measure(&mut self, merged: &[f32], values: &[f32]) {
        for (new, old) in merged.iter().zip(values) {
            self.difference += f64::from(new - old).powi(2);
            self.size += f64::from(*old).powi(2);
        }
    }

    fn distance(&self) -> ParentDistance {
        let distance = if self.size > 0.0 { (self.difference / self.size).sqrt() } else { self.difference.sqrt() };
        ParentDistance { layer: self.layer, weight: self.weight, distance }
    }
}
