//! The line-up: what it measures is what single runs measure, what is done is left out, and what
//! fails says why.

use std::rc::Rc;

use mka_lab::error::{Error, Result};
use mka_lab::interface::{
    CalibrateOptions, EvaluateOptions, LineupKey, LineupMethod, LineupOptions, LineupPoint, LineupText,
};
use mka_lab::merge::choices::Combination;
use mka_lab::merge::options::MergeOptions;
use mka_lab::session::Model;
use mka_lab::task::Task;
use pollster::block_on;

use crate::support;
use crate::support::native::{export, lab, merge, open, text};
use crate::support::{Files, TINYSTORIES};

type Points = Vec<(LineupPoint, Option<Rc<Model>>)>;

fn calibrate() -> CalibrateOptions {
    CalibrateOptions {
        input: text(&TINYSTORIES[..30_000]),
        sequences: Some(6),
        window: Some(64),
        ..CalibrateOptions::default()
    }
}

fn options(presets: &[&str], budgets: &[usize]) -> LineupOptions {
    let texts = [("earlier", &TINYSTORIES[40_000..50_000]), ("later", &TINYSTORIES[50_000..])];
    LineupOptions {
        presets: Some(presets.iter().map(|name| (*name).into()).collect()),
        budgets: budgets.to_vec(),
        calibrate: calibrate(),
        texts: texts.map(|(name, part)| LineupText { name: name.into(), input: text(part) }).to_vec(),
        window: Some(64),
        sequences: Some(3),
        ..LineupOptions::default()
    }
}

fn lineup(model: &Rc<Model>, options: &LineupOptions, task: &Task) -> (Points, Result<()>) {
    let mut points = Vec::new();
    let each = async |point, model| {
        points.push((point, model));
        Ok(())
    };
    let done = block_on(model.lineup(options, each, task));
    (points, done)
}

#[test]
fn points_are_what_single_runs_measure() {
    points_and_single_runs(&support::stories260k(), &[2, 1]);
}

#[test]
#[ignore = "full run: a minute of trials on twelve layers, where five show the same"]
fn points_of_twelve_layers_are_what_single_runs_measure() {
    points_and_single_runs(&support::demo(), &[4, 2]);
}

fn points_and_single_runs(files: &Files, budgets: &[usize]) {
    let model = open(&lab(), files);
    let calibration = block_on(model.calibrate(&calibrate(), &Task::silent())).unwrap();
    let options = options(&["mka", "replaceme", "loss-guided", "published-code"], budgets);
    let (points, done) = lineup(&model, &options, &Task::silent());
    done.unwrap();
    assert_eq!(points.len(), 8);
    for (point, merged) in points {
        let choices = MergeOptions {
            preset: Some(point.key.preset.clone()),
            remove: Some(point.key.removed),
            ..MergeOptions::default()
        };
        let alone = merge(&model, &choices, Some(&calibration)).unwrap();
        let merged = merged.unwrap();
        let what = format!("{:?}", point.key);
        assert_eq!(export(&merged), export(&alone), "{what}");
        assert_eq!(point.recipe.as_ref(), alone.recipe(), "{what}");
        assert_eq!(point.bytes, alone.summary().bytes);
        for (found, text) in point.measured.iter().zip(&options.texts) {
            let evaluate = EvaluateOptions { input: text.input.clone(), window: Some(64), sequences: Some(3) };
            let (expected, _) = block_on(alone.evaluate(&evaluate, &Task::silent())).unwrap();
            let divergence = expected.divergence.unwrap();
            assert_eq!((&found.text, found.tokens), (&text.name, expected.tokens));
            assert!((found.dense.nll - expected.dense.nll).abs() < 1e-9, "{what}");
            assert!((found.merged.nll - divergence.merged.nll).abs() < 1e-9, "{what}");
            assert!((found.kl - divergence.kl).abs() < 1e-9, "{what}");
            assert_eq!(found.top1_agreement, divergence.top1_agreement, "{what}");
        }
    }
}

#[test]
fn seeds_differ_and_what_is_done_is_left_out() {
    let model = open(&lab(), &support::stories260k());
    let all = LineupOptions { seeds: Some(vec![0, 1]), ..options(&["mka", "sleb"], &[1, 2]) };
    let (points, done) = lineup(&model, &all, &Task::silent());
    done.unwrap();
    let keys: Vec<LineupKey> = points.iter().map(|(point, _)| point.key.clone()).collect();
    assert_eq!(keys.len(), 8);
    let losses = |seed: u32| {
        let of = points.iter().filter(move |(point, _)| point.key.seed == seed);
        of.map(|(point, _)| point.measured[0].merged.nll).collect::<Vec<_>>()
    };
    assert_ne!(losses(0), losses(1));

    let rest = LineupOptions { done: keys[..5].to_vec(), ..all };
    let (again, done) = lineup(&model, &rest, &Task::silent());
    done.unwrap();
    let missing: Vec<_> = again.iter().map(|(point, _)| (&point.key, &point.measured)).collect();
    let expected: Vec<_> = points[5..].iter().map(|(point, _)| (&point.key, &point.measured)).collect();
    assert_eq!(missing, expected);
}

#[test]
fn methods_of_ones_own_run_beside_the_presets() {
    let model = open(&lab(), &support::demo());
    let method = |name: &str, combination: Combination| LineupMethod {
        name: name.into(),
        options: MergeOptions {
            preset: Some("shortgpt".into()),
            combination: Some(combination),
            ..MergeOptions::default()
        },
    };
    let methods = vec![method("the same", Combination::Drop), method("averaged", Combination::Average)];
    let all = LineupOptions { methods, ..options(&["shortgpt"], &[2]) };
    let (points, done) = lineup(&model, &all, &Task::silent());
    done.unwrap();
    let names: Vec<&str> = points.iter().map(|(point, _)| &*point.key.preset).collect();
    assert_eq!(names, ["shortgpt", "the same", "averaged"]);
    assert_eq!(points[0].0.measured, points[1].0.measured);
    assert_ne!(points[0].0.measured, points[2].0.measured);
    let twice = LineupOptions { methods: vec![method("shortgpt", Combination::Drop)], ..options(&["shortgpt"], &[2]) };
    assert!(lineup(&model, &twice, &Task::silent()).1.err().unwrap().to_string().contains("shortgpt"));
    assert!(lineup(&model, &options(&[], &[2]), &Task::silent()).1.is_err(), "nothing to compare");
}

#[test]
fn what_fails_says_why_and_does_not_stop_the_rest() {
    let model = open(&lab(), &support::stories260k());
    let (points, done) = lineup(&model, &options(&["mka", "published-code"], &[1, 4]), &Task::silent());
    done.unwrap();
    let failed: Vec<bool> = points.iter().map(|(point, _)| point.failed.is_some()).collect();
    assert_eq!(failed, [false, true, false, false], "averaging spares both ends of five layers");
    assert!(points[1].0.failed.as_ref().unwrap().contains("no further layer"));

    let refused = |options: &LineupOptions| lineup(&model, options, &Task::silent()).1.err().unwrap().to_string();
    assert!(refused(&options(&["magic"], &[1])).contains("mka"));
    assert!(refused(&options(&["mka"], &[])).contains("size"));
    let task = Task::silent();
    task.cancel();
    assert_eq!(lineup(&model, &options(&["mka"], &[1]), &task).1, Err(Error::Cancelled));
}
