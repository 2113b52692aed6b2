//! From the books of a merge to tensors: surviving blocks renumbered, unchanged ones as ranges of the input, merged ones computed.
//!
//! New values are computed on the CPU in `f32`, products and sums apart and in ascending order of the layers, and rounded once: one recipe gives the
//! same bytes on every engine.

mod gather;
mod merger;
mod parents;

use std::collections::HashMap;

use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use super::{Survivor, Survivors};
use crate::architecture::{Description, LayerOptions, NormKind, Projection, Role};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::config::Config;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::parked::Meter;
use crate::task::Task;
use merger::{CHUNK_VALUES, Merger};
use parents::Folded;

/// Keys of `config.json` that list something for every block.
const PER_LAYER_KEYS: [&str; 3] = ["layer_types", "no_rope_layers", "attention_layers"];

/// What happens to norms when blocks are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norms {
    /// Gains and biases are folded into the matrices and biases behind them first, and are 1 and 0 then; norms that cannot be folded are averaged.
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
    /// Gain or bias of a norm, and the value that it has once it is folded; none where the norm is averaged instead.
    Norm(Option<f32>),
    /// A matrix, and the norm that is folded into it.
    Matrix(Option<Folded>),
    /// A bias of a projection, and the norm whose bias is folded into it.
    Bias(Option<Folded>),
}

/// One tensor of every block.
#[derive(Clone, Copy)]
struct Part {
    name: &'static str,
    suffix: &'static str,
    kind: Kind,
    /// What it is for; of several that share a tensor, the first.
    role: Role,
    /// What a repair of the gap does to it.
    repaired: Repaired,
    /// Whether it is the last thing that its half of the block does before the stream: what a scale divides.
    writes: bool,
    /// Whether it is a matrix that is stored as `[inputs, outputs]`.
    transposed: bool,
    /// The queries in it, where a block's place scales its scores: they make up for a new place.
    queries: Option<Projection>,
}

/// What a linear repair does to a part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repaired {
    /// Nothing.
    Not,
    /// Its outputs are multiplied by the map.
    Mapped,
    /// The stored gain or bias of the norm behind the MLP is multiplied by the map's diagonal.
    Scaled,
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
    check_picks(description, survivors)?;
    let scales: Vec<f64> = (0..survivors.blocks().len()).map(|index| survivors.scale_before(index)).collect();
    let changed =
        |survivor: &Survivor| survivor.terms.len() > 1 || survivor.repair.is_some() || !survivor.fitted.is_empty();
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
        let (index, scale) = (*index, scales[*index]);
        let merger = Merger { input, description, survivor, index, part, norms, scale, meter };
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

/// Seconds that averaging two blocks takes for each value of the result, reading left out: measured on made-up values.
pub fn seconds_per_value() -> f64 {
    let (values, mut bytes) = (vec![0.25f32; CHUNK_VALUES], Vec::new());
    Dtype::Bf16.encode(&values, &mut bytes);
    let begun = web_time::Instant::now();
    // Each parent is decoded for the sum and for its distance; the sum is encoded and decoded.
    let mut total = vec![0.0f32; CHUNK_VALUES];
    let mut decoded = vec![0.0f32; CHUNK_VALUES];
    let mut difference = 0.0f64;
    for _ in 0..2 {
        Dtype::Bf16.decode(&bytes, &mut decoded);
        total.iter_mut().zip(&decoded).for_each(|(sum, value)| *sum += 0.5 * value);
    }
    bytes.clear();
    Dtype::Bf16.encode(&total, &mut bytes);
    Dtype::Bf16.decode(&bytes, &mut total);
    for _ in 0..2 {
        Dtype::Bf16.decode(&bytes, &mut decoded);
        difference += total.iter().zip(&decoded).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    }
    std::hint::black_box(difference);
    begun.elapsed().as_secs_f64() / CHUNK_VALUES as f64
}

/// The parts that every block has.
fn parts(description: &Description) -> Vec<Part> {
    let has = |role: Role| description.norms.iter().any(|norm| norm.role == role);
    let behind = description.norm_behind_mlp().map(|norm| norm.role);
    let norms = description.norms.iter().flat_map(move |norm| {
        let folds = can_fold(description, norm.role);
        description.norm_suffixes().iter().map(move |suffix| {
            let folded = if *suffix == "weight" { 1.0 - description.gain_offset } else { 0.0 };
            Part {
                name: norm.name,
                suffix,
                kind: Kind::Norm(folds.then_some(folded)),
                role: norm.role,
                repaired: if Some(norm.role) == behind { Repaired::Scaled } else { Repaired::Not },
                writes: [Role::AttentionPostNorm, Role::MlpPostNorm].contains(&norm.role),
                transposed: false,
                queries: None,
            }
        })
    });
    let projections = description.stored_projections().flat_map(move |p| {
        let norm = description.norms.iter().find(|norm| Some(norm.role) == p.reads && can_fold(description, norm.role));
        let folded = norm.map(|norm| Folded {
            norm: norm.name,
            offset: description.gain_offset,
            transposed: p.transposed,
            outputs: p.stored,
        });
        let writes = match p.role {
            Role::Output => !has(Role::AttentionPostNorm),
            Role::Down => !has(Role::MlpPostNorm),
            _ => false,
        };
        let is_query = |q: &&Projection| q.name == p.name && q.role == Role::Query;
        let queries = description.projections.iter().find(is_query).filter(|_| description.scaled_by_depth).copied();
        let weight = Part {
            name: p.name,
            suffix: "weight",
            kind: Kind::Matrix(folded),
            role: p.role,
            repaired: if p.role == Role::Down && behind.is_none() { Repaired::Mapped } else { Repaired::Not },
            writes,
            transposed: p.transposed,
            queries,
        };
        let takes_bias = folded.filter(|_| description.norm == NormKind::Layer);
        let bias = Part { suffix: "bias", kind: Kind::Bias(takes_bias), transposed: false, ..weight };
        std::iter::once(weight).chain(p.bias.then_some(bias))
    });
    norms.chain(projections).collect()
}

/// Fails unless every concatenated block has as many neurons and head groups as a block of this model.
fn check_picks(description: &Description, survivors: &Survivors) -> Result<()> {
    let (neurons, heads) = (description.neurons(), description.kv_heads);
    for picks in survivors.blocks().iter().filter_map(|survivor| survivor.picks.as_ref()) {
        let fits = |picked: &[(usize, u32)], count: usize| {
            picked.len() == count
                && picked.iter().all(|(layer, index)| *layer < description.layers && (*index as usize) < count)
        };
        if !(fits(&picks.neurons, neurons) && fits(&picks.heads, heads)) {
            let reason = format!(
                "it concatenates {} neurons and {} head groups; a block of this model has {neurons} and {heads}",
                picks.neurons.len(),
                picks.heads.len()
            );
            return Err(Error::argument("recipe", reason));
        }
    }
    Ok(())
}

/// Whether a norm can be folded into what reads it: something does, and where the norm has a bias, all of it have one to take it.
fn can_fold(description: &Description, norm: Role) -> bool {
    let mut readers = description.projections.iter().filter(|p| p.reads == Some(norm)).peekable();
    readers.peek().is_some() && (description.norm == NormKind::Rms || readers.all(|p| p.bias))
}

/// Whether the norm that the projection `role` reads through is folded into it, where norms are folded.
pub fn folds_norm_of(description: &Description, role: Role) -> bool {
    let norm = description.projections.iter().find(|p| p.role == role).and_then(|p| p.reads);
    norm.is_some_and(|norm| can_fold(description, norm))
}

/// Warnings for the user when a block that sees few positions is averaged with one that sees all, or one that rotates with one that does not.
pub fn mixed_kinds(description: &Description, survivors: &Survivors) -> Vec<String> {
    let options = |layer: usize| description.layer_options.get(layer);
    let mixed = |differ: fn(&LayerOptions, &LayerOptions) -> bool| {
        let differ = |layer, kept| options(layer).zip(options(kept)).is_some_and(|(a, b)| differ(a, b));
        let blocks = survivors.blocks().iter();
        let mixed = blocks.filter(|kept| kept.terms.iter().any(|(layer, _)| differ(*layer, kept.layer)));
        mixed.map(|survivor| survivor.layer.to_string()).collect::<Vec<_>>().join(", ")
    };
    let seen = mixed(|a, b| a.kind != b.kind);
    let rotated = mixed(|a, b| a.rope.is_some() != b.rope.is_some());
    let mut warnings = Vec::new();
    if !seen.is_empty() {
        warnings.push(format!(
            "Blocks that see all positions and blocks that see the last ones only were merged; the result sees what the kept one saw (block {seen})."
        ));
    }
    if !rotated.is_empty() {
        warnings.push(format!(
            "Blocks with and without rotary positions were merged; the result is as the kept one was (block {rotated})."
        ));
    }
    warnings
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
fn merged_config(input: &Checkpoint, description: &Description, survivors: &Survivors) -> Result<Config> {
    let count = survivors.blocks().len().to_string();
    let mut changes: Vec<_> = description.count_keys.iter().map(|key| (key.as_str(), count.clone())).collect();
    let left = survivors.layers();
    let list_of = |key: &str| {
        let list = input.config.get(key).and_then(serde_json::Value::as_array);
        list.filter(|list| list.len() == description.layers)
    };
    let json = |key: &str, list: Vec<serde_json::Value>| {
        serde_json::to_string(&list).map_err(|e| Error::config(format!("{key}: {e}")))
    };
    for key in PER_LAYER_KEYS {
        if let Some(list) = list_of(key) {
            changes.push((key, json(key, left.iter().map(|layer| list[*layer].clone()).collect())?));
        }
    }
    let options = description.with_blocks(&left).layer_options;
    let mut removed = Vec::new();
    for list in description.lists.iter().filter(|list| list_of(list.key).is_none()) {
        // A rule counts blocks; without some of them it would say something else, unless all are alike.
        let mut all = description.layer_options.iter().map(list.entry);
        let first = all.next();
        if input.config.get(list.key).is_none() && all.all(|entry| Some(&entry) == first.as_ref()) {
            continue;
        }
        changes.push((list.key, json(list.key, options.iter().map(list.entry).collect())?));
        removed.extend(list.rules);
    }
    Ok(input.config.with(&changes)?.without(&removed))
}
