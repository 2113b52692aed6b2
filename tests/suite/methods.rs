//! Combinations, repairs and choices, each against its definition.

use mka_lab::calibration::Calibration;
use mka_lab::compute::Compute;
use mka_lab::compute::cpu::Cpu;
use mka_lab::interface::{CalibrateOptions, EvaluateOptions, Input};
use mka_lab::manifold::DiffusionMapOptions;
use mka_lab::merge::choices::{Combination, Norms, Repair};
use mka_lab::merge::options::MergeOptions;
use mka_lab::merge::recipe::Recipe;
use mka_lab::regression::{Features, NormalEquations, Samples};
use mka_lab::session::Model;
use mka_lab::similarity::Measure;
use mka_lab::task::Task;
use pollster::block_on;
use safetensors::SafeTensors;

use crate::support;
use crate::support::native::{calibrate, changed, export, lab, logits, merge, open, pairs, reference_ids, small};
use crate::support::oracle::off;
use crate::support::{content, miniature};

/// Half of a block and the other half of its twin are the block: whatever family it is, however its
/// tensors are stored.
#[test]
fn a_block_and_its_twin_concatenate_to_the_block() {
    let lab = lab();
    // Where the place of a block scales its scores, its twin is none; where its activation was
    // learned, blocks are not concatenated.
    let tried = |family: &&str| !["gpt2_scaled", "apertus"].contains(family);
    for (family, files) in miniature::of_each_family().into_iter().filter(|(family, _)| tried(family)) {
        let twin = changed(&files, |name, values, read| {
            let written = ["o_proj", "out_proj", "c_proj", "dense", "fc2", "down_proj", "dense_4h_to_h"];
            let Some(earlier) = name.replacen(".2.", ".1.", 1).into() else { return values };
            match name.contains(".2.") {
                // What both add to the stream is added, so one of the two adds nothing.
                true if name.ends_with("bias") && written.iter().any(|part| name.contains(&format!("{part}.bias"))) => {
                    vec![0.0; values.len()]
                }
                true => read(&earlier),
                false => values,
            }
        });
        let model = open(&lab, &twin);
        let ids = reference_ids(&files);
        let calibration = small(&model, &ids);
        let dropped = merge(&model, &pairs(&[(1, 2)], Combination::Drop), None).unwrap();
        let measured = merge(&model, &pairs(&[(1, 2)], Combination::Concatenate), Some(&calibration)).unwrap();
        let mut recipe: serde_json::Value = serde_json::to_value(measured.recipe().unwrap()).unwrap();
        let kept = recipe["steps"][0]["kept"].clone();
        let kept: mka_lab::merge::combine::ChannelSelection = serde_json::from_value(kept).unwrap();
        let count = |lists: &[Vec<u32>; 2]| lists[0].len() + lists[1].len();
        let (neurons, heads) = (count(&kept.neurons), count(&kept.heads));
        // The first half of the neurons from the earlier block, the rest from its twin.
        let earlier: Vec<u32> = (0..neurons as u32 / 2).collect();
        let later: Vec<u32> = (neurons as u32 / 2..neurons as u32).collect();
        let kept = mka_lab::merge::combine::ChannelSelection {
            neurons: [earlier, later],
            // A single one stays that of the earlier block, whose bias comes with it.
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
    let merged = merge(
        &model,
        &MergeOptions { norms: Some(Norms::Keep), ..pairs(&[(1, 2), (1, 3)], Combination::Difference) },
        None,
    );
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

/// Dividing what is written after a gap is multiplying all before it: norms do not see the
/// common factor.
#[test]
fn a_scale_after_the_gap_is_the_inverse_of_one_before_it() {
    let lab = lab();
    let factor = 1.5;
    for (family, files) in [("llama", miniature::llama()), ("gemma3", miniature::gemma3()), ("opt", miniature::opt())] {
        let ids = reference_ids(&files);
        let model = open(&lab, &files);
        let calibration = small(&model, &ids);
        let options = MergeOptions { repair: Some(Repair::Scale), ..pairs(&[(1, 2)], Combination::Drop) };
        let merged = merge(&model, &options, Some(&calibration)).unwrap();
        let mut recipe = merged.recipe().unwrap().clone();
        let measured = recipe.steps[0].scale.unwrap();
        assert!((0.2..5.0).contains(&measured), "{family}: {measured}");
        recipe.steps[0].scale = Some(factor);
        let options = MergeOptions { recipe: Some(recipe), ..MergeOptions::default() };
        let scaled_after = merge(&model, &options, None).unwrap();

        let normed = family == "gemma3";
        let offset = if family == "gemma3" { 1.0 } else { 0.0 };
        let scaled_before = changed(&files, |name, values, _| {
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
        let scaled_before = merge(&open(&lab, &scaled_before), &pairs(&[(1, 2)], Combination::Drop), None).unwrap();
        // Where the head is the embedding, it was multiplied too.
        let tied = if model.summary().tied { factor } else { 1.0 };
        let expected: Vec<f64> = logits(&scaled_before, &ids).into_iter().map(|logit| logit / tied).collect();
        let difference = off(&logits(&scaled_after, &ids), &expected);
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
    let engines: [Box<dyn Compute>; 2] = [Box::new(Cpu::default()), Box::new(block_on(support::gpu()))];
    for engine in engines {
        let engine = engine.as_ref();
        let mut sums = NormalEquations::full(engine, hidden, hidden).unwrap();
        let [mlp, stream, target] =
            [&mlp, &stream, &target].map(|values| engine.upload(values.len() / hidden, values).unwrap());
        let mut reached = stream;
        engine.add(&mut reached, 1.0, &mlp).unwrap();
        let rows = Samples { features: &[Features::all(&mlp)], current: &reached, target: &target };
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
    let (defaults, quiet) = (DiffusionMapOptions::default(), Task::silent());
    for measure in Measure::ALL {
        let matrix = block_on(calibration.similarity(measure, &defaults, &quiet)).unwrap();
        let similar = |gone: usize| match measure {
            Measure::Angular => 1.0 - matrix.get(gone - 1, gone),
            _ => matrix.get(gone - 1, gone),
        };
        let mut ranked: Vec<usize> = (1..11).collect();
        ranked.sort_by(|a, b| similar(*b).total_cmp(&similar(*a)));
        let options = |one_shot| MergeOptions {
            measure: Some(measure),
            one_shot: Some(one_shot),
            combination: Some(Combination::Drop),
            remove: Some(4),
            ..MergeOptions::default()
        };
        let merged = merge(&model, &options(true), Some(&calibration)).unwrap();
        let recipe = merged.recipe().unwrap();
        let gone: Vec<usize> = recipe.steps.iter().map(|step| step.removed).collect();
        assert_eq!(gone, ranked[..4], "{measure:?}");
        assert_eq!(recipe.steps[0].score, Some(similar(ranked[0]).clamp(0.0, 1.0)));
        assert!(recipe.one_shot && recipe.measure == Some(measure));
        let anew = merge(&model, &options(false), Some(&calibration)).unwrap();
        assert_eq!(anew.recipe().unwrap().steps[0].removed, ranked[0], "the first step is the same");
        assert!(!anew.recipe().unwrap().one_shot);
    }
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
    let merged = |repair: Repair| {
        let chosen = pairs(&[(2, 3), (5, 6), (5, 7), (8, 9)], Combination::Drop);
        merge(&model, &MergeOptions { repair: Some(repair), ..chosen }, Some(&calibration)).unwrap()
    };
    let (once, again) = (merged(Repair::Linear), merged(Repair::Refit));
    let recipe = again.recipe().unwrap();
    let layers: Vec<usize> = recipe.refits.iter().map(|refit| refit.layer).collect();
    assert_eq!(layers, [2, 4, 5, 8, 10, 11], "every block from the first gap on");
    let written: Vec<&str> =
        again.summary().tensors.unwrap().iter().map(|tensor| tensor.tensor.clone()).map(|n| &*n.leak()).collect();
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

/// A block of both neighbours takes none of the neurons that are next to nothing.
#[test]
fn the_own_method_keeps_what_is_of_use() {
    let files = miniature::mistral();
    let idle = changed(&files, |name, values, _| match name.contains(".2.") && name.contains("up_proj") {
        true => values.iter().map(|value| value * 1e-6).collect(),
        false => values,
    });
    let model = open(&lab(), &idle);
    let calibration = small(&model, &reference_ids(&idle));
    let options = MergeOptions { repair: Some(Repair::Refit), ..pairs(&[(1, 2)], Combination::Concatenate) };
    let merged = merge(&model, &options, Some(&calibration)).unwrap();
    let kept = merged.recipe().unwrap().steps[0].kept.clone().unwrap();
    assert!(kept.neurons[1].is_empty() && kept.heads[1].is_empty(), "{kept:?}");
}

#[test]
fn the_own_method_costs_no_more_where_more_pairs_were_tried() {
    tried(&[1, 4]);
}

#[test]
#[ignore = "full run: half a minute of trials, where fewer show the same"]
fn the_own_method_costs_no_more_where_all_pairs_were_tried() {
    tried(&[1, 3, 12]);
}

/// The own method's first step where so many pairs are tried: what it costs never rises, and falls
/// from the first to the last.
fn tried(candidates: &[usize]) {
    let model = open(&lab(), &support::demo());
    let calibration = stories(&model, 8);
    let cost = |candidates: &usize| {
        let options = MergeOptions {
            preset: Some("loss-guided".into()),
            candidates: Some(*candidates),
            ..MergeOptions::default()
        };
        let merged = merge(&model, &options, Some(&calibration)).unwrap();
        merged.recipe().unwrap().steps[0].score.unwrap()
    };
    let costs: Vec<f64> = candidates.iter().map(cost).collect();
    assert!(costs.is_sorted_by(|fewer, more| fewer >= more), "{costs:?}");
    assert!(costs.first() > costs.last(), "there is a choice: {costs:?}");
}

#[test]
fn the_own_method_falls_back_to_a_linear_map_where_nothing_can_be_fitted_anew() {
    let files = miniature::gemma3();
    let model = open(&lab(), &files);
    let calibration = small(&model, &reference_ids(&files));
    for repair in [None, Some(Repair::Refit)] {
        let options = MergeOptions {
            preset: Some("loss-guided".into()),
            measure: Some(Measure::Cka),
            repair,
            ..MergeOptions::default()
        };
        let merged = merge(&model, &options, Some(&calibration)).unwrap();
        assert_eq!(merged.recipe().unwrap().repair, Repair::Linear);
        let warnings = merged.summary().warnings.join(" ");
        assert!(warnings.contains("instead of fitting all blocks anew"), "{warnings}");
    }
}

#[test]
fn what_cannot_be_joined_says_so() {
    let model = open(&lab(), &support::demo());
    let refused = merge(&model, &pairs(&[(1, 2)], Combination::Concatenate), None).err().unwrap();
    assert!(refused.to_string().contains("calibrat"), "{refused}");
}
