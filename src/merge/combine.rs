//! From the books of a merge to tensors: surviving blocks renumbered, unchanged ones as ranges of the input, merged ones computed.
//!
//! New values are computed on the CPU in `f32`, products and sums apart and in ascending order of the layers, and rounded once: one recipe gives the
//! same bytes on every engine.

use std::collections::HashMap;
use std::rc::Rc;

use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use super::{Survivor, Survivors};
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
    let merged_blocks = survivors.blocks().iter().filter(|survivor| survivor.terms.len() > 1).count();
    let step = task.step("merge", merged_blocks * parts.len(), "tensors");
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
        if survivor.terms.len() > 1 {
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
    let norms = description.norms.iter().map(|norm| Part { name: norm.name, suffix: "weight", kind: Kind::Norm });
    let projections = description.projections.iter().flat_map(|p| {
        let weight = Part { name: p.name, suffix: "weight", kind: Kind::Matrix(norm_name(p.reads)) };
        let bias = Part { name: p.name, suffix: "bias", kind: Kind::Bias };
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
        match (&self.survivor.terms[..], self.norms, self.part.kind) {
            (_, Norms::Keep, Kind::Norm | Kind::Bias) => Some(self.survivor.layer),
            ([(layer, weight)], _, _) if *weight == 1.0 => Some(*layer),
            _ => None,
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

    /// Writes the weighted sum of the parents.
    async fn sum(
        &self,
        name: &str,
        place: &StoredTensor,
        dtype: Dtype,
        out: &Parked,
        task: &Task,
    ) -> Result<Vec<ParentDistance>> {
        let columns = place.shape.last().copied().unwrap_or(1).max(1) as usize;
        let values = place.bytes as usize / dtype.size();
        let chunk = (CHUNK_VALUES / columns).max(1) * columns;
        let mut parents = Vec::new();
        for (layer, weight) in &self.survivor.terms {
            let tensor_name = self.description.block_tensor(*layer, self.part.name, self.part.suffix);
            let tensor = self.input.tensor(&tensor_name)?;
            let gain = self.gain(*layer).await?;
            parents.push(Parent {
                layer: *layer,
                weight: *weight,
                tensor,
                tensor_name,
                gain,
                difference: 0.0,
                size: 0.0,
            });
        }
        for first in (0..values).step_by(chunk) {
            let count = chunk.min(values - first);
            let mut total = vec![0.0f32; count];
            let mut read = Vec::new();
            for parent in &parents {
                let values = parent.values(first, count).await?;
                let weight = parent.weight as f32;
                total.iter_mut().zip(&values).for_each(|(sum, value)| *sum += weight * value);
                read.push(values);
            }
            if !total.iter().all(|value| value.is_finite()) {
                return Err(Error::NotFinite {
                    what: format!("the merged tensor {name}"),
                    found: "a value is out of range".into(),
                });
            }
            let mut bytes = Vec::new();
            dtype.encode(&total, &mut bytes);
            dtype.decode(&bytes, &mut total);
            out.write(first * dtype.size(), &bytes);
            for (parent, values) in parents.iter_mut().zip(&read) {
                parent.measure(&total, values);
            }
            task.check()?;
        }
        Ok(parents.iter().map(Parent::distance).collect())
    }

    /// The gain to fold into the columns of this part in block `layer`, if any.
    async fn gain(&self, layer: usize) -> Result<Option<Vec<f32>>> {
        let Kind::Matrix(Some(norm)) = self.part.kind else {
            return Ok(None);
        };
        if self.norms == Norms::Keep {
            return Ok(None);
        }
        let name = self.description.block_tensor(layer, norm, "weight");
        let tensor = self.input.tensor(&name)?;
        read_values(&name, tensor, 0, tensor.bytes as usize).await.map(Some)
    }
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
