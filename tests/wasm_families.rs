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

/// The largest difference of x[l] at the positions of the record, as a share of the row's norm.
async fn hidden(model: &Model, ids: &[u32], reference: &Value) -> f64 {
    let positions = numbers(&reference["positions"]);
    let options = CalibrateOptions {
        input: input(ids),
        sequences: Some(1),
        window: Some(ids.len()),
        rows: Some(RowsOption::Chosen(positions.iter().map(|position| (0, *position as usize)).collect())),
        ..CalibrateOptions::default()
    };
    let calibration = model.calibrate(&options, &Task::silent()).await.unwrap();
    let layers = model.summary().layers;
    let mut worst = 0.0f64;
    for layer in 0..=layers {
        // The last of transformers' hidden states has passed the final norm; the block's own output is in another list.
        let expected = match layer == layers {
            true => reference.get("layer_outputs").map(|outputs| &outputs[layer - 1]),
            false => Some(&reference["hidden_states"][layer]),
        };
        let (_, columns, values) = calibration.hidden(layer).unwrap();
        for (row, expected) in values.chunks(columns).zip(expected.into_iter().flat_map(|e| e.as_array().unwrap())) {
            let expected = numbers(expected);
            let norm = expected.iter().map(|value| value * value).sum::<f64>().sqrt();
            let off = row.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt();
            worst = worst.max(off / norm);
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

everywhere! {
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
}
