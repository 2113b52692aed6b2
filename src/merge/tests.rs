//! Merges of a model whose blocks are of two kinds. It is the miniature of Llama with wider MLPs in
//! some blocks, whose further neurons add nothing: what it predicts is what transformers recorded
//! of the miniature, and what its merges predict is what those of the miniature do.

use std::rc::Rc;

use safetensors::tensor::TensorView;
use serde_json::Value;

use super::choices::{Alpha, Combination, Norms, Selection};
use super::combine::ChannelSelection;
use super::context::MergeContext;
use super::greedy::GreedyMerge;
use super::miniature::open;
use super::options::{MergeOptions, ProtectOption};
use super::plan::MergePlan;
use super::recipe::{Recipe, Repairs};
use super::state::{Join, MergeState};
use crate::architecture::{BlockKind, Role};
use crate::checkpoint::read::read_values;
use crate::checkpoint::source::MemorySource;
use crate::checkpoint::{Checkpoint, StoredTensor};
use crate::error::Result;
use crate::evaluate::evaluate;
use crate::task::Task;
use crate::transformer::Transformer;

/// The blocks of the wider kind, and by how many neurons.
const WIDE: [usize; 3] = [1, 2, 4];
const MORE: usize = 8;

/// The same function with blocks of two kinds.
fn widened(plain: &MergeContext) -> MergeContext {
    let mut description = plain.original.description.clone();
    let wide = |kind: &BlockKind| {
        let mut kind = kind.clone();
        for p in &mut kind.projections {
            match p.role {
                Role::Gate | Role::Up => {
                    (p.rows, p.stored, p.run, p.stride) =
                        (p.rows + MORE, p.stored + MORE, p.run + MORE, p.stride + MORE);
                }
                Role::Down => p.columns += MORE,
                _ => {}
            }
        }
        kind
    };
    description.kinds.push(wide(description.block()));
    WIDE.iter().for_each(|layer| description.layer_options[*layer].block = 1);

    let old = &plain.original.checkpoint;
    let mut checkpoint = Checkpoint::clone(old);
    for layer in WIDE {
        for role in [Role::Gate, Role::Up, Role::Down] {
            let name = description.weight_of(layer, role).unwrap();
            let tensor = old.tensor(&name).unwrap();
            let mut values = pollster::block_on(read_values(&name, tensor, 0, tensor.bytes as usize)).unwrap();
            let [rows, columns] = [tensor.shape[0] as usize, tensor.shape[1] as usize];
            let shape = if role == Role::Down {
                // What the further neurons give is not read.
                values = values.chunks_exact(columns).flat_map(|row| row.iter().copied().chain([0.0; MORE])).collect();
                vec![rows, columns + MORE]
            } else {
                values.extend((0..MORE * columns).map(|i| (i % 7) as f32 * 0.1 - 0.3));
                vec![rows + MORE, columns]
            };
            let bytes = bytemuck::cast_slice(&values);
            assert!(TensorView::new(tensor.dtype, shape.clone(), bytes).is_ok(), "an f32 miniature");
            let source = Rc::new(MemorySource::new(name.clone(), bytes, &plain.meter).unwrap());
            let (shape, bytes) = (shape.into_iter().map(|size| size as u64).collect(), bytes.len() as u64);
            checkpoint.tensors[&name] = StoredTensor { source, start: 0, shape, bytes, ..tensor.clone() };
        }
    }
    description.check(&checkpoint).unwrap();
    let (engine, weights) = (plain.original.engine.clone(), plain.weights.clone());
    let original = Transformer::new(engine, weights.clone(), Rc::new(checkpoint), description).unwrap();
    MergeContext { original, norms: plain.norms, weights, meter: plain.meter.clone(), separators: Vec::new() }
}

fn reference() -> Value {
    serde_json::from_str(include_str!("../../tests/fixtures/llama/reference.json")).unwrap()
}

fn loss(model: &Transformer) -> f64 {
    let ids = reference()["input_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
    pollster::block_on(evaluate(model, None, &[ids], &Task::silent())).unwrap().dense.nll
}

fn built(context: &MergeContext, state: &MergeState) -> Result<Transformer> {
    pollster::block_on(context.build(state, &Task::silent())).map(|(model, _)| model)
}

/// A merge of blocks by hand.
fn joined(context: &MergeContext, pairs: &[(usize, usize, Join)]) -> Result<Transformer> {
    let mut state = MergeState::all(context.original.description.layers);
    pairs.iter().for_each(|(keep, removed, join)| state.merge(*keep, *removed, join).unwrap());
    built(context, &state)
}

fn planned(context: &MergeContext, options: &MergeOptions) -> Result<Recipe> {
    let (plan, task) = (MergePlan::new(options, &context.original.description)?, Task::silent());
    pollster::block_on(async {
        let mut merge = GreedyMerge::begin(context, &plan, None, &task).await?;
        for _ in 0..plan.remove {
            merge.step(&task).await?;
        }
        Ok(merge.snapshot(&task).await?.0)
    })
}

fn near(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 1e-5, "{found}, expected {expected}");
}

#[test]
fn blocks_of_two_kinds_run_and_are_dropped_and_averaged_with_their_kind() {
    for norms in [Norms::Fold, Norms::Keep] {
        let plain = open("llama", norms);
        let mixed = widened(&plain);
        let description = &mixed.original.description;
        assert_eq!(description.block_kinds(), [0, 1, 1, 0, 1, 0]);
        assert!(description.note_on_kinds().is_some_and(|note| note.contains("2 kinds")));
        assert_eq!(plain.original.description.note_on_kinds(), None);
        near(loss(&mixed.original), reference()["loss"].as_f64().unwrap());
        for pairs in [
            vec![(1, 2, Join::Average(0.5))],
            vec![(1, 2, Join::Difference)],
            vec![(0, 1, Join::Average(1.0))],
            vec![(3, 4, Join::Average(1.0)), (2, 3, Join::Average(1.0))],
            // What is left of the other kind comes between no longer.
            vec![(2, 3, Join::Average(1.0)), (2, 4, Join::Average(0.25))],
        ] {
            let model = joined(&mixed, &pairs).unwrap();
            near(loss(&model), loss(&joined(&plain, &pairs).unwrap()));
            model.description.check(&model.checkpoint).unwrap();
        }
    }
}

/// Of the neurons that add nothing, the concatenated block has some of either parent.
#[test]
fn a_concatenation_has_as_many_neurons_as_its_kind() {
    let plain = open("llama", Norms::Fold);
    let mixed = widened(&plain);
    let (count, half) = (plain.original.description.neurons() as u32, plain.original.description.neurons() as u32 / 2);
    let concatenated = |context: &MergeContext, more: u32| {
        let further = |first: u32| count + first..count + first + more / 2;
        let earlier = (0..half).chain(further(0)).collect();
        let later = (half..count).chain(further(more / 2)).collect();
        let heads = [(0..plain.original.description.kv_heads as u32).collect(), Vec::new()];
        joined(context, &[(1, 2, Join::Concatenate(ChannelSelection { neurons: [earlier, later], heads }))])
    };
    near(loss(&concatenated(&mixed, MORE as u32).unwrap()), loss(&concatenated(&plain, 0).unwrap()));
    let error = concatenated(&mixed, 0).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("it concatenates 128 neurons") && error.contains("has 136"), "{error}");
}

#[test]
fn blocks_of_different_kinds_have_no_average_and_the_error_says_why() {
    let mixed = widened(&open("llama", Norms::Fold));
    for join in [Join::Average(0.5), Join::Average(0.0), Join::Difference] {
        let error = joined(&mixed, &[(0, 1, join)]).map(|_| ()).unwrap_err();
        let words = "mlp.gate_proj.weight is [128, 48] in block 0 and [136, 48] in block 1";
        assert_eq!(error.code(), "bad-argument");
        assert!(error.to_string().contains(words) && error.to_string().contains("drop one"), "{error}");
    }
    for combination in [Combination::Average, Combination::Difference, Combination::Concatenate] {
        let manual = MergeOptions {
            selection: Some(Selection::Manual),
            pairs: Some(vec![(2, 3)]),
            combination: Some(combination),
            alpha: (combination == Combination::Average).then_some(Alpha::Weight(0.5)),
            ..MergeOptions::default()
        };
        let error = planned(&mixed, &manual).unwrap_err();
        assert!(error.to_string().contains("blocks 2 and 3 are of different kinds"), "{error}");
    }
}

#[test]
fn a_selection_takes_pairs_of_one_kind_unless_it_drops() {
    let mixed = widened(&open("llama", Norms::Fold));
    let tail = |combination, remove| {
        let options = MergeOptions {
            selection: Some(Selection::Tail),
            combination: Some(combination),
            alpha: Some(Alpha::Weight(0.5)),
            remove: Some(remove),
            protect: Some(ProtectOption { first: Some(false), last: Some(false) }),
            ..MergeOptions::default()
        };
        planned(&mixed, &options)
    };
    let recipe = tail(Combination::Average, 1).unwrap();
    assert_eq!((recipe.steps[0].keep, recipe.steps[0].removed), (1, 2), "the last pair of one kind");
    assert!(built(&mixed, &recipe.merge_state(&Repairs::default()).unwrap()).is_ok());
    let error = tail(Combination::Average, 2).unwrap_err();
    assert!(error.to_string().contains("blocks of different kinds can only be dropped"), "{error}");
    let recipe = tail(Combination::Drop, 2).unwrap();
    assert_eq!(recipe.steps.iter().map(|step| step.removed).collect::<Vec<_>>(), [5, 4]);
}
