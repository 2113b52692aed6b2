//! Merging: what is exported, replayed, chosen, repaired and refused.

use mka_lab::interface::CalibrateOptions;
use mka_lab::manifold::DiffusionMapOptions;
use mka_lab::merge::choices::{Alpha, AlphaSource, Combination, Norms, Repair, Selection};
use mka_lab::merge::options::MergeOptions;
use mka_lab::merge::recipe::Recipe;
use mka_lab::session::Model;
use mka_lab::similarity::Measure;
use mka_lab::task::Task;
use pollster::block_on;
use safetensors::SafeTensors;

use crate::support;
use crate::support::native::{calibrate, evaluate, export, lab, merge, open, pairs, text};
use crate::support::{TINYSTORIES, source};

#[test]
fn an_export_is_the_input_but_for_what_changed() {
    let lab = lab();
    let files = support::demo();
    let model = open(&lab, &files);
    let options =
        MergeOptions { alpha: Some(Alpha::Weight(0.75)), ..pairs(&[(2, 3), (5, 6), (5, 7)], Combination::Average) };
    let merged = merge(&model, &options, None).unwrap();
    let out = export(&merged);
    let names: Vec<&str> = out.keys().map(String::as_str).collect();
    let expected = [
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "recipe.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    assert_eq!(names, expected);
    for name in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        assert_eq!(out[name], support::content(&files, name), "{name} is copied");
    }
    let (before, after): (serde_json::Value, serde_json::Value) = (
        serde_json::from_slice(support::content(&files, "config.json")).unwrap(),
        serde_json::from_slice(&out["config.json"]).unwrap(),
    );
    for (key, value) in before.as_object().unwrap() {
        let expected = if key == "num_hidden_layers" { &serde_json::json!(9) } else { value };
        assert_eq!(&after[key], expected, "{key}");
    }
    let input = SafeTensors::deserialize(support::content(&files, "model.safetensors")).unwrap();
    let output = SafeTensors::deserialize(&out["model.safetensors"]).unwrap();
    // MergeState in order, and what they are made of.
    let survivors: [&[usize]; 9] = [&[0], &[1], &[2, 3], &[4], &[5, 6, 7], &[8], &[9], &[10], &[11]];
    assert_eq!(output.len(), 2 + 9 * 9);
    for (index, parents) in survivors.iter().enumerate() {
        for part in ["input_layernorm", "self_attn.q_proj", "self_attn.o_proj", "mlp.down_proj"] {
            let tensor = |file: &SafeTensors, layer: usize| {
                file.tensor(&format!("model.layers.{layer}.{part}.weight")).unwrap().data().to_vec()
            };
            let new = tensor(&output, index);
            if let [layer] = parents {
                assert!(new == tensor(&input, *layer), "block {index}, {part} is unchanged");
            } else {
                parents.iter().for_each(|layer| assert!(new != tensor(&input, *layer), "block {index}, {part} is new"));
            }
        }
    }
    // 0.75 * (0.75 * W5 + 0.25 * W6) + 0.25 * W7, rounded once.
    let values = |layer: usize| {
        let bytes = input.tensor(&format!("model.layers.{layer}.mlp.down_proj.weight")).unwrap().data().to_vec();
        bytemuck::pod_collect_to_vec::<u8, u16>(&bytes).into_iter().map(|b| half::bf16::from_bits(b).to_f32())
    };
    let expected: Vec<u16> = values(5)
        .zip(values(6))
        .zip(values(7))
        .map(|((a, b), c)| half::bf16::from_f32(0.5625 * a + 0.1875 * b + 0.25 * c).to_bits())
        .collect();
    let found = output.tensor("model.layers.4.mlp.down_proj.weight").unwrap().data();
    assert_eq!(bytemuck::pod_collect_to_vec::<u8, u16>(found), expected);

    let proof = merged.summary().tensors.unwrap();
    assert_eq!(proof.len(), 2 * 7, "seven matrices of two blocks");
    for change in &proof {
        assert!(change.parents.iter().all(|parent| parent.distance > 0.01), "{change:?}");
        assert!((change.parents.iter().map(|parent| parent.weight).sum::<f64>() - 1.0).abs() < 1e-12);
    }

    // What was written opens again and predicts the same.
    let again: Vec<_> = out.iter().map(|(name, bytes)| source(name, bytes)).collect();
    let again = block_on(support::open(&lab, &again));
    let (measured, _) = evaluate(&merged, text(TINYSTORIES));
    assert_eq!(evaluate(&again, text(TINYSTORIES)).0.dense, measured.divergence.unwrap().merged);
}

#[test]
fn a_recipe_gives_the_same_bytes_on_either_engine() {
    let lab = lab();
    let model = open(&lab, &support::demo());
    let calibration = calibrate(&model);
    let options = MergeOptions { remove: Some(2), ..MergeOptions::default() };
    let merged = merge(&model, &options, Some(&calibration)).unwrap();
    let out = export(&merged);
    assert_eq!(export(&merge(&model, &options, Some(&calibration)).unwrap()), out, "twice the same");

    let recipe: Recipe = serde_json::from_slice(&out["recipe.json"]).unwrap();
    assert_eq!(Some(&recipe), merged.recipe());
    let replay = MergeOptions { recipe: Some(recipe.clone()), ..MergeOptions::default() };
    assert_eq!(export(&merge(&model, &replay, None).unwrap()), out);
    let other_engine = block_on(support::lab("webgpu"));
    assert_eq!(export(&merge(&open(&other_engine, &support::demo()), &replay, None).unwrap()), out);

    let mut foreign = recipe.clone();
    foreign.model.fingerprint = "0".repeat(64);
    let foreign = MergeOptions { recipe: Some(foreign), ..MergeOptions::default() };
    assert_eq!(merge(&model, &foreign, None).err().unwrap().code(), "bad-argument");
    let warned = merge(&model, &foreign, Some(&calibration)).unwrap();
    assert!(warned.summary().warnings[0].contains("another model"));
    for broken in
        [Recipe { format: "mka-recipe/9".into(), ..recipe.clone() }, Recipe { steps: Vec::new(), ..recipe.clone() }]
    {
        let broken = MergeOptions { recipe: Some(broken), ..MergeOptions::default() };
        assert_eq!(merge(&model, &broken, None).err().unwrap().code(), "bad-argument");
    }
}

#[test]
fn every_preset_merges_and_says_what_it_did() {
    let model = open(&lab(), &support::demo());
    let calibration = calibrate(&model);
    let influence = block_on(calibration.block_influence(&Task::silent())).unwrap();
    for preset in mka_lab::merge::presets::PRESETS {
        let options = MergeOptions { preset: Some(preset.name.into()), remove: Some(3), ..MergeOptions::default() };
        let merged = merge(&model, &options, Some(&calibration)).unwrap();
        assert_eq!(merged.summary().layers, 9);
        let recipe = merged.recipe().unwrap();
        let gone: Vec<usize> = recipe.steps.iter().map(|step| step.removed).collect();
        let alphas: Vec<f64> = recipe.steps.iter().filter_map(|step| step.alpha).collect();
        match preset.name {
            "published-code" => assert_eq!((gone, alphas), (vec![11, 10, 9], vec![1.0; 3])),
            "published-code-written" => {
                assert_eq!(gone, [11, 10, 9]);
                assert!(alphas.iter().all(|alpha| (0.5..0.74).contains(alpha)), "{alphas:?}");
            }
            "shortgpt" => {
                let mut order: Vec<usize> = (1..11).collect();
                order.sort_by(|a, b| influence[*a].total_cmp(&influence[*b]));
                assert_eq!(gone, order[..3]);
            }
            "window-drop" => assert!(gone.windows(2).all(|pair| pair[1] == pair[0] + 1)),
            "mka" => {
                for step in &recipe.steps {
                    assert_eq!(step.alpha, step.similarity);
                    assert_eq!(step.similarity, step.score);
                }
                let first = block_on(calibration.similarity(
                    Measure::NpibGaussian,
                    &DiffusionMapOptions::default(),
                    &Task::silent(),
                ))
                .unwrap();
                let best = (1..10).map(|l| first.get(l, l + 1)).fold(0.0, f64::max);
                assert_eq!(recipe.steps[0].score, Some(best));
            }
            "replaceme" => {
                assert!(gone.windows(2).all(|pair| pair[1] == pair[0] + 1));
                assert_eq!(recipe.repair, Repair::Linear);
                assert!(recipe.steps[..2].iter().all(|step| step.ridge.is_none()), "one gap, one repair");
            }
            "loss-guided" => {
                let scores: Vec<f64> = recipe.steps.iter().filter_map(|step| step.score).collect();
                assert!(scores.len() == 3 && scores.iter().all(|kl| (0.0..1.0).contains(kl)), "{scores:?}");
                assert!(recipe.steps.iter().all(|step| step.kept.is_some()) && !recipe.refits.is_empty());
            }
            "sleb" => {
                assert!(recipe.steps.iter().all(|step| step.score.is_some_and(|loss| loss > 1.0)), "{recipe:?}");
                assert_eq!(alphas, [1.0; 3]);
            }
            "laco" => {
                assert!(alphas.is_empty() && recipe.steps.iter().all(|step| step.kept.is_none()));
                assert!(gone.windows(2).all(|pair| pair[1] == pair[0] + 1));
            }
            "prune-comp" => {
                let scales: Vec<bool> = recipe.steps.iter().map(|step| step.scale.is_some()).collect();
                let last_of_its_gap = |index: usize| {
                    recipe.steps[index + 1..]
                        .iter()
                        .all(|later| ![later.keep, later.removed].contains(&recipe.steps[index].keep))
                };
                assert_eq!(scales, [0, 1, 2].map(last_of_its_gap));
            }
            "come" => {
                assert_eq!(gone, [11, 10, 9]);
                assert!(recipe.steps.iter().all(|step| step.kept.is_some() && step.alpha.is_none()));
            }
            other => panic!("no expectation for {other}"),
        }
    }
    let window = MergeOptions { selection: Some(Selection::Window), remove: Some(3), ..MergeOptions::default() };
    let merged = merge(&model, &window, Some(&calibration)).unwrap();
    let weights: Vec<f64> = merged.summary().tensors.unwrap()[0].parents.iter().map(|parent| parent.weight).collect();
    assert_eq!(weights.len(), 4);
    assert!(weights.iter().all(|weight| (weight - 0.25).abs() < 1e-12), "equal weights: {weights:?}");
}

#[test]
fn norms_that_are_kept_are_those_of_the_first() {
    let model = open(&lab(), &support::stories260k());
    let files = support::stories260k();
    let input = SafeTensors::deserialize(support::content(&files, "model.safetensors")).unwrap();
    let options = |norms: Norms, alpha| MergeOptions {
        norms: Some(norms),
        alpha: Some(Alpha::Weight(alpha)),
        ..pairs(&[(2, 3)], Combination::Average)
    };
    let name = "model.layers.2.input_layernorm.weight";
    let kept = export(&merge(&model, &options(Norms::Keep, 0.5), None).unwrap());
    let kept = SafeTensors::deserialize(&kept["model.safetensors"]).unwrap();
    assert_eq!(kept.tensor(name).unwrap().data(), input.tensor(name).unwrap().data());
    let folded = export(&merge(&model, &options(Norms::Fold, 0.5), None).unwrap());
    let folded = SafeTensors::deserialize(&folded["model.safetensors"]).unwrap();
    let ones = bytemuck::pod_collect_to_vec::<u8, f32>(folded.tensor(name).unwrap().data());
    assert!(ones.iter().all(|gain| *gain == 1.0));
    // Alpha 0 puts the second block in the place of the first: the other drop.
    let second = export(&merge(&model, &options(Norms::Fold, 0.0), None).unwrap());
    let second = SafeTensors::deserialize(&second["model.safetensors"]).unwrap();
    let third = input.tensor("model.layers.3.input_layernorm.weight").unwrap();
    assert_eq!(second.tensor(name).unwrap().data(), third.data());
}

#[test]
fn options_that_cannot_be_followed_are_named() {
    let model = open(&lab(), &support::stories260k());
    let refused = |options: MergeOptions, words: &str| {
        let error = merge(&model, &options, None).err().unwrap();
        assert_eq!(error.code(), "bad-argument");
        assert!(error.to_string().contains(words), "{error} does not say {words:?}");
    };
    let default = MergeOptions::default;
    refused(default(), "calibrat");
    refused(MergeOptions { preset: Some("magic".into()), ..default() }, "mka");
    for word in ["selection", "combination", "repair", "norms", "alpha", "measure"] {
        let read = serde_json::from_value::<MergeOptions>(serde_json::json!({ word: "magic" }));
        assert!(read.is_err(), "{word}");
    }
    let linear = |ridge, holdout| MergeOptions {
        repair: Some(Repair::Linear),
        ridge: Some(ridge),
        holdout: Some(holdout),
        ..pairs(&[(1, 2)], Combination::Drop)
    };
    refused(linear(0.0, 0.2), "ridge");
    refused(linear(0.3, 1.0), "holdout");
    refused(linear(0.3, 0.2), "calibrat");
    refused(MergeOptions { alpha: Some(Alpha::Weight(1.5)), ..default() }, "0 to 1");
    refused(MergeOptions { remove: Some(0), ..default() }, "remove");
    refused(MergeOptions { remove: Some(5), ..default() }, "remove");
    refused(pairs(&[(1, 3)], Combination::Drop), "not the next survivor");
    refused(pairs(&[], Combination::Drop), "pairs");
    refused(MergeOptions { pairs: Some(vec![(1, 2)]), ..default() }, "manual");
    refused(pairs(&[(1, 2)], Combination::Average), "calibrat");
    let tail = MergeOptions { preset: Some("published-code".into()), remove: Some(4), ..default() };
    assert_eq!(
        merge(&model, &tail, None).unwrap().summary().layers,
        1,
        "dropping into the first block leaves it alone"
    );
    let merged = merge(&model, &pairs(&[(1, 2)], Combination::Drop), None).unwrap();
    assert!(
        merge(&merged, &pairs(&[(1, 2)], Combination::Drop), None).err().unwrap().to_string().contains("merged one")
    );
}

#[test]
fn going_on_from_a_kept_stream_measures_what_a_whole_pass_measures() {
    let lab = lab();
    let model = open(&lab, &support::demo());
    let calibration = calibrate(&model);
    // The alphas of the second and third step were measured on models that were run from a kept
    // stream on.
    for pairs_in_order in [[(7, 8), (4, 5), (9, 10)], [(2, 3), (2, 4), (6, 7)]] {
        let options = pairs(&pairs_in_order, Combination::Average);
        let merged = merge(&model, &options, Some(&calibration)).unwrap();
        let steps = &merged.recipe().unwrap().steps;
        for done in 1..3 {
            let books = MergeOptions {
                recipe: Some(Recipe { steps: steps[..done].to_vec(), ..merged.recipe().unwrap().clone() }),
                ..MergeOptions::default()
            };
            let current = calibrate(&merge(&model, &books, None).unwrap());
            let defaults = DiffusionMapOptions::default();
            let matrix = block_on(current.similarity(Measure::NpibGaussian, &defaults, &Task::silent())).unwrap();
            let gone: Vec<usize> = steps[..done].iter().map(|step| step.removed).collect();
            let index = (0..steps[done].keep).filter(|layer| !gone.contains(layer)).count();
            assert_eq!(Some(matrix.get(index, index + 1)), steps[done].alpha, "{pairs_in_order:?}, step {done}");
        }
    }
}

#[test]
fn a_repair_lowers_the_loss_and_is_kept_beside_the_recipe() {
    let lab = lab();
    let model = open(&lab, &support::demo());
    let options = CalibrateOptions {
        input: text(&TINYSTORIES[..40_000]),
        sequences: Some(24),
        window: Some(128),
        ..CalibrateOptions::default()
    };
    let calibration = block_on(model.calibrate(&options, &Task::silent())).unwrap();
    let chosen = [(2, 3), (7, 8), (2, 4)];
    let repaired = |repair: Repair| {
        let options = MergeOptions { repair: Some(repair), ..pairs(&chosen, Combination::Drop) };
        merge(&model, &options, Some(&calibration)).unwrap()
    };
    let (plain, better) = (repaired(Repair::None), repaired(Repair::Linear));
    let loss = |model: &Model| evaluate(model, text(&TINYSTORIES[50_000..])).0.divergence.unwrap().merged.nll;
    assert!(loss(&better) < loss(&plain) - 0.01, "{} after {}", loss(&better), loss(&plain));

    let recipe = better.recipe().unwrap();
    let ridges: Vec<bool> = recipe.steps.iter().map(|step| step.ridge.is_some()).collect();
    assert_eq!(ridges, [false, true, true], "a later merge of the same block makes the earlier repair void");
    let out = export(&better);
    let maps = SafeTensors::deserialize(&out["repair.safetensors"]).unwrap();
    let mut names = maps.names();
    names.sort_unstable();
    assert_eq!(names, ["T.1", "T.2"]);
    assert!(!export(&plain).contains_key("repair.safetensors"));

    let replay = |maps: Option<Vec<u8>>, calibration| {
        let options = MergeOptions { recipe: Some(recipe.clone()), repair_maps: maps, ..MergeOptions::default() };
        merge(&model, &options, calibration)
    };
    let maps = out["repair.safetensors"].clone();
    assert_eq!(export(&replay(Some(maps.clone()), None).unwrap()), out, "the same bytes");
    assert_eq!(replay(None, None).err().unwrap().code(), "bad-argument");
    assert_eq!(replay(Some(maps[..maps.len() - 1].to_vec()), None).err().unwrap().code(), "bad-argument");
    let anew = replay(None, Some(&calibration)).unwrap();
    assert!((loss(&anew) - loss(&better)).abs() < 0.05, "{} anew, {} at first", loss(&anew), loss(&better));
    assert!(anew.summary().warnings.iter().any(|warning| warning.contains("fitted anew")), "it says that it differs");
}

#[test]
fn the_loss_guided_choice_is_the_cheapest_of_all() {
    let model = open(&lab(), &support::demo());
    let calibration = calibrate(&model);
    let cost = |options: &MergeOptions| {
        let merged = merge(&model, options, Some(&calibration)).unwrap();
        // The same windows as the calibration: what the choice was made on.
        let loss = evaluate(&merged, text(TINYSTORIES)).0.divergence.unwrap().merged.nll;
        (loss, merged)
    };
    let sleb = MergeOptions { preset: Some("sleb".into()), ..MergeOptions::default() };
    let (chosen, merged) = cost(&sleb);
    let all = (1..11).map(|gone| cost(&pairs(&[(gone - 1, gone)], Combination::Drop)).0);
    assert_eq!(chosen, all.fold(f64::INFINITY, f64::min));
    let score = merged.recipe().unwrap().steps[0].score.unwrap();
    assert!((score - chosen).abs() < 1e-6, "{score} and {chosen}");

    let pair = (2, 3);
    let search = MergeOptions { alpha: Some(Alpha::From(AlphaSource::Search)), ..pairs(&[pair], Combination::Average) };
    let (chosen, _) = cost(&search);
    let fixed = [0.0, 0.25, 0.5, 0.75, 1.0].map(|alpha| {
        cost(&MergeOptions { alpha: Some(Alpha::Weight(alpha)), ..pairs(&[pair], Combination::Average) }).0
    });
    assert_eq!(chosen, fixed.into_iter().fold(f64::INFINITY, f64::min));
}
