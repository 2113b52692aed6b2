//! The checkpoint of a merged model: surviving blocks renumbered, unchanged ones as ranges of the
//! input, merged ones computed; and its configuration.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::change::TensorChange;
use super::merged_tensor::Merger;
use super::parts::{Part, parts};
use super::weighted_sum::CHUNK_VALUES;
use crate::architecture::{Description, LayerOptions};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::config::Config;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::merge::choices::Norms;
use crate::merge::plan::can_concatenate;
use crate::merge::state::{MergeState, RepairMap, Survivor};
use crate::platform::off_heap::Meter;
use crate::task::Task;

/// Keys of `config.json` that list something for every block.
const PER_LAYER_KEYS: [&str; 3] = ["layer_types", "no_rope_layers", "attention_layers"];
/// Keys that speak of quantised weights. Those that are merged are plain numbers, whatever the
/// configuration still says of them.
const QUANTISATION: [&str; 2] = ["quantization_config", "quantization"];

/// The merged checkpoint, and what changed in it.
///
/// # Errors
/// [`Error::Cancelled`], [`Error::NotFinite`] when merged values are not numbers, or what reading
/// fails with.
pub async fn merged_checkpoint(
    input: &Checkpoint,
    description: &Description,
    state: &MergeState,
    norms: Norms,
    meter: &Meter,
    task: &Task,
) -> Result<(Checkpoint, Vec<TensorChange>)> {
    check_kinds(description, state)?;
    let parts = |layer: usize| parts(description, description.kind_of(layer));
    let places = places(description, state, parts);
    let scales: Vec<f64> = (0..state.blocks().len()).map(|index| state.scale_before(index)).collect();
    let changed =
        |survivor: &Survivor| survivor.terms.len() > 1 || survivor.repair.is_some() || !survivor.fitted.is_empty();
    let changed_blocks = state.blocks().iter().filter(|survivor| changed(survivor));
    let step = task.step("merge", changed_blocks.map(|survivor| parts(survivor.layer).len()).sum(), "tensors");
    let outer: Vec<String> = description.outer_tensors().into_iter().map(|(name, _)| name).collect();
    let blocks = format!("{}.", description.block_prefix);
    // A model around the decoder has tensors of its own.
    let foreign = |name: &str| description.wrapping.is_some() && !name.starts_with(&blocks);
    let mut tensors = IndexMap::new();
    let mut changes = Vec::new();
    for (name, tensor) in &input.tensors {
        if outer.contains(name) || foreign(name) {
            tensors.insert(name.clone(), tensor.clone());
        }
        let Some((index, part)) = places.get(name.as_str()) else {
            continue;
        };
        let survivor = &state.blocks()[*index];
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
    let config = merged_config(input, description, state)?;
    let fingerprint = state.content_hash(&input.fingerprint, norms);
    Ok((Checkpoint { config, tensors, fingerprint, ..input.clone() }, changes))
}

/// Seconds that averaging two blocks takes for each value of the result, reading left out: measured
/// on made-up values.
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

/// Fails unless every block is made of blocks of its own kind, has as many neurons and head groups
/// as these, and a repair in the shape that they take.
fn check_kinds(description: &Description, state: &MergeState) -> Result<()> {
    for survivor in state.blocks() {
        let kind = description.kind_of(survivor.layer);
        for (layer, _) in &survivor.terms {
            if let Some(difference) = description.difference(survivor.layer, *layer) {
                return Err(only_dropped(survivor.layer, *layer, &difference));
            }
        }
        let map = survivor.repair.as_ref().map(|map| map.values.len());
        let size = 4 * RepairMap::shape(description, kind).into_iter().product::<usize>();
        if map.is_some_and(|found| found != size) {
            let reason = format!("the map after block {} has another shape than such a block takes", survivor.layer);
            return Err(Error::argument("repair", reason));
        }
        let (neurons, heads) = (kind.neurons(), description.kv_heads);
        let Some(origins) = &survivor.origins else { continue };
        can_concatenate(description).map_err(|reason| Error::argument("recipe", reason))?;
        let fits = |channels: &[(usize, u32)], count: usize| {
            channels.len() == count
                && channels.iter().all(|(layer, index)| *layer < description.layers && (*index as usize) < count)
        };
        if !(fits(&origins.neurons, neurons) && fits(&origins.heads, heads)) {
            let reason = format!(
                "it concatenates {} neurons and {} head groups; a block of this model has {neurons} and {heads}",
                origins.neurons.len(),
                origins.heads.len()
            );
            return Err(Error::argument("recipe", reason));
        }
    }
    Ok(())
}

/// The error that two blocks of different kinds are to become one.
pub fn only_dropped(keep: usize, removed: usize, difference: &str) -> Error {
    let reason = format!(
        "blocks {keep} and {removed} are of different kinds, which have no average and no concatenation ({difference}); drop one, or merge blocks of one kind"
    );
    Error::argument("combination", reason)
}

/// Warnings for the user when a block that sees few positions is averaged with one that sees all,
/// or one that rotates with one that does not.
pub fn mixed_kinds(description: &Description, state: &MergeState) -> Vec<String> {
    let options = |layer: usize| description.layer_options.get(layer);
    let mixed = |differ: fn(&LayerOptions, &LayerOptions) -> bool| {
        let differ = |layer, kept| options(layer).zip(options(kept)).is_some_and(|(a, b)| differ(a, b));
        let blocks = state.blocks().iter();
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

/// A warning where features of an image come to other blocks than before.
pub fn moved_image_blocks(description: &Description, state: &MergeState) -> Option<String> {
    let blocks = description.wrapping.map_or(0, |wrapping| wrapping.image_blocks);
    (state.untouched() < blocks).then(|| {
        format!(
            "Features of an image are added after each of the first {blocks} blocks, by its number, and some of these were merged or moved: what becomes of images is not measured here."
        )
    })
}

/// Names of the input's tensors in whose place the merged model has one: index of the block in the
/// merged model, and part.
fn places(
    description: &Description,
    state: &MergeState,
    parts: impl Fn(usize) -> Vec<Part>,
) -> HashMap<String, (usize, Part)> {
    let mut places = HashMap::new();
    for (index, survivor) in state.blocks().iter().enumerate() {
        for part in parts(survivor.layer) {
            places.insert(description.block_tensor(survivor.layer, part.name, part.suffix), (index, part));
        }
    }
    places
}

/// The configuration for the blocks that are left.
fn merged_config(input: &Checkpoint, description: &Description, state: &MergeState) -> Result<Config> {
    let key = description.wrapping.and_then(|wrapping| wrapping.config_key);
    let own = key.map_or_else(|| Ok(input.config.clone()), |key| input.config.nested(key))?;
    let count = state.blocks().len().to_string();
    let mut changes: Vec<_> = description.count_keys.iter().map(|key| (key.as_str(), count.clone())).collect();
    let left = state.layers();
    let list_of = |key: &str| {
        let list = own.get(key).and_then(serde_json::Value::as_array);
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
    let mut removed = QUANTISATION.to_vec();
    for list in description.lists.iter().filter(|list| list_of(list.key).is_none()) {
        // A rule counts blocks; without some of them it would say something else, unless all are
        // alike.
        let mut all = description.layer_options.iter().map(list.entry);
        let first = all.next();
        if own.get(list.key).is_none() && all.all(|entry| Some(&entry) == first.as_ref()) {
            continue;
        }
        changes.push((list.key, json(list.key, options.iter().map(list.entry).collect())?));
        removed.extend(list.rules);
    }
    let own = own.with(&changes)?.without(&removed);
    match key {
        Some(key) => Ok(input.config.with_nested(key, &own)?.without(&QUANTISATION)),
        None => Ok(own),
    }
}
