//! Whole runs against the golden records and the miniatures, on both engines, natively and in a
//! browser: records that transformers, SciPy and NumPy made.

use std::rc::Rc;

use mka_lab::calibration::Calibration;
use mka_lab::interface::{CalibrateOptions, EvaluateOptions, Input, RowsOption};
use mka_lab::manifold::DiffusionMapOptions;
use mka_lab::merge::choices::{Alpha, Combination, Repair, Selection};
use mka_lab::merge::options::MergeOptions;
use mka_lab::session::Model;
use mka_lab::similarity::Measure;
use mka_lab::task::Task;

use crate::support;
use crate::support::{
    Files, Golden, Surgery, everywhere, in_the_full_run, in_the_full_run_of_a_browser, lab, open, sources,
};

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

fn calibration(golden: &Golden) -> CalibrateOptions {
    CalibrateOptions {
        input: input(golden),
        sequences: Some(golden.sequences),
        window: Some(golden.window),
        rows: Some(RowsOption::Chosen(golden.rows.clone())),
        ..CalibrateOptions::default()
    }
}

fn evaluation(golden: &Golden) -> EvaluateOptions {
    EvaluateOptions { input: input(golden), window: Some(golden.window), sequences: Some(golden.sequences) }
}

/// Everything that is measured of a model, and some lines of its surgery.
async fn run(backend: &str, files: Files, golden: Golden, tolerance: Tolerance, surgery: Surgeries) {
    let model = open(&lab(backend).await, &sources(&files)).await;
    let calibration = measures(&model, &golden, tolerance).await;
    surgeries(&model, &calibration, &golden, surgery).await;
}

/// All lines of the surgery.
async fn all_surgery(backend: &str, files: Files, golden: Golden, tolerance: f64) {
    let model = open(&lab(backend).await, &sources(&files)).await;
    let calibration = model.calibrate(&calibration(&golden), &Task::silent()).await.unwrap();
    surgeries(&model, &calibration, &golden, Surgeries { tolerance, lines: None }).await;
}

/// The loss, the states, the diffusion maps and the similarities.
async fn measures(model: &Model, golden: &Golden, tolerance: Tolerance) -> Calibration {
    let task = Task::silent();

    let (measured, _) = model.evaluate(&evaluation(golden), &task).await.unwrap();
    assert_eq!(measured.tokens, golden.sequences * (golden.window - 1));
    let expected = golden.json["nll_per_token"].as_f64().unwrap();
    assert!(
        (measured.dense.nll / expected - 1.0).abs() < tolerance.loss,
        "loss {} instead of {expected}",
        measured.dense.nll
    );

    let calibration = model.calibrate(&calibration(golden), &task).await.unwrap();
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
    let defaults = DiffusionMapOptions::default();
    let published = DiffusionMapOptions { dimensions: 2, sigma: Some(8.0), power: 0.5 };
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
    calibration
}

/// Which lines of a record's surgery are repeated, all where none are named, and how close the
/// results must come, as a share.
struct Surgeries {
    tolerance: f64,
    lines: Option<&'static [&'static str]>,
}

/// All of the built-in model of five layers; nothing is cheaper than it.
const ALL: Surgeries = Surgeries { tolerance: 1e-3, lines: None };

/// Of the 41 lines of the built-in model of twelve layers one of each kind, at different depths.
const ONE_OF_EACH_KIND: Surgeries = Surgeries {
    tolerance: 2e-3,
    lines: Some(&[
        "drop 3",
        "average 5,6 alpha 0.5",
        "drop 8, repair 7 ridge 0.3",
        "average 9,10 alpha 0.5, repair ridge 0.3",
        "drop last",
    ]),
};

/// Drops and averages of inner pairs, without and with a linear repair.
async fn surgeries(model: &Rc<Model>, calibration: &Calibration, golden: &Golden, wanted: Surgeries) {
    let lines = golden.json["surgery"].as_object().unwrap();
    assert_eq!(lines.len(), 4 * (model.summary().layers - 2) + 1);
    let mut done = 0;
    for (line, expected) in
        lines.iter().filter(|(line, _)| wanted.lines.is_none_or(|lines| lines.contains(&line.as_str())))
    {
        done += 1;
        let Surgery { pair, alpha, ridge } = support::surgery_line(line, model.summary().layers);
        let options = MergeOptions {
            selection: Some(Selection::Manual),
            pairs: Some(vec![pair]),
            combination: Some(if alpha.is_some() { Combination::Average } else { Combination::Drop }),
            alpha: alpha.map(Alpha::Weight),
            repair: ridge.map(|_| Repair::Linear),
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
        let tolerance = if ridge.is_some() { wanted.tolerance.max(2e-3) } else { wanted.tolerance };
        let close = |found: f64, name: &str| {
            let off = (found / figure(name) - 1.0).abs();
            assert!(off < tolerance, "{line}: {name} {found} instead of {}, off by {off:e}", figure(name));
        };
        close(found.merged.perplexity, "perplexity");
        close(found.kl, "kl");
        let agreement = found.top1_agreement - figure("top1_agreement");
        assert!(agreement.abs() < 0.003, "{line}: {}", found.top1_agreement);
    }
    assert_eq!(done, wanted.lines.map_or(lines.len(), <[&str]>::len));
}

everywhere! {
    stories260k_on_the_cpu: run("cpu", support::stories260k(), Golden::stories260k(), CPU, ALL);
    stories260k_on_webgpu: run("webgpu", support::stories260k(), Golden::stories260k(), WEBGPU, ALL);
}

in_the_full_run_of_a_browser! {
    demo_on_the_cpu: run("cpu", support::demo(), Golden::demo(), CPU, ONE_OF_EACH_KIND);
    demo_on_webgpu: run("webgpu", support::demo(), Golden::demo(), WEBGPU, ONE_OF_EACH_KIND);
}

in_the_full_run! {
    all_surgery_of_demo_on_the_cpu: all_surgery("cpu", support::demo(), Golden::demo(), 2e-3);
    all_surgery_of_demo_on_webgpu: all_surgery("webgpu", support::demo(), Golden::demo(), 2e-3);
}
