//! Every family against what transformers computes for a miniature of it, and its merges from files
//! to files; on both engines, natively and in a browser.

use std::collections::BTreeMap;
use std::rc::Rc;

use mka_lab::checkpoint::source::Source;
use mka_lab::interface::{CalibrateOptions, GenerateOptions, RowsOption};
use mka_lab::merge::choices::{Alpha, Combination, Repair, Selection};
use mka_lab::merge::options::MergeOptions;
use mka_lab::merge::recipe::Recipe;
use mka_lab::session::{Lab, Model};
use mka_lab::task::Task;
use serde_json::Value;

use crate::support;
use crate::support::oracle::{Differences, differences, ids, input, numbers, off, streams};
use crate::support::{Files, content, lab, open, source, sources};
use crate::support::{everywhere, in_the_full_run_of_a_browser};

async fn loss(model: &Model, ids: &[u32]) -> f64 {
    support::oracle::loss(model, ids).await.unwrap()
}

async fn logits(model: &Model, ids: &[u32]) -> Vec<f64> {
    support::oracle::logits(model, ids).await.unwrap()
}

fn reference(files: &Files) -> Value {
    serde_json::from_slice(content(files, "reference.json")).unwrap()
}

async fn miniature(backend: &str, files: Files) {
    let (reference, lab) = (reference(&files), lab(backend).await);
    let ids = ids(&reference);
    // How the older style is read is the same code in a browser.
    let styles = if cfg!(target_arch = "wasm32") { &["config.json"][..] } else { &["config.json", "config.v4.json"] };
    for &style in styles {
        let mut opened = sources(&files);
        opened.retain(|file| !file.name().starts_with("config"));
        opened.push(source("config.json", content(&files, style)));
        let model = open(&lab, &opened).await;
        assert!(model.summary().warnings.is_empty());
        let found = differences(&model, &reference).await.unwrap();
        assert!(found.within(Differences::allowed(backend)), "{style}: {found:?}");
        if style == "config.json" {
            continued(&model, &reference).await;
        }
        merges(&lab, &model, &ids).await;
    }
}

async fn generated(model: &Model, prompt: &str, tokens: usize) -> Vec<u32> {
    let mut drawn = Vec::new();
    let options = GenerateOptions { prompt: prompt.into(), tokens: Some(tokens), ..GenerateOptions::default() };
    model.generate(&options, |token| drawn.push(token.id), &Task::silent()).await.unwrap();
    drawn
}

/// Tokens that are drawn one by one are those that transformers draws, or, where there is no record
/// of that, those that whole passes predict.
async fn continued(model: &Model, reference: &Value) {
    if let Some(record) = reference.get("continued") {
        let expected = numbers(&record["ids"]);
        let drawn = generated(model, record["prompt"].as_str().unwrap(), expected.len()).await;
        assert_eq!(drawn.into_iter().map(f64::from).collect::<Vec<_>>(), expected);
        return;
    }
    let mut all = ids(reference);
    for token in generated(model, reference["text"].as_str().unwrap(), 3).await {
        let found = logits(model, &all).await;
        let best = (0..found.len()).max_by(|a, b| found[*a].total_cmp(&found[*b])).unwrap();
        assert_eq!(best as u32, token);
        all.push(token);
    }
}

fn merge_options(pair: (usize, usize), alpha: Option<f64>) -> MergeOptions {
    MergeOptions {
        selection: Some(Selection::Manual),
        pairs: Some(vec![pair]),
        combination: Some(if alpha.is_some() { Combination::Average } else { Combination::Drop }),
        alpha: alpha.map(Alpha::Weight),
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
    // An average in which the second block has no weight is the first with its norms folded:
    // another spelling of the same function.
    let rounding = match model.summary().dtype.as_str() {
        "F32" => 1e-5,
        _ => 2e-2,
    };
    let found = off(&folded, &dropped);
    assert!(found < rounding, "folding changes the logits by {found:e}");
}

/// A merge of blocks 1 and 2 whose gap is repaired, and what is written.
async fn repair(files: &Files) -> (Rc<Model>, Rc<Model>, BTreeMap<String, Vec<u8>>) {
    let model = open(&lab("cpu").await, &sources(files)).await;
    let task = Task::silent();
    let options = CalibrateOptions {
        input: input(&ids(&reference(files))),
        sequences: Some(3),
        window: Some(18),
        rows: Some(RowsOption::Count(20)),
        ..CalibrateOptions::default()
    };
    let calibration = model.calibrate(&options, &task).await.unwrap();
    let options = MergeOptions { repair: Some(Repair::Linear), holdout: Some(0.0), ..merge_options((1, 2), None) };
    let merged = model.merge(&options, Some(&calibration), &task).await.unwrap();
    let written = written(&merged).await;
    // The recipe and the matrices of the repairs give the same bytes again.
    let recipe: Recipe = serde_json::from_slice(&written["recipe.json"]).unwrap();
    let repair_maps = Some(written["repair.safetensors"].clone());
    let replay = MergeOptions { recipe: Some(recipe), repair_maps, ..MergeOptions::default() };
    let again = self::written(&model.merge(&replay, None, &task).await.unwrap()).await;
    assert!(again["model.safetensors"] == written["model.safetensors"]);
    (model, merged, written)
}

async fn written(merged: &Model) -> BTreeMap<String, Vec<u8>> {
    let mut written = BTreeMap::new();
    for file in merged.files().unwrap() {
        written.insert(file.name.clone(), file.bytes().await.unwrap());
    }
    written
}

/// The values of the first tensor whose name contains `name`.
fn floats(bytes: &[u8], name: &str) -> Vec<f32> {
    let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
    let found = file.names().into_iter().find(|found| found.contains(name)).unwrap().to_string();
    let view = file.tensor(&found).unwrap();
    bytemuck::pod_collect_to_vec::<u8, f32>(view.data())
}

/// A linear repair is folded into what writes the MLP's part of the stream, however that is stored:
/// the export has T' W and T' b.
async fn repaired(files: Files, weight: &str, bias: Option<&str>, transposed: bool) {
    let (model, _, written) = repair(&files).await;
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

/// Where a norm stands between the MLP and the stream, a linear repair is a diagonal T after it:
/// the export has T g where gains g are 1 + what is stored in it, or g. T is what its definition
/// says of the streams before and after the gap, and the export predicts what was measured.
async fn repaired_after_a_norm(files: Files, norm: &str, offset: f32) {
    let (model, merged, written) = repair(&files).await;
    let map = floats(&written["repair.safetensors"], "");
    assert_eq!(map.len(), model.summary().hidden);
    let (old, new) = (floats(content(&files, "model.safetensors"), norm), floats(&written["model.safetensors"], norm));
    for (channel, factor) in map.iter().enumerate() {
        let expected = (old[channel] + offset) * factor - offset;
        assert!((new[channel] - expected).abs() < 1e-6 * (1.0 + expected.abs()), "{}: {expected}", new[channel]);
    }

    let all = ids(&reference(&files));
    let plain = model.merge(&merge_options((1, 2), None), None, &Task::silent()).await.unwrap();
    let (mut squares, mut products) = (vec![0.0; map.len()], vec![0.0; map.len()]);
    let (mut missed, mut missed_repaired) = (0.0, 0.0);
    for window in all.chunks_exact(18) {
        let (aim, before) = (streams(&model, window).await.unwrap(), streams(&plain, window).await.unwrap());
        let after = streams(&merged, window).await.unwrap();
        for (position, aim) in aim[3].chunks_exact(map.len()).enumerate() {
            let weight = if position == 0 { 100.0 } else { 1.0 } / aim.iter().map(|t| t * t).sum::<f64>();
            for (channel, t) in aim.iter().enumerate() {
                // x = y + M without the repair, y + T M with it.
                let at = position * map.len() + channel;
                let (x, repaired) = (before[2][at], after[2][at]);
                let m = (repaired - x) / (f64::from(map[channel]) - 1.0);
                squares[channel] += weight * m * m;
                products[channel] += weight * m * (t - x);
                missed += weight * (t - x) * (t - x);
                missed_repaired += weight * (t - repaired) * (t - repaired);
            }
        }
    }
    assert!(missed_repaired < 0.999 * missed, "{missed_repaired} of {missed}");
    let mu = 0.3 * squares.iter().sum::<f64>() / squares.len() as f64;
    for (channel, factor) in map.iter().enumerate() {
        let expected = 1.0 + products[channel] / (squares[channel] + mu);
        assert!((f64::from(*factor) - expected).abs() < 2e-3, "channel {channel}: {factor} instead of {expected}");
    }

    let files: Vec<Source> = written.iter().map(|(name, bytes)| source(name, bytes)).collect();
    let again = open(&lab("cpu").await, &files).await;
    assert_eq!(loss(&again, &all).await, loss(&merged, &all).await);
    assert_ne!(loss(&merged, &all).await, loss(&plain, &all).await);
}

/// A rule for the kinds of blocks gives way to a list once blocks are missing, and merging blocks
/// of two kinds is said.
async fn kinds(files: Files) {
    let text = String::from_utf8(content(&files, "config.v4.json").to_vec()).unwrap();
    let mut config: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    config.remove("layer_types");
    config.insert("sliding_window_pattern".into(), 3.into());
    let mut opened = sources(&files);
    opened.retain(|file| !file.name().starts_with("config"));
    opened.push(source("config.json", Value::from(config).to_string().as_bytes()));
    let model = open(&lab("cpu").await, &opened).await;
    let reference = reference(&files);
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
    assert!(mixed.summary().warnings.iter().any(|warning| warning.contains("saw (block 1)")));
    let model = open(&lab("cpu").await, &sources(&support::miniature::smollm3())).await;
    let mixed = model.merge(&merge_options((1, 2), Some(0.5)), None, &Task::silent()).await.unwrap();
    assert!(mixed.summary().warnings.iter().any(|warning| warning.contains("rotary positions")));
}

/// Positions that were not learned cannot be run.
async fn limits(learned: Files) {
    let (lab, task) = (lab("cpu").await, Task::silent());
    let model = open(&lab, &sources(&learned)).await;
    let error = model.logits(&input(&[1; 129]), &task).await.err().unwrap();
    assert_eq!(error.code(), "bad-argument");
    assert!(error.to_string().contains("128 positions"), "{error}");
    let options = GenerateOptions { prompt: "a".into(), tokens: Some(200), ..GenerateOptions::default() };
    assert_eq!(model.generate(&options, |_| (), &task).await.err().unwrap().code(), "bad-argument");
}

everywhere! {
    kinds_of_blocks: kinds(support::miniature::gemma3());
    what_a_family_rules_out: limits(support::miniature::gpt2());
    gpt2_repaired: repaired(support::miniature::gpt2(), "h.1.mlp.c_proj.weight", Some("h.1.mlp.c_proj.bias"), true);
    gemma3_repaired: repaired_after_a_norm(support::miniature::gemma3(), "1.post_feedforward_layernorm.weight", 1.0);
}

in_the_full_run_of_a_browser! {
    phi_repaired: repaired(support::miniature::phi(), "layers.1.mlp.fc2.weight", Some("layers.1.mlp.fc2.bias"), false);
    qwen3_repaired: repaired(support::miniature::qwen3(), "layers.1.mlp.down_proj.weight", None, false);
    gemma2_repaired: repaired_after_a_norm(support::miniature::gemma2(), "1.post_feedforward_layernorm.weight", 1.0);
    olmo2_repaired: repaired_after_a_norm(support::miniature::olmo2(), "1.post_feedforward_layernorm.weight", 0.0);
}

/// The miniatures of [`support::miniature`], each on both engines, and where WebGPU runs them in a
/// browser.
macro_rules! miniatures {
    ($on_webgpu:ident: $($name:ident),+ $(,)?) => {$(
        mod $name {
            use super::{miniature, support};

            crate::support::everywhere! {
                on_the_cpu: miniature("cpu", support::miniature::$name());
            }

            crate::support::$on_webgpu! {
                on_webgpu: miniature("webgpu", support::miniature::$name());
            }
        }
    )+};
}

// Each kernel, each stored dtype, and each order of a block's parts, through the browser's compiler
// of shaders.
miniatures!(everywhere: llama, qwen2_bf16, gpt2, gpt_neox_f16, opt_post, gemma3_capped);

miniatures!(
    in_the_full_run_of_a_browser:
    llama_sharded,
    llama_linear,
    llama_dynamic,
    llama_yarn,
    mistral,
    mistral_window,
    qwen2,
    qwen2_f16,
    qwen2_window,
    qwen3,
    qwen3_window,
    gpt2_hubnames,
    gpt2_f16,
    gpt2_scaled,
    gpt_neo,
    gpt_neo_untied,
    gpt_neox,
    gpt_neox_buffers,
    phi,
    phi_normed,
    phi3,
    phi3_longrope,
    phi3_partial,
    opt,
    opt_untied,
    gemma2,
    gemma2_bf16,
    gemma3,
    olmo2,
    olmo2_biased,
    smollm3,
    smollm3_window,
    gemma,
    ministral3,
    olmo3,
    exaone4,
    starcoder2,
    starcoder2_plain,
    stablelm,
    stablelm_parallel,
    gemma3_vision,
    llava,
    llava_next,
    llava_onevision,
    internvl,
    mistral3,
    qwen2_vl,
    qwen2_5_vl,
    qwen3_vl,
    idefics3,
    smolvlm,
    granite,
    cohere,
    cohere2,
    helium,
    glm,
    glm4,
    ernie4_5,
    arcee,
    nemotron,
    nemotron_biased,
    hunyuan_v1_dense,
    exaone,
    apertus,
);
