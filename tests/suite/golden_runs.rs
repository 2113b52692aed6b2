//! Whole runs against the golden records and the miniatures, on both engines, natively and in a browser: records that transformers, SciPy
//! and NumPy made.

use std::rc::Rc;

use mka_lab::interface::{
    AlphaOption, CalibrateOptions, EvaluateOptions, Input, ManifoldOptions, MergeOptions, RowsOption,
};
use mka_lab::session::{Calibration, Model};
use mka_lab::similarity::Measure;
use mka_lab::task::Task;

use crate::support;
use crate::support::{Files, Golden, Surgery, lab, open, sources};

/// What differs between the engines: how close they must come.
struct Tolerance {
    loss: f64,
    eigenvalue: f64,
}

const CPU: Tolerance = Tolerance { loss: 1e-5, eigenvalue: 1e-5 };
const WEBGPU: Tolerance = Tolerance { loss: 1e-4, eigenvalue: 1e-4 };

fn input(golden: &Golden) -> Input {
    Input { ids: Some(golden.ids.clone()), ..Input::default() }
}

fn evaluation(golden: &Golden) -> EvaluateOptions {
    EvaluateOptions { input: input(golden), window: Some(golden.window), sequences: Some(golden.sequences) }
}

async fn run(backend: &str, files: Files, golden: Golden, tolerance: Tolerance, merged_tolerance: f64) {
    let model = open(&lab(backend).await, &sources(&files)).await;
    let task = Task::silent();

    let (measured, _) = model.evaluate(&evaluation(&golden), &task).await.unwrap();
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
    let calibration = model.calibrate(&options, &task).await.unwrap();
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
            let map = calibration.embedding(layer, options, &task).await.unwrap();
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
        let matrix = calibration.similarity(measure, &defaults, &task).await.unwrap();
        for (i, (found, expected)) in
            matrix.values.iter().zip(golden.floats(&format!("similarity.{record}"))).enumerate()
        {
            assert!((found - expected).abs() < 1e-3, "{record}, element {i}: {found} instead of {expected}");
        }
    }
    let influence = calibration.block_influence(&task).await.unwrap();
    for (found, expected) in influence.iter().zip(golden.json["block_influence"].as_array().unwrap()) {
        assert!((found - expected.as_f64().unwrap()).abs() < 1e-4);
    }
    surgery(&model, &calibration, &golden, merged_tolerance).await;
}

/// All lines of the record: drops and averages of inner pairs, without and with a linear repair.
async fn surgery(model: &Rc<Model>, calibration: &Calibration, golden: &Golden, tolerance: f64) {
    let lines = golden.json["surgery"].as_object().unwrap();
    assert_eq!(lines.len(), 4 * (model.summary().layers - 2) + 1);
    for (line, expected) in lines {
        let Surgery { pair, alpha, ridge } = support::surgery_line(line, model.summary().layers);
        let options = MergeOptions {
            selection: Some("manual".into()),
            pairs: Some(vec![pair]),
            combination: Some(if alpha.is_some() { "average" } else { "drop" }.into()),
            alpha: alpha.map(AlphaOption::Fixed),
            repair: ridge.map(|_| "linear".into()),
            ridge,
            holdout: Some(0.0),
            ..MergeOptions::default()
        };
        let task = Task::silent();
        let merged = model.merge(&options, Some(calibration), &task).await.unwrap();
        let (measured, _) = merged.evaluate(&evaluation(golden), &task).await.unwrap();
        let found = measured.divergence.unwrap();
        let figure = |name: &str| expected[name].as_f64().unwrap();
        // A repaired line rests on a fit, and is allowed twice as much.
        let tolerance = if ridge.is_some() { tolerance.max(2e-3) } else { tolerance };
        let close = |found: f64, name: &str| {
            let off = (found / figure(name) - 1.0).abs();
            assert!(off < tolerance, "{line}: {name} {found} instead of {}, off by {off:e}", figure(name));
        };
        close(found.merged.perplexity, "perplexity");
        close(found.kl, "kl");
        let agreement = found.top1_agreement - figure("top1_agreement");
        assert!(agreement.abs() < 0.003, "{line}: {}", found.top1_agreement);
    }
}

crate::everywhere! {
    stories260k_on_the_cpu: run("cpu", support::stories260k(), Golden::stories260k(), CPU, 1e-3);
    stories260k_on_webgpu: run("webgpu", support::stories260k(), Golden::stories260k(), WEBGPU, 1e-3);
    demo_on_the_cpu: run("cpu", support::demo(), Golden::demo(), CPU, 2e-3);
    demo_on_webgpu: run("webgpu", support::demo(), Golden::demo(), WEBGPU, 2e-3);
}
