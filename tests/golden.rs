//! Whole runs against the golden records and the miniatures, on the CPU engine and on native Vulkan: records that transformers, SciPy and NumPy made.

mod support;

use std::rc::Rc;

use mka_lab::interface::{CalibrateOptions, EvaluateOptions, Input, ManifoldOptions, MergeOptions, RowsOption};
use mka_lab::session::{Lab, Model};
use mka_lab::similarity::Measure;
use mka_lab::task::Task;
use pollster::block_on;
use serde_json::Value;
use support::{Golden, open_folder};

/// What differs between the engines: how close they must come.
struct Tolerance {
    loss: f64,
    eigenvalue: f64,
}

const CPU: Tolerance = Tolerance { loss: 1e-5, eigenvalue: 1e-5 };
const WEBGPU: Tolerance = Tolerance { loss: 1e-4, eigenvalue: 1e-4 };

fn lab(backend: &str) -> Rc<Lab> {
    block_on(Lab::create(backend)).unwrap_or_else(|error| panic!("{error}. {}", error.hint()))
}

fn input(golden: &Golden) -> Input {
    Input { ids: Some(golden.ids.clone()), ..Input::default() }
}

fn evaluation(golden: &Golden) -> EvaluateOptions {
    EvaluateOptions { input: input(golden), window: Some(golden.window), sequences: Some(golden.sequences) }
}

fn run(backend: &str, name: &str, tolerance: &Tolerance, merged_tolerance: f64) {
    let golden = Golden::read(name);
    let model = open_folder(&lab(backend), &support::model_folder(name));
    let task = Task::silent();

    let (measured, _) = block_on(model.evaluate(&evaluation(&golden), &task)).unwrap();
    assert_eq!(measured.tokens, golden.sequences * (golden.window - 1));
    let expected = golden.json["nll_per_token"].as_f64().unwrap();
    assert!(
        (measured.dense.nll / expected - 1.0).abs() < tolerance.loss,
        "loss {} instead of {expected}",
        measured.dense.nll
    );

    let options = CalibrateOptions {
        input: input(&golden),
        sequences: Some(golden.sequences),
        window: Some(golden.window),
        rows: Some(RowsOption::Chosen(golden.rows.clone())),
        ..CalibrateOptions::default()
    };
    let calibration = block_on(model.calibrate(&options, &task)).unwrap();
    let layers = calibration.info().layers;
    for layer in 0..=layers {
        let (rows, columns, values) = calibration.hidden(layer).unwrap();
        assert_eq!(rows, golden.rows.len());
        let expected = golden.floats(&format!("hidden.{layer}"));
        for (row, (found, expected)) in values.chunks(columns).zip(expected.chunks(columns)).enumerate() {
            let norm = expected.iter().map(|v| v * v).sum::<f64>().sqrt();
            let off = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt();
            assert!(off < 2e-4 * norm, "x[{layer}], row {row}: off by {} of its norm", off / norm);
        }
    }
    let defaults = ManifoldOptions::default();
    let published = ManifoldOptions { dimensions: Some(2), sigma: Some(8.0), power: Some(0.5) };
    for layer in 0..layers {
        for (options, record) in [(&defaults, "eigenvalues"), (&published, "paper_eigenvalues")] {
            let map = block_on(calibration.embedding(layer, options, &task)).unwrap();
            for (found, expected) in map.eigenvalues.iter().zip(golden.floats(&format!("{record}.{layer}"))) {
                assert!(
                    (found - expected).abs() < tolerance.eigenvalue,
                    "{record} of layer {layer}: {found} not {expected}"
                );
            }
        }
    }
    for (measure, record) in [
        (Measure::NpibGaussian, "npib_gaussian"),
        (Measure::NpibKnn, "npib_knn"),
        (Measure::Cosine, "cosine"),
        (Measure::Angular, "angular"),
        (Measure::Cka, "linear_cka"),
    ] {
        let matrix = block_on(calibration.similarity(measure, &defaults, &task)).unwrap();
        for (i, (found, expected)) in
            matrix.values.iter().zip(golden.floats(&format!("similarity.{record}"))).enumerate()
        {
            assert!((found - expected).abs() < 1e-3, "{record}, element {i}: {found} instead of {expected}");
        }
    }
    let influence = block_on(calibration.block_influence(&task)).unwrap();
    for (found, expected) in influence.iter().zip(golden.json["block_influence"].as_array().unwrap()) {
        assert!((found - expected.as_f64().unwrap()).abs() < 1e-4);
    }
    surgery(&model, &golden, merged_tolerance);
}

/// The lines of the record that this version can do: drops and averages of inner pairs.
fn surgery(model: &Rc<Model>, golden: &Golden, tolerance: f64) {
    let mut lines = 0;
    for (line, expected) in golden.json["surgery"].as_object().unwrap() {
        let Some((pair, alpha)) = support::surgery_line(line, model.summary().layers) else { continue };
        let options = MergeOptions {
            selection: Some("manual".into()),
            pairs: Some(vec![pair]),
            combination: Some(if alpha.is_some() { "average" } else { "drop" }.into()),
            alpha: alpha.map(mka_lab::interface::AlphaOption::Fixed),
            ..MergeOptions::default()
        };
        let task = Task::silent();
        let merged = block_on(model.merge(&options, None, &task)).unwrap();
        let (measured, _) = block_on(merged.evaluate(&evaluation(golden), &task)).unwrap();
        let found = measured.divergence.unwrap();
        let figure = |name: &str| expected[name].as_f64().unwrap();
        let close = |found: f64, name: &str| {
            let off = (found / figure(name) - 1.0).abs();
            assert!(off < tolerance, "{line}: {name} {found} instead of {}, off by {off:e}", figure(name));
        };
        close(found.merged.perplexity, "perplexity");
        close(found.kl, "kl");
        assert!((found.top1_agreement - figure("top1_agreement")).abs() < 0.003, "{line}: {}", found.top1_agreement);
        lines += 1;
    }
    let layers = model.summary().layers;
    assert_eq!(lines, 2 * (layers - 2) + 1, "drop and average of every inner pair, and the last block");
}

#[test]
fn stories260k_on_the_cpu() {
    run("cpu", "stories260k", &CPU, 1e-3);
}

#[test]
fn demo_on_the_cpu() {
    run("cpu", "demo", &CPU, 2e-3);
}

#[test]
fn stories260k_on_vulkan() {
    run("webgpu", "stories260k", &WEBGPU, 1e-3);
}

#[test]
fn demo_on_vulkan() {
    run("webgpu", "demo", &WEBGPU, 2e-3);
}

#[test]
fn miniatures_predict_as_transformers_does() {
    for backend in ["cpu", "webgpu"] {
        let lab = lab(backend);
        for name in ["llama", "llama-sharded"] {
            for style in ["config.json", "config.v4.json"] {
                let folder = support::fixture(name);
                let reference: Value =
                    serde_json::from_slice(&std::fs::read(folder.join("reference.json")).unwrap()).unwrap();
                let model = support::open_with_config(&lab, &folder, style);
                let text = reference["text"].as_str().unwrap().to_string();
                let input = Input { text: Some(text), ..Input::default() };
                let (ids, logits) = block_on(model.logits(&input, &Task::silent())).unwrap();
                let expected_ids: Vec<u64> =
                    reference["input_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
                assert_eq!(ids.iter().map(|id| u64::from(*id)).collect::<Vec<_>>(), expected_ids);
                let expected: Vec<f64> =
                    reference["logits_last"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
                let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
                for (found, expected) in logits.iter().zip(&expected) {
                    assert!(
                        (f64::from(*found) - expected).abs() < 1e-4 * largest,
                        "{backend}, {name}, {style}: {found} not {expected}"
                    );
                }
            }
        }
    }
}
