//! From files to files: merging, exporting, replaying, cancelling, and what happens to wrong models.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod support;

use std::collections::BTreeMap;
use std::rc::Rc;

use mka_lab::error::{Error, Result};
use mka_lab::interface::{
    AlphaOption, CalibrateOptions, EvaluateOptions, GenerateOptions, Input, ManifoldOptions, MergeOptions, RowsOption,
};
use mka_lab::merge::recipe::Recipe;
use mka_lab::session::{Calibration, Lab, Model};
use mka_lab::similarity::Measure;
use mka_lab::task::Task;
use pollster::block_on;
use safetensors::SafeTensors;
use support::{Files, TINYSTORIES, source, sources};

fn lab() -> Rc<Lab> {
    block_on(support::lab("cpu"))
}

fn open(lab: &Rc<Lab>, files: &Files) -> Rc<Model> {
    block_on(support::open(lab, &sources(files)))
}

fn text(text: &str) -> Input {
    Input { text: Some(text.into()), ..Input::default() }
}

fn calibrate(model: &Model) -> Calibration {
    let options = CalibrateOptions {
        input: text(TINYSTORIES),
        sequences: Some(4),
        window: Some(64),
        rows: Some(RowsOption::Count(128)),
        ..CalibrateOptions::default()
    };
    block_on(model.calibrate(&options, &Task::silent())).unwrap()
}

fn merge(model: &Rc<Model>, options: &MergeOptions, calibration: Option<&Calibration>) -> Result<Rc<Model>> {
    block_on(model.merge(options, calibration, &Task::silent()))
}

/// All files of a merged model.
fn export(model: &Model) -> BTreeMap<String, Vec<u8>> {
    model.files().unwrap().iter().map(|file| (file.name.clone(), block_on(file.bytes()).unwrap())).collect()
}

fn evaluate(model: &Model, input: Input) -> (mka_lab::evaluate::Measured, Vec<String>) {
    let options = EvaluateOptions { input, window: Some(64), sequences: Some(4) };
    block_on(model.evaluate(&options, &Task::silent())).unwrap()
}

fn pairs(pairs: &[(usize, usize)], combination: &str) -> MergeOptions {
    MergeOptions {
        selection: Some("manual".into()),
        pairs: Some(pairs.to_vec()),
        combination: Some(combination.into()),
        ..MergeOptions::default()
    }
}

#[test]
fn an_export_is_the_input_but_for_what_changed() {
    let lab = lab();
    let files = support::demo();
    let model = open(&lab, &files);
    let options = MergeOptions { alpha: Some(AlphaOption::Fixed(0.75)), ..pairs(&[(2, 3), (5, 6), (5, 7)], "average") };
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
    // Survivors in order, and what they are made of.
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
    for broken in [
        Recipe { format: "mka-recipe/9".into(), ..recipe.clone() },
        Recipe { repair: "magic".into(), ..recipe.clone() },
        Recipe { steps: Vec::new(), ..recipe.clone() },
    ] {
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
        let gone: Vec<usize> = recipe.steps.iter().map(|step| step.gone).collect();
        let alphas: Vec<f64> = recipe.steps.iter().map(|step| step.alpha).collect();
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
                    assert_eq!(Some(step.alpha), step.similarity);
                    assert_eq!(step.similarity, step.score);
                }
                let first = block_on(calibration.similarity(
                    Measure::NpibGaussian,
                    &ManifoldOptions::default(),
                    &Task::silent(),
                ))
                .unwrap();
                let best = (1..10).map(|l| first.get(l, l + 1)).fold(0.0, f64::max);
                assert_eq!(recipe.steps[0].score, Some(best));
            }
            "replaceme" => {
                assert!(gone.windows(2).all(|pair| pair[1] == pair[0] + 1));
                assert_eq!(recipe.repair, "linear");
                assert!(recipe.steps[..2].iter().all(|step| step.ridge.is_none()), "one gap, one repair");
            }
            "loss-guided" | "sleb" => {
                assert!(recipe.steps.iter().all(|step| step.score.is_some_and(|loss| loss > 1.0)), "{recipe:?}");
                assert_eq!(preset.name == "sleb", alphas == [1.0; 3]);
            }
            other => panic!("no expectation for {other}"),
        }
    }
    let window = MergeOptions { selection: Some("window".into()), remove: Some(3), ..MergeOptions::default() };
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
    let options = |norms: &str, alpha| MergeOptions {
        norms: Some(norms.into()),
        alpha: Some(AlphaOption::Fixed(alpha)),
        ..pairs(&[(2, 3)], "average")
    };
    let name = "model.layers.2.input_layernorm.weight";
    let kept = export(&merge(&model, &options("keep", 0.5), None).unwrap());
    let kept = SafeTensors::deserialize(&kept["model.safetensors"]).unwrap();
    assert_eq!(kept.tensor(name).unwrap().data(), input.tensor(name).unwrap().data());
    let folded = export(&merge(&model, &options("fold", 0.5), None).unwrap());
    let folded = SafeTensors::deserialize(&folded["model.safetensors"]).unwrap();
    let ones = bytemuck::pod_collect_to_vec::<u8, f32>(folded.tensor(name).unwrap().data());
    assert!(ones.iter().all(|gain| *gain == 1.0));
    // Alpha 0 puts the second block in the place of the first: the other drop.
    let second = export(&merge(&model, &options("fold", 0.0), None).unwrap());
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
    refused(MergeOptions { selection: Some("magic".into()), ..default() }, "similarity");
    refused(MergeOptions { combination: Some("magic".into()), ..default() }, "average");
    refused(MergeOptions { repair: Some("magic".into()), ..default() }, "linear");
    let linear = |ridge, holdout| MergeOptions {
        repair: Some("linear".into()),
        ridge: Some(ridge),
        holdout: Some(holdout),
        ..pairs(&[(1, 2)], "drop")
    };
    refused(linear(0.0, 0.2), "ridge");
    refused(linear(0.3, 1.0), "holdout");
    refused(linear(0.3, 0.2), "calibrat");
    refused(MergeOptions { norms: Some("magic".into()), ..default() }, "fold");
    refused(MergeOptions { alpha: Some(AlphaOption::Fixed(1.5)), ..default() }, "0 to 1");
    refused(MergeOptions { remove: Some(0), ..default() }, "remove");
    refused(MergeOptions { remove: Some(5), ..default() }, "remove");
    refused(pairs(&[(1, 3)], "drop"), "not the next survivor");
    refused(pairs(&[], "drop"), "pairs");
    refused(MergeOptions { pairs: Some(vec![(1, 2)]), ..default() }, "manual");
    refused(pairs(&[(1, 2)], "average"), "calibrat");
    let tail = MergeOptions { preset: Some("published-code".into()), remove: Some(4), ..default() };
    assert_eq!(
        merge(&model, &tail, None).unwrap().summary().layers,
        1,
        "dropping into the first block leaves it alone"
    );
    let merged = merge(&model, &pairs(&[(1, 2)], "drop"), None).unwrap();
    assert!(merge(&merged, &pairs(&[(1, 2)], "drop"), None).err().unwrap().to_string().contains("merged one"));
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let model = open(&lab(), &support::demo());
    let matrix = || {
        let calibration = calibrate(&model);
        block_on(calibration.similarity(Measure::NpibGaussian, &ManifoldOptions::default(), &Task::silent())).unwrap()
    };
    assert_eq!(matrix().values, matrix().values);
    let generate = |seed, temperature| {
        let options = GenerateOptions {
            prompt: "Once upon a time".into(),
            tokens: Some(40),
            temperature: Some(temperature),
            seed: Some(seed),
        };
        let mut text = String::new();
        block_on(model.generate(&options, |token| text += &token.text, &Task::silent())).unwrap();
        text
    };
    assert_eq!(generate(1, 1.0), generate(1, 1.0));
    assert_ne!(generate(1, 1.0), generate(2, 1.0));
    assert_eq!(generate(1, 0.0), generate(2, 0.0), "greedy has no seed");
}

#[test]
fn a_cached_token_predicts_what_a_whole_pass_predicts() {
    let model = open(&lab(), &support::demo());
    let options = GenerateOptions { prompt: "Once upon a time".into(), tokens: Some(8), ..GenerateOptions::default() };
    let mut tokens = Vec::new();
    let mut text = String::from("Once upon a time");
    let each = |token: mka_lab::interface::Token| {
        text += &token.text;
        tokens.push(token.id);
    };
    block_on(model.generate(&options, each, &Task::silent())).unwrap();
    let mut ids = block_on(model.logits(&self::text("Once upon a time"), &Task::silent())).unwrap().0;
    for token in tokens {
        let input = Input { ids: Some(ids.clone()), ..Input::default() };
        let (_, logits) = block_on(model.logits(&input, &Task::silent())).unwrap();
        let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
        assert_eq!(best, token as usize);
        ids.push(token);
    }
    assert_eq!(
        block_on(model.logits(&self::text(&text), &Task::silent())).unwrap().0,
        ids,
        "the text is that of the tokens"
    );
}

#[test]
fn a_cancelled_call_fails_and_leaves_the_lab_usable() {
    let lab = lab();
    let model = open(&lab, &support::stories260k());
    let before = evaluate(&model, text(TINYSTORIES)).0;
    let held = lab.memory(0).device;
    let task = Task::silent();
    task.cancel();
    let options = CalibrateOptions { input: text(TINYSTORIES), sequences: Some(2), ..CalibrateOptions::default() };
    assert_eq!(block_on(model.calibrate(&options, &task)).err(), Some(Error::Cancelled));
    let measured = EvaluateOptions { input: text(TINYSTORIES), ..EvaluateOptions::default() };
    assert_eq!(block_on(model.evaluate(&measured, &task)).err(), Some(Error::Cancelled));
    let generated = GenerateOptions { prompt: "a".into(), ..GenerateOptions::default() };
    assert_eq!(block_on(model.generate(&generated, |_| (), &task)).err(), Some(Error::Cancelled));
    let merged = block_on(model.merge(
        &MergeOptions { alpha: Some(AlphaOption::Fixed(0.5)), ..pairs(&[(1, 2)], "average") },
        None,
        &task,
    ));
    assert_eq!(merged.err(), Some(Error::Cancelled));
    assert_eq!(lab.memory(0).device, held, "nothing of the cancelled calls is kept");
    assert_eq!(evaluate(&model, text(TINYSTORIES)).0, before);
}

#[test]
fn what_the_user_should_know_is_said() {
    let model = open(&lab(), &support::demo());
    let calibration = calibrate(&model);
    assert!(calibration.info().warnings.is_empty());
    let merged = merge(&model, &MergeOptions::default(), Some(&calibration)).unwrap();
    let (_, warnings) = evaluate(&merged, text(TINYSTORIES));
    assert!(warnings.iter().any(|warning| warning.contains("calibrated on")), "{warnings:?}");
    let (_, warnings) = evaluate(&merged, text(&TINYSTORIES[20_000..]));
    assert!(warnings.is_empty(), "{warnings:?}");
    let long = EvaluateOptions { input: text(TINYSTORIES), window: Some(300), sequences: Some(1) };
    let (_, warnings) = block_on(model.evaluate(&long, &Task::silent())).unwrap();
    assert!(warnings.iter().any(|warning| warning.contains("made for 256")), "{warnings:?}");
    let short = EvaluateOptions { input: text(&TINYSTORIES[..800]), window: Some(64), sequences: Some(4) };
    let (_, warnings) = block_on(model.evaluate(&short, &Task::silent())).unwrap();
    assert!(warnings.iter().any(|warning| warning.contains("fills")), "{warnings:?}");
}

/// The demo model's files with one of them changed.
fn changed(name: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<mka_lab::checkpoint::source::Source> {
    let files = support::demo();
    files.iter().map(|(n, b)| if *n == name { source(n, &change(b.to_vec())) } else { source(n, b) }).collect()
}

#[test]
fn models_that_cannot_be_computed_are_refused_at_open() {
    let lab = lab();
    let refused = |files: &[mka_lab::checkpoint::source::Source], code: &str| {
        let error = block_on(lab.open(files, &Task::silent())).err().unwrap();
        assert_eq!(error.code(), code, "{error}");
    };
    let config = |from: &'static str, to: &'static str| {
        changed("config.json", move |bytes| {
            let text = String::from_utf8(bytes).unwrap();
            assert!(text.contains(from));
            text.replace(from, to).into_bytes()
        })
    };
    refused(&config("\"num_hidden_layers\": 12", "\"num_hidden_layers\": 13"), "missing-tensor");
    refused(&config("\"hidden_size\": 128", "\"hidden_size\": 64"), "wrong-shape");
    refused(&config("\"intermediate_size\": 344", "\"intermediate_size\": 0"), "bad-config");
    refused(&config("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3"), "bad-config");
    let scaled = "\"model_type\": \"granite\", \"residual_multiplier\": 0.5";
    refused(&config("\"model_type\": \"llama\"", scaled), "unsupported-family");
    refused(&config("\"model_type\": \"llama\"", "\"model_type\": \"gpt_neox\""), "missing-tensor");
    refused(&config("\"hidden_act\": \"silu\"", "\"hidden_act\": \"mish\""), "unsupported-family");
    refused(&config("\"rope_type\": \"default\"", "\"rope_type\": \"spiral\""), "unsupported-family");
    refused(&config("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false"), "missing-tensor");
    refused(&changed("tokenizer.json", |_| b"{}".to_vec()), "bad-tokenizer");
    let beyond = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replacen(": 2047", ": 2048", 1).into_bytes();
    refused(&changed("tokenizer.json", beyond), "bad-tokenizer");
    let i32s = |bytes: Vec<u8>| {
        let at = bytes.windows(6).position(|window| window == b"\"BF16\"").unwrap();
        [&bytes[..at], b"\"U16\" ", &bytes[at + 6..]].concat()
    };
    refused(&changed("model.safetensors", i32s), "unsupported-dtype");
}

#[test]
fn llama_by_another_name_is_opened_with_a_warning() {
    let lab = lab();
    let named = |change: fn(String) -> String| {
        changed("config.json", move |bytes| change(String::from_utf8(bytes).unwrap()).into_bytes())
    };
    let files = named(|text| text.replace("\"model_type\": \"llama\"", "\"model_type\": \"alpaca\""));
    let model = block_on(support::open(&lab, &files));
    let warnings = model.summary().warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("alpaca"), "{warnings:?}");
    let dense = open(&lab, &support::demo());
    assert_eq!(evaluate(&model, text(TINYSTORIES)).0, evaluate(&dense, text(TINYSTORIES)).0);

    let options = "\"model_type\": \"granite\", \"residual_multiplier\": 0.5";
    let files = changed("config.json", move |bytes| {
        String::from_utf8(bytes).unwrap().replace("\"model_type\": \"llama\"", options).into_bytes()
    });
    let error = block_on(lab.open(&files, &Task::silent())).err().unwrap().to_string();
    assert!(error.contains("residual_multiplier") && error.contains("gpt_neox"), "{error}");
}

#[test]
fn weights_that_are_no_numbers_or_all_zero_stop_the_first_step_that_reads_them() {
    let lab = lab();
    let first_byte = |bytes: &[u8], name: &str| {
        let (length, metadata) = SafeTensors::read_metadata(bytes).unwrap();
        let (from, to) = metadata.info(name).unwrap().data_offsets;
        (8 + length + from)..(8 + length + to)
    };
    let name = "model.layers.3.mlp.up_proj.weight";
    let broken = |fill: fn(&mut [u8])| {
        changed("model.safetensors", move |mut bytes| {
            let range = first_byte(&bytes, name);
            fill(&mut bytes[range]);
            bytes
        })
    };
    let options = EvaluateOptions { input: text(TINYSTORIES), window: Some(32), sequences: Some(1) };
    for (files, words) in [
        (broken(|tensor| tensor[..2].copy_from_slice(&[0x80, 0x7f])), "infinite"),
        (broken(|tensor| tensor.fill(0)), "zero"),
    ] {
        let model = block_on(support::open(&lab, &files));
        let error = block_on(model.evaluate(&options, &Task::silent())).err().unwrap();
        assert_eq!(error.code(), "not-finite");
        assert!(error.to_string().contains(name) && error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_uniform_text_is_an_error_that_names_the_layer() {
    let model = open(&lab(), &support::demo());
    let options = CalibrateOptions {
        input: Input { ids: Some(vec![5; 64]), ..Input::default() },
        sequences: Some(1),
        window: Some(64),
        rows: Some(RowsOption::Chosen(vec![(0, 9); 32])),
        ..CalibrateOptions::default()
    };
    let calibration = block_on(model.calibrate(&options, &Task::silent())).unwrap();
    let error = block_on(calibration.similarity(Measure::NpibGaussian, &ManifoldOptions::default(), &Task::silent()));
    let error = error.err().unwrap();
    assert_eq!(error.code(), "not-finite");
    assert!(error.to_string().contains("layer 0"), "{error}");
}

#[test]
fn going_on_from_a_kept_stream_measures_what_a_whole_pass_measures() {
    let lab = lab();
    let model = open(&lab, &support::demo());
    let calibration = calibrate(&model);
    // The alphas of the second and third step were measured on models that were run from a kept stream on.
    for pairs_in_order in [[(7, 8), (4, 5), (9, 10)], [(2, 3), (2, 4), (6, 7)]] {
        let options = pairs(&pairs_in_order, "average");
        let merged = merge(&model, &options, Some(&calibration)).unwrap();
        let steps = &merged.recipe().unwrap().steps;
        for done in 1..3 {
            let books = MergeOptions {
                recipe: Some(Recipe { steps: steps[..done].to_vec(), ..merged.recipe().unwrap().clone() }),
                ..MergeOptions::default()
            };
            let current = calibrate(&merge(&model, &books, None).unwrap());
            let defaults = ManifoldOptions::default();
            let matrix = block_on(current.similarity(Measure::NpibGaussian, &defaults, &Task::silent())).unwrap();
            let gone: Vec<usize> = steps[..done].iter().map(|step| step.gone).collect();
            let index = (0..steps[done].keep).filter(|layer| !gone.contains(layer)).count();
            assert_eq!(matrix.get(index, index + 1), steps[done].alpha, "{pairs_in_order:?}, step {done}");
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
    let repaired = |repair: &str| {
        let options = MergeOptions { repair: Some(repair.into()), ..pairs(&chosen, "drop") };
        merge(&model, &options, Some(&calibration)).unwrap()
    };
    let (plain, better) = (repaired("none"), repaired("linear"));
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
    let all = (1..11).map(|gone| cost(&pairs(&[(gone - 1, gone)], "drop")).0);
    assert_eq!(chosen, all.fold(f64::INFINITY, f64::min));
    let score = merged.recipe().unwrap().steps[0].score.unwrap();
    assert!((score - chosen).abs() < 1e-6, "{score} and {chosen}");

    let pair = (2, 3);
    let search = MergeOptions { alpha: Some(AlphaOption::Word("search".into())), ..pairs(&[pair], "average") };
    let (chosen, _) = cost(&search);
    let fixed = [0.0, 0.25, 0.5, 0.75, 1.0]
        .map(|alpha| cost(&MergeOptions { alpha: Some(AlphaOption::Fixed(alpha)), ..pairs(&[pair], "average") }).0);
    assert_eq!(chosen, fixed.into_iter().fold(f64::INFINITY, f64::min));
}
