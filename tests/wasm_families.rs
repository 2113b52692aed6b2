//! Every family against what transformers computes for a miniature of it, and its merges from files to files; on both engines, natively and in a
//! browser.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod support;

use std::rc::Rc;

use mka_lab::checkpoint::source::Source;
use mka_lab::interface::{
    AlphaOption, CalibrateOptions, EvaluateOptions, GenerateOptions, Input, MergeOptions, RowsOption,
};
use mka_lab::session::{Lab, Model};
use mka_lab::task::Task;
use serde_json::Value;
use support::{Files, content, lab, open, source, sources};

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);

/// The largest differences allowed, as shares: of the largest logit, of the norm of a row, of the loss.
struct Tolerance {
    logits: f64,
    hidden: f64,
    loss: f64,
}

impl Tolerance {
    fn of(backend: &str) -> Self {
        let factor = if backend == "cpu" { 1.0 } else { 10.0 };
        Self { logits: 1e-4 * factor, hidden: 2e-4 * factor, loss: 1e-5 * factor }
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn ids(reference: &Value) -> Vec<u32> {
    numbers(&reference["input_ids"]).into_iter().map(|id| id as u32).collect()
}

fn input(ids: &[u32]) -> Input {
    Input { ids: Some(ids.to_vec()), ..Input::default() }
}

async fn loss(model: &Model, ids: &[u32]) -> f64 {
    let options = EvaluateOptions { input: input(ids), window: Some(ids.len()), sequences: Some(1) };
    let (measured, _) = model.evaluate(&options, &Task::silent()).await.unwrap();
    measured.divergence.map_or(measured.dense.nll, |found| found.merged.nll)
}

async fn logits(model: &Model, ids: &[u32]) -> Vec<f64> {
    let (_, values) = model.logits(&input(ids), &Task::silent()).await.unwrap();
    values.into_iter().map(f64::from).collect()
}

/// The largest difference as a share of the largest expected value.
fn off(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    found.iter().zip(expected).fold(0.0f64, |most, (a, b)| most.max((a - b).abs())) / largest
}

async fn miniature(backend: &str, files: Files) {
    let reference: Value = serde_json::from_slice(content(&files, "reference.json")).unwrap();
    let (ids, tolerance, lab) = (ids(&reference), Tolerance::of(backend), lab(backend).await);
    for style in ["config.json", "config.v4.json"] {
        let mut opened = sources(&files);
        opened.retain(|file| !file.name().starts_with("config"));
        opened.push(source("config.json", content(&files, style)));
        let model = open(&lab, &opened).await;
        assert!(model.summary().warnings.is_empty());
        let text = reference["text"].as_str().unwrap();
        let given = Input { text: Some(text.into()), ..Input::default() };
        assert_eq!(model.logits(&given, &Task::silent()).await.unwrap().0, ids);
        let found = off(&logits(&model, &ids).await, &numbers(&reference["logits_last"]));
        assert!(found < tolerance.logits, "{style}: logits are off by {found:e}");
        let expected = reference["loss"].as_f64().unwrap();
        let found = loss(&model, &ids).await;
        assert!((found / expected - 1.0).abs() < tolerance.loss, "{style}: loss {found} instead of {expected}");
        let worst = hidden(&model, &ids, &reference).await;
        assert!(worst < tolerance.hidden, "{style}: a hidden state is off by {worst:e} of its norm");
        if style == "config.json" {
            cached(&model, text, &ids).await;
        }
        merges(&lab, &model, &ids).await;
    }
}

/// The largest difference of x[l] as a share of a row's norm: the first eight channels at some positions, and the mean over all.
async fn hidden(model: &Model, ids: &[u32], reference: &Value) -> f64 {
    let options = CalibrateOptions {
        input: input(ids),
        sequences: Some(1),
        window: Some(ids.len()),
        rows: Some(RowsOption::Chosen((0..ids.len()).map(|position| (0, position)).collect())),
        ..CalibrateOptions::default()
    };
    let calibration = model.calibrate(&options, &Task::silent()).await.unwrap();
    let layers = model.summary().layers;
    let mut worst = 0.0f64;
    for layer in 0..=layers {
        // The last of transformers' hidden states has passed the final norm; the block's own output is in another list.
        let record = match layer == layers {
            true => reference.get("layer_outputs").map(|outputs| &outputs[layer - 1]),
            false => Some(&reference["hidden_states"][layer]),
        };
        let Some(record) = record else { continue };
        let (_, columns, values) = calibration.hidden(layer).unwrap();
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let norm = |row: &[f64]| row.iter().map(|value| value * value).sum::<f64>().sqrt();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let scale = norm(&values) / (values.len() as f64).sqrt();
        worst = worst.max((mean - record["mean"].as_f64().unwrap()).abs() / scale);
        for (position, expected) in record["first8"].as_object().unwrap() {
            let row = &values[position.parse::<usize>().unwrap() * columns..][..columns];
            let difference: Vec<f64> = row.iter().zip(numbers(expected)).map(|(a, b)| a - b).collect();
            assert_eq!(difference.len(), 8);
            worst = worst.max(norm(&difference) / norm(row));
        }
    }
    worst
}

/// Tokens that are drawn one by one are those that whole passes predict.
async fn cached(model: &Model, prompt: &str, ids: &[u32]) {
    let mut all = ids.to_vec();
    let mut drawn = Vec::new();
    let options = GenerateOptions { prompt: prompt.into(), tokens: Some(3), ..GenerateOptions::default() };
    model.generate(&options, |token| drawn.push(token.id), &Task::silent()).await.unwrap();
    for token in drawn {
        let found = logits(model, &all).await;
        let best = (0..found.len()).max_by(|a, b| found[*a].total_cmp(&found[*b])).unwrap();
        assert_eq!(best as u32, token);
        all.push(token);
    }
}

fn merge_options(pair: (usize, usize), alpha: Option<f64>) -> MergeOptions {
    MergeOptions {
        selection: Some("manual".into()),
        pairs: Some(vec![pair]),
        combination: Some(if alpha.is_some() { "average" } else { "drop" }.into()),
        alpha: alpha.map(AlphaOption::Fixed),
        ..MergeOptions::default()
    }
}

async fn merges(lab: &Rc<Lab>, model: &Rc<Model>, ids: &[u32]) {
    let task = Task::silent();
    let layers = model.summary().layers;
    let (mut dropped, mut folded) = (Vec::new(), Vec::new());
    for alpha in [None, Some(0.5), Some(1.0 - 1e-9)] {
        let merged = model.merge(&merge_options((1, 2), alpha), None, &task).await.unwrap();
        let predicted = loss(&merged, ids).await;
        assert!(predicted.is_finite());
        // What is written opens again and measures the same.
        let mut files: Vec<Source> = Vec::new();
        for file in merged.files().unwrap() {
            files.push(source(&file.name, &file.bytes().await.unwrap()));
        }
        let again = open(lab, &files).await;
        assert_eq!(again.summary().layers, layers - 1);
        assert_eq!(loss(&again, ids).await, predicted);
        match alpha {
            None => dropped = logits(&merged, ids).await,
            Some(alpha) if alpha > 0.9 => folded = logits(&merged, ids).await,
            Some(_) => assert!(!merged.summary().tensors.unwrap().is_empty()),
        }
    }
    // An average in which the second block has no weight is the first with its norms folded: another spelling of the same function.
    let rounding = match model.summary().dtype.as_str() {
        "F32" => 1e-5,
        _ => 2e-2,
    };
    let found = off(&folded, &dropped);
    assert!(found < rounding, "folding changes the logits by {found:e}");
}

/// A linear repair is folded into what writes the MLP's part of the stream, however that is stored: the export has T' W and T' b.
async fn repaired(files: Files, weight: &str, bias: Option<&str>, transposed: bool) {
    let reference: Value = serde_json::from_slice(content(&files, "reference.json")).unwrap();
    let model = open(&lab("cpu").await, &sources(&files)).await;
    let task = Task::silent();
    let options = CalibrateOptions {
        input: input(&ids(&reference)),
        sequences: Some(3),
        window: Some(18),
        rows: Some(RowsOption::Count(20)),
        ..CalibrateOptions::default()
    };
    let calibration = model.calibrate(&options, &task).await.unwrap();
    let options = MergeOptions { repair: Some("linear".into()), holdout: Some(0.0), ..merge_options((1, 2), None) };
    let merged = model.merge(&options, Some(&calibration), &task).await.unwrap();
    let mut written = std::collections::BTreeMap::new();
    for file in merged.files().unwrap() {
        written.insert(file.name.clone(), file.bytes().await.unwrap());
    }
    let floats = |bytes: &[u8], name: &str| {
        let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
        let found = file.names().into_iter().find(|found| found.contains(name)).unwrap().to_string();
        let view = file.tensor(&found).unwrap();
        bytemuck::pod_collect_to_vec::<u8, f32>(view.data())
    };
    let map = floats(&written["repair.safetensors"], "");
    let hidden = model.summary().hidden;
    assert_eq!(map.len(), hidden * hidden);
    let check = |name: &str, transposed: bool| {
        let old = floats(content(&files, "model.safetensors"), name);
        let new = floats(&written["model.safetensors"], name);
        let columns = old.len() / hidden;
        let at = |row: usize, column: usize| if transposed { column * hidden + row } else { row * columns + column };
        for (row, column) in (0..hidden).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            let expected: f32 = (0..hidden).map(|j| map[j * hidden + row] * old[at(j, column)]).sum();
            let found = new[at(row, column)];
            assert!((found - expected).abs() < 1e-4 * (1.0 + expected.abs()), "{name}: {found}, not {expected}");
        }
    };
    check(weight, transposed);
    bias.into_iter().for_each(|bias| check(bias, false));
}

/// A rule for the kinds of blocks gives way to a list once blocks are missing, and merging blocks of two kinds is said.
async fn kinds(files: Files) {
    let text = String::from_utf8(content(&files, "config.v4.json").to_vec()).unwrap();
    let mut config: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    config.remove("layer_types");
    config.insert("sliding_window_pattern".into(), 3.into());
    let mut opened = sources(&files);
    opened.retain(|file| !file.name().starts_with("config"));
    opened.push(source("config.json", Value::from(config).to_string().as_bytes()));
    let model = open(&lab("cpu").await, &opened).await;
    let reference: Value = serde_json::from_slice(content(&files, "reference.json")).unwrap();
    let found = off(&logits(&model, &ids(&reference)).await, &numbers(&reference["logits_last"]));
    assert!(found < 1e-4, "by the rule: {found:e}");

    let merged = model.merge(&merge_options((0, 1), Some(0.5)), None, &Task::silent()).await.unwrap();
    assert!(merged.summary().warnings.is_empty());
    let written = merged.files().unwrap();
    let written = written.iter().find(|file| file.name == "config.json").unwrap().bytes().await.unwrap();
    let config: Value = serde_json::from_slice(&written).unwrap();
    let (local, global) = ("sliding_attention", "full_attention");
    assert_eq!(config["layer_types"], serde_json::json!([local, global, local, local, global]));
    assert!(config.get("sliding_window_pattern").is_none());

    let mixed = model.merge(&merge_options((1, 2), Some(0.5)), None, &Task::silent()).await.unwrap();
    assert!(mixed.summary().warnings.iter().any(|warning| warning.contains("block 1")));
}

/// Positions that were not learned cannot be run, and a norm behind the MLP cannot be repaired through.
async fn limits(learned: Files, normed: Files) {
    let (lab, task) = (lab("cpu").await, Task::silent());
    let model = open(&lab, &sources(&learned)).await;
    let error = model.logits(&input(&[1; 129]), &task).await.err().unwrap();
    assert_eq!(error.code(), "bad-argument");
    assert!(error.to_string().contains("128 positions"), "{error}");
    let options = GenerateOptions { prompt: "a".into(), tokens: Some(200), ..GenerateOptions::default() };
    assert_eq!(model.generate(&options, |_| (), &task).await.err().unwrap().code(), "bad-argument");
    let model = open(&lab, &sources(&normed)).await;
    let options = MergeOptions { repair: Some("linear".into()), ..merge_options((1, 2), None) };
    let error = model.merge(&options, None, &task).await.err().unwrap();
    assert!(error.to_string().contains("norm"), "{error}");
}

everywhere! {
    kinds_of_blocks: kinds(support::miniature::gemma3());
    what_a_family_rules_out: limits(support::miniature::gpt2(), support::miniature::gemma3());
    gpt2_repaired: repaired(support::miniature::gpt2(), "h.1.mlp.c_proj.weight", Some("h.1.mlp.c_proj.bias"), true);
    phi_repaired: repaired(support::miniature::phi(), "layers.1.mlp.fc2.weight", Some("layers.1.mlp.fc2.bias"), false);
    qwen3_repaired: repaired(support::miniature::qwen3(), "layers.1.mlp.down_proj.weight", None, false);
    mistral_on_the_cpu: miniature("cpu", support::miniature::mistral());
    mistral_on_webgpu: miniature("webgpu", support::miniature::mistral());
    qwen2_on_the_cpu: miniature("cpu", support::miniature::qwen2());
    qwen2_on_webgpu: miniature("webgpu", support::miniature::qwen2());
    qwen2_in_bf16_on_the_cpu: miniature("cpu", support::miniature::qwen2_bf16());
    qwen2_in_bf16_on_webgpu: miniature("webgpu", support::miniature::qwen2_bf16());
    qwen2_in_f16_on_the_cpu: miniature("cpu", support::miniature::qwen2_f16());
    qwen2_in_f16_on_webgpu: miniature("webgpu", support::miniature::qwen2_f16());
    qwen3_on_the_cpu: miniature("cpu", support::miniature::qwen3());
    qwen3_on_webgpu: miniature("webgpu", support::miniature::qwen3());
    gpt2_on_the_cpu: miniature("cpu", support::miniature::gpt2());
    gpt2_on_webgpu: miniature("webgpu", support::miniature::gpt2());
    gpt2_by_the_names_of_the_hub_on_the_cpu: miniature("cpu", support::miniature::gpt2_hubnames());
    gpt2_by_the_names_of_the_hub_on_webgpu: miniature("webgpu", support::miniature::gpt2_hubnames());
    gpt_neox_on_the_cpu: miniature("cpu", support::miniature::gpt_neox());
    gpt_neox_on_webgpu: miniature("webgpu", support::miniature::gpt_neox());
    gpt_neox_with_buffers_on_the_cpu: miniature("cpu", support::miniature::gpt_neox_buffers());
    gpt_neox_with_buffers_on_webgpu: miniature("webgpu", support::miniature::gpt_neox_buffers());
    phi_on_the_cpu: miniature("cpu", support::miniature::phi());
    phi_on_webgpu: miniature("webgpu", support::miniature::phi());
    opt_on_the_cpu: miniature("cpu", support::miniature::opt());
    opt_on_webgpu: miniature("webgpu", support::miniature::opt());
    gemma3_on_the_cpu: miniature("cpu", support::miniature::gemma3());
    gemma3_on_webgpu: miniature("webgpu", support::miniature::gemma3());
    olmo2_on_the_cpu: miniature("cpu", support::miniature::olmo2());
    olmo2_on_webgpu: miniature("webgpu", support::miniature::olmo2());
    smollm3_on_the_cpu: miniature("cpu", support::miniature::smollm3());
    smollm3_on_webgpu: miniature("webgpu", support::miniature::smollm3());
    phi3_on_the_cpu: miniature("cpu", support::miniature::phi3());
    phi3_on_webgpu: miniature("webgpu", support::miniature::phi3());
    gpt_neo_on_the_cpu: miniature("cpu", support::miniature::gpt_neo());
    gpt_neo_on_webgpu: miniature("webgpu", support::miniature::gpt_neo());
    llama_with_yarn_on_the_cpu: miniature("cpu", support::miniature::llama_yarn());
    llama_with_yarn_on_webgpu: miniature("webgpu", support::miniature::llama_yarn());
    llama_with_dynamic_rotation_on_the_cpu: miniature("cpu", support::miniature::llama_dynamic());
    llama_with_dynamic_rotation_on_webgpu: miniature("webgpu", support::miniature::llama_dynamic());
    phi3_with_longrope_on_the_cpu: miniature("cpu", support::miniature::phi3_longrope());
    phi3_with_longrope_on_webgpu: miniature("webgpu", support::miniature::phi3_longrope());
}
