//! Selection, combination and repair: any with any other, for every family; and each new one against its definition.

use std::collections::BTreeMap;
use std::rc::Rc;

use mka_lab::compute::Compute;
use mka_lab::compute::cpu::Cpu;
use mka_lab::compute::gpu::Gpu;
use mka_lab::interface::{
    CalibrateOptions, EvaluateOptions, Input, ManifoldOptions, MergeOptions, ProtectOption, RowsOption,
};
use mka_lab::merge::recipe::Recipe;
use mka_lab::merge::repair::{Read, Rows, Sums};
use mka_lab::session::{Calibration, Lab, Model};
use mka_lab::similarity::Measure;
use mka_lab::task::Task;
use pollster::block_on;
use safetensors::SafeTensors;

use crate::support;
use crate::support::native::{calibrate, export, lab, merge, open, pairs};
use crate::support::{Files, content, miniature, source};

fn families() -> Vec<(&'static str, Files)> {
    vec![
        ("llama", miniature::llama()),
        ("mistral", miniature::mistral()),
        ("qwen2", miniature::qwen2()),
        ("qwen3", miniature::qwen3()),
        ("gpt2", miniature::gpt2()),
        ("gpt_neox", miniature::gpt_neox()),
        ("phi", miniature::phi()),
        ("opt", miniature::opt()),
        ("gemma3", miniature::gemma3()),
        ("olmo2", miniature::olmo2()),
        ("smollm3", miniature::smollm3()),
        ("phi3", miniature::phi3()),
        ("gpt_neo", miniature::gpt_neo()),
        ("gemma2", miniature::gemma2()),
        ("opt, norms on the stream", miniature::opt_post()),
        ("gpt2, scaled by depth", miniature::gpt2_scaled()),
        ("phi, queries normalised", miniature::phi_normed()),
    ]
}

fn ids(files: &Files) -> Vec<u32> {
    let reference: serde_json::Value = serde_json::from_slice(content(files, "reference.json")).unwrap();
    reference["input_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn input(ids: &[u32]) -> Input {
    Input { ids: Some(ids.to_vec()), ..Input::default() }
}

fn loss(model: &Model, ids: &[u32]) -> f64 {
    let options = EvaluateOptions { input: input(ids), window: Some(ids.len()), sequences: Some(1) };
    let (measured, _) = block_on(model.evaluate(&options, &Task::silent())).unwrap();
    measured.divergence.map_or(measured.dense.nll, |found| found.merged.nll)
}

fn logits(model: &Model, ids: &[u32]) -> Vec<f64> {
    let (_, values) = block_on(model.logits(&input(ids), &Task::silent())).unwrap();
    values.into_iter().map(f64::from).collect()
}

fn reopened(lab: &Rc<Lab>, files: &BTreeMap<String, Vec<u8>>) -> Rc<Model> {
    let files: Vec<_> = files.iter().map(|(name, bytes)| source(name, bytes)).collect();
    block_on(support::open(lab, &files))
}

/// The largest difference as a share of the largest expected value.
fn off(found: &[f64], expected: &[f64]) -> f64 {
    let largest = expected.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    found.iter().zip(expected).fold(0.0f64, |most, (a, b)| most.max((a - b).abs())) / largest
}

fn small(model: &Model, ids: &[u32]) -> Calibration {
    let options = CalibrateOptions {
        input: input(ids),
        sequences: Some(3),
        window: Some(ids.len() / 3),
        rows: Some(RowsOption::Word("all".into())),
        skip: Some(1),
        ..CalibrateOptions::default()
    };
    block_on(model.calibrate(&options, &Task::silent())).unwrap()
}

#[test]
fn any_selection_with_any_combination_with_any_repair_for_every_family() {
    let lab = lab();
    for (family, files) in families() {
        let model = open(&lab, &files);
        let ids = ids(&files);
        let calibration = small(&model, &ids);
        for selection in ["tail", "similarity", "block-influence", "window", "loss", "manual"] {
            for combination in ["drop", "average", "difference", "concatenate"] {
                for repair in ["none", "scale", "linear", "refit"] {
                    let what = format!("{family}: {selection}, {combination}, {repair}");
                    let manual = selection == "manual";
                    let options = MergeOptions {
                        selection: Some(selection.into()),
                        pairs: manual.then(|| vec![(0, 1), (0, 2)]),
                        remove: (!manual).then_some(2),
                        combination: Some(combination.into()),
                        // The rows are too few for diffusion maps.
                        measure: Some("cka".into()),
                        repair: Some(repair.into()),
                        candidates: Some(2),
                        // Four layers would leave too few otherwise.
                        protect: Some(ProtectOption { first: Some(false), last: Some(false) }),
                        ..MergeOptions::default()
                    };
                    let merged = merge(&model, &options, Some(&calibration));
                    // Blocks that read the stream as it is: a scale would change what they compute.
                    if ["olmo2", "opt, norms on the stream"].contains(&family) && repair == "scale" {
                        assert!(merged.err().unwrap().to_string().contains("without a norm"), "{what}");
                        continue;
                    }
                    if ["gemma2", "gemma3", "olmo2", "opt, norms on the stream"].contains(&family) && repair == "refit"
                    {
                        assert!(merged.err().unwrap().to_string().contains("a norm between"), "{what}");
                        continue;
                    }
                    let merged = merged.unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert_eq!(merged.summary().layers, model.summary().layers - 2, "{what}");
                    let predicted = loss(&merged, &ids);
                    assert!(predicted.is_finite(), "{what}");
                    let out = export(&merged);
                    assert_eq!(
                        loss(&reopened(&lab, &out), &ids),
                        predicted,
                        "{what}: what is written is what was measured"
                    );
                    let replay = MergeOptions {
                        recipe: Some(serde_json::from_slice(&out["recipe.json"]).unwrap()),
                        repair_maps: out.get("repair.safetensors").cloned(),
                        ..MergeOptions::default()
                    };
                    assert_eq!(export(&merge(&model, &replay, None).unwrap()), out, "{what}: the same bytes again");
                }
            }
        }
    }
}

/// The model's weights with each tensor changed by `change`, all in f32.
fn changed(files: &Files, change: impl Fn(&str, Vec<f32>, &dyn Fn(&str) -> Vec<f32>) -> Vec<f32>) -> Files {
    let bytes = content(files, "model.safetensors");
    let read = SafeTensors::deserialize(bytes).unwrap();
    let values = |name: &str| bytemuck::pod_collect_to_vec::<u8, f32>(read.tensor(name).unwrap().data());
    let mut new = bytes.to_vec();
    let (length, metadata) = SafeTensors::read_metadata(bytes).unwrap();
    for name in read.names() {
        let (from, to) = metadata.info(name).unwrap().data_offsets;
        let changed = change(name, values(name), &values);
        new[8 + length + from..8 + length + to].copy_from_slice(bytemuck::cast_slice(&changed));
    }
    let new: &'static [u8] = Box::leak(new.into_boxed_slice());
    files.iter().map(|(name, old)| (*name, if *name == "model.safetensors" { new } else { old })).collect()
}

/// Half of a block and the other half of its twin are the block: whatever family it is, however its tensors are stored.
#[test]
fn a_block_and_its_twin_concatenate_to_the_block() {
    let lab = lab();
    // Where the place of a block scales its scores, its twin is none.
    for (family, files) in families().into_iter().filter(|(family, _)| !family.contains("depth")) {
        let twin = changed(&files, |name, values, read| {
            let written = ["o_proj", "out_proj", "c_proj", "dense", "fc2", "down_proj", "dense_4h_to_h"];
            let Some(front) = name.replacen(".2.", ".1.", 1).into() else { return values };
            match name.contains(".2.") {
                // What both add to the stream is added, so one of the two adds nothing.
                true if name.ends_with("bias") && written.iter().any(|part| name.contains(&format!("{part}.bias"))) => {
                    vec![0.0; values.len()]
                }
                true => read(&front),
                false => values,
            }
        });
        let model = open(&lab, &twin);
        let ids = ids(&files);
        let calibration = small(&model, &ids);
        let dropped = merge(&model, &pairs(&[(1, 2)], "drop"), None).unwrap();
        let measured = merge(&model, &pairs(&[(1, 2)], "concatenate"), Some(&calibration)).unwrap();
        let mut recipe: serde_json::Value = serde_json::to_value(measured.recipe().unwrap()).unwrap();
        let kept = recipe["steps"][0]["kept"].clone();
        let kept: mka_lab::merge::Kept = serde_json::from_value(kept).unwrap();
        let count = |lists: &[Vec<u32>; 2]| lists[0].len() + lists[1].len();
        let (neurons, heads) = (count(&kept.neurons), count(&kept.heads));
        // Every other neuron of the first half from the front, and what is missing of the rest from the twin.
        let front: Vec<u32> = (0..neurons as u32 / 2).collect();
        let back: Vec<u32> = (neurons as u32 / 2..neurons as u32).collect();
        let kept = mka_lab::merge::Kept {
            neurons: [front, back],
            // A single one stays that of the front, whose bias comes with it.
            heads: [(0..heads.div_ceil(2) as u32).collect(), (heads.div_ceil(2) as u32..heads as u32).collect()],
        };
        recipe["steps"][0]["kept"] = serde_json::to_value(&kept).unwrap();
        let recipe: Recipe = serde_json::from_value(recipe).unwrap();
        let options = MergeOptions { recipe: Some(recipe.clone()), ..MergeOptions::default() };
        let joined = merge(&model, &options, None).unwrap();
        let difference = off(&logits(&joined, &ids), &logits(&dropped, &ids));
        assert!(difference < 1e-4, "{family}: {difference:e}");

        let mut wrong = recipe;
        let kept = wrong.steps[0].kept.as_mut().unwrap();
        kept.neurons[0].push(neurons as u32);
        let options = MergeOptions { recipe: Some(wrong), ..MergeOptions::default() };
        let error = merge(&model, &options, None).err().unwrap();
        assert!(error.to_string().contains("neurons"), "{family}: {error}");
    }
}

#[test]
fn a_difference_is_the_sum_of_what_the_others_have_beyond_the_first() {
    let files = support::stories260k();
    let model = open(&lab(), &files);
    let merged =
        merge(&model, &MergeOptions { norms: Some("keep".into()), ..pairs(&[(1, 2), (1, 3)], "difference") }, None);
    let merged = merged.unwrap();
    let out = export(&merged);
    let (before, after) = (
        SafeTensors::deserialize(content(&files, "model.safetensors")).unwrap(),
        SafeTensors::deserialize(&out["model.safetensors"]).unwrap(),
    );
    let values = |file: &SafeTensors, layer: usize, part: &str| {
        let tensor = file.tensor(&format!("model.layers.{layer}.{part}.weight")).unwrap();
        bytemuck::pod_collect_to_vec::<u8, f32>(tensor.data())
    };
    for part in ["self_attn.q_proj", "mlp.down_proj"] {
        let [first, second, third] = [1, 2, 3].map(|layer| values(&before, layer, part));
        for (index, found) in values(&after, 1, part).into_iter().enumerate() {
            let expected = first[index] + (second[index] - first[index]) + (third[index] - first[index]);
            assert!((found - expected).abs() < 1e-5, "{part}: {found}, not {expected}");
        }
    }
    assert_eq!(values(&after, 1, "input_layernorm"), values(&before, 1, "input_layernorm"));
}

/// Dividing what is written behind a gap is multiplying all in front of it: norms do not see the common factor.
#[test]
fn a_scale_behind_the_gap_is_the_inverse_of_one_in_front_of_it() {
    let lab = lab();
    let factor = 1.5;
    for (family, files) in [("llama", miniature::llama()), ("gemma3", miniature::gemma3()), ("opt", miniature::opt())] {
        let ids = ids(&files);
        let model = open(&lab, &files);
        let calibration = small(&model, &ids);
        let options = MergeOptions { repair: Some("scale".into()), ..pairs(&[(1, 2)], "drop") };
        let merged = merge(&model, &options, Some(&calibration)).unwrap();
        let mut recipe = merged.recipe().unwrap().clone();
        let measured = recipe.steps[0].scale.unwrap();
        assert!((0.2..5.0).contains(&measured), "{family}: {measured}");
        recipe.steps[0].scale = Some(factor);
        let options = MergeOptions { recipe: Some(recipe), ..MergeOptions::default() };
        let behind = merge(&model, &options, None).unwrap();

        let normed = family == "gemma3";
        let offset = if family == "gemma3" { 1.0 } else { 0.0 };
        let in_front = changed(&files, |name, values, _| {
            let part = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
            let early = [".0.", ".1."].iter().any(|layer| name.contains(&format!("layers{layer}")));
            let times = |value: f32| value * factor as f32;
            match family {
                _ if part(&["embed_tokens", "embed_positions"]) => values.into_iter().map(times).collect(),
                _ if normed && early && part(&["post_attention_layernorm", "post_feedforward_layernorm"]) => {
                    values.into_iter().map(|value| times(value + offset) - offset).collect()
                }
                _ if !normed && early && part(&["o_proj", "out_proj", "down_proj", "fc2"]) => {
                    values.into_iter().map(times).collect()
                }
                _ => values,
            }
        });
        let in_front = merge(&open(&lab, &in_front), &pairs(&[(1, 2)], "drop"), None).unwrap();
        // Where the head is the embedding, it was multiplied too.
        let tied = if model.summary().tied { factor } else { 1.0 };
        let expected: Vec<f64> = logits(&in_front, &ids).into_iter().map(|logit| logit / tied).collect();
        let difference = off(&logits(&behind, &ids), &expected);
        assert!(difference < 2e-3, "{family}: {difference:e}");
    }
}

#[test]
fn a_repair_solves_what_numpy_solves() {
    let bytes = include_bytes!("../fixtures/repair.safetensors");
    let file = SafeTensors::deserialize(bytes).unwrap();
    let values = |name: &str| bytemuck::pod_collect_to_vec::<u8, f32>(file.tensor(name).unwrap().data());
    let (stream, mlp, target) = (values("stream"), values("mlp"), values("target"));
    let expected = bytemuck::pod_collect_to_vec::<u8, f64>(file.tensor("map").unwrap().data());
    let hidden = file.tensor("map").unwrap().shape()[0];
    let engines: [Box<dyn Compute>; 2] = [Box::new(Cpu::default()), Box::new(block_on(Gpu::create()).unwrap())];
    for engine in engines {
        let engine = engine.as_ref();
        let mut sums = Sums::whole(engine, hidden, hidden).unwrap();
        let [mlp, stream, target] =
            [&mlp, &stream, &target].map(|values| engine.upload(values.len() / hidden, values).unwrap());
        let mut reached = stream;
        engine.add(&mut reached, 1.0, &mlp).unwrap();
        let rows = Rows { read: &[Read::all(&mlp)], stream: &reached, target: &target };
        block_on(sums.add(engine, rows, 50, usize::MAX, &Task::silent())).unwrap();
        for (found, expected) in block_on(sums.map(engine, 0.3)).unwrap().into_iter().zip(&expected) {
            let off = (f64::from(found) - expected).abs() / expected.abs().max(1.0);
            assert!(off < 1e-6, "{}: {found}, not {expected}, off by {off:e}", engine.info().backend);
        }
        // In f32 on the engine, and without the identity.
        let change = block_on(async { engine.read(&sums.solve(engine, 0.3, &Task::silent()).await?).await }).unwrap();
        for (i, (found, expected)) in change.into_iter().zip(&expected).enumerate() {
            let expected = expected - f64::from(u8::from(i / hidden == i % hidden));
            assert!((f64::from(found) - expected).abs() < 1e-5, "{}: {found}, not {expected}", engine.info().backend);
        }
    }
}

#[test]
fn the_measure_and_one_shot_decide_which_pairs_go() {
    let model = open(&lab(), &support::demo());
    let calibration = calibrate(&model);
    let (defaults, quiet) = (ManifoldOptions::default(), Task::silent());
    for measure in Measure::ALL {
        let matrix = block_on(calibration.similarity(measure, &defaults, &quiet)).unwrap();
        let similar = |gone: usize| match measure {
            Measure::Angular => 1.0 - matrix.get(gone - 1, gone),
            _ => matrix.get(gone - 1, gone),
        };
        let mut ranked: Vec<usize> = (1..11).collect();
        ranked.sort_by(|a, b| similar(*b).total_cmp(&similar(*a)));
        let options = |one_shot| MergeOptions {
            measure: Some(measure.name().into()),
            one_shot: Some(one_shot),
            combination: Some("drop".into()),
            remove: Some(4),
            ..MergeOptions::default()
        };
        let merged = merge(&model, &options(true), Some(&calibration)).unwrap();
        let recipe = merged.recipe().unwrap();
        let gone: Vec<usize> = recipe.steps.iter().map(|step| step.gone).collect();
        assert_eq!(gone, ranked[..4], "{measure:?}");
        assert_eq!(recipe.steps[0].score, Some(similar(ranked[0]).clamp(0.0, 1.0)));
        assert!(recipe.one_shot && recipe.measure.as_deref() == Some(measure.name()));
        let anew = merge(&model, &options(false), Some(&calibration)).unwrap();
        assert_eq!(anew.recipe().unwrap().steps[0].gone, ranked[0], "the first step is the same");
        assert!(!anew.recipe().unwrap().one_shot);
    }
    let unknown = MergeOptions { measure: Some("magic".into()), ..MergeOptions::default() };
    assert!(merge(&model, &unknown, Some(&calibration)).err().unwrap().to_string().contains("npib-knn"));
}

/// Calibrated on the beginning of the stories, in windows of 128 tokens.
fn stories(model: &Model, sequences: usize) -> Calibration {
    let options = CalibrateOptions {
        input: Input { text: Some(support::TINYSTORIES[..40_000].into()), ..Input::default() },
        sequences: Some(sequences),
        window: Some(128),
        ..CalibrateOptions::default()
    };
    block_on(model.calibrate(&options, &Task::silent())).unwrap()
}

#[test]
fn a_refit_is_kept_where_held_out_windows_agree_and_replays_to_the_same_bytes() {
    let model = open(&lab(), &support::demo());
    let calibration = stories(&model, 24);
    let merged = |repair: &str| {
        let chosen = pairs(&[(2, 3), (5, 6), (5, 7), (8, 9)], "drop");
        merge(&model, &MergeOptions { repair: Some(repair.into()), ..chosen }, Some(&calibration)).unwrap()
    };
    let (once, again) = (merged("linear"), merged("refit"));
    let recipe = again.recipe().unwrap();
    let layers: Vec<usize> = recipe.refits.iter().map(|refit| refit.layer).collect();
    assert_eq!(layers, [2, 4, 5, 8, 10, 11], "every block from the first gap on");
    let written: Vec<&str> =
        again.summary().tensors.unwrap().iter().map(|tensor| tensor.name.clone()).map(|n| &*n.leak()).collect();
    assert_eq!(written.len(), 2 * layers.len(), "both projections of each: {written:?}");
    let loss = |model: &Model| {
        let input = Input { text: Some(support::TINYSTORIES[50_000..].into()), ..Input::default() };
        let options = EvaluateOptions { input, window: Some(128), sequences: Some(8) };
        block_on(model.evaluate(&options, &Task::silent())).unwrap().0.divergence.unwrap().merged.nll
    };
    println!("held out: {} repaired, {} fitted anew", loss(&once), loss(&again));
    assert!(loss(&again) < loss(&once), "{} after {}", loss(&again), loss(&once));
    let out = export(&again);
    let replay = |maps| MergeOptions { recipe: Some(recipe.clone()), repair_maps: maps, ..MergeOptions::default() };
    let maps = out.get("repair.safetensors").cloned();
    assert_eq!(export(&merge(&model, &replay(maps), None).unwrap()), out, "the same bytes");
    let anew = merge(&model, &replay(None), Some(&calibration)).unwrap();
    assert!(
        export(&anew)["model.safetensors"] == out["model.safetensors"],
        "what was held out is fitted on in the end"
    );
}

/// A block of both neighbours takes none of the neurons that are next to nothing, and costs no more where more pairs were tried.
#[test]
fn the_own_method_keeps_what_is_of_use() {
    let files = miniature::mistral();
    let idle = changed(&files, |name, values, _| match name.contains(".2.") && name.contains("up_proj") {
        true => values.iter().map(|value| value * 1e-6).collect(),
        false => values,
    });
    let model = open(&lab(), &idle);
    let calibration = small(&model, &ids(&idle));
    let options = MergeOptions { repair: Some("refit".into()), ..pairs(&[(1, 2)], "concatenate") };
    let merged = merge(&model, &options, Some(&calibration)).unwrap();
    let kept = merged.recipe().unwrap().steps[0].kept.clone().unwrap();
    assert!(kept.neurons[1].is_empty() && kept.heads[1].is_empty(), "{kept:?}");

    let model = open(&lab(), &support::demo());
    let calibration = stories(&model, 8);
    let first = |candidates| {
        let options = MergeOptions {
            preset: Some("loss-guided".into()),
            candidates: Some(candidates),
            ..MergeOptions::default()
        };
        let merged = merge(&model, &options, Some(&calibration)).unwrap();
        let step = merged.recipe().unwrap().steps[0].clone();
        (step.score.unwrap(), step.gone)
    };
    let (one, few, all) = (first(1), first(3), first(12));
    assert!(one.0 >= few.0 && few.0 >= all.0, "{one:?} {few:?} {all:?}");
    assert!(one.0 > all.0, "there is a choice");
}

#[test]
fn the_own_method_falls_back_to_a_linear_map_where_nothing_can_be_fitted_anew() {
    let files = miniature::gemma3();
    let model = open(&lab(), &files);
    let calibration = small(&model, &ids(&files));
    for repair in [None, Some("refit".into())] {
        let options = MergeOptions {
            preset: Some("loss-guided".into()),
            measure: Some("cka".into()),
            repair,
            ..MergeOptions::default()
        };
        let merged = merge(&model, &options, Some(&calibration)).unwrap();
        assert_eq!(merged.recipe().unwrap().repair, "linear");
        let warnings = merged.summary().warnings.join(" ");
        assert!(warnings.contains("instead of fitting all blocks anew"), "{warnings}");
    }
}

#[test]
fn what_cannot_be_joined_says_so() {
    let model = open(&lab(), &support::demo());
    let refused = merge(&model, &pairs(&[(1, 2)], "concatenate"), None).err().unwrap();
    assert!(refused.to_string().contains("calibrat"), "{refused}");
}
