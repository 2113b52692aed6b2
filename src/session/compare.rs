//! The line-up: methods held against each other on one model, at several sizes, under the same
//! calibration and the same texts.
//!
//! What all share is done once: the calibration of a seed, what is measured on it, the original
//! model's states on the texts. Except for windows, a method that takes seven layers takes the same
//! three first as one that takes three, so one run gives all sizes.

use std::rc::Rc;

use web_time::Instant;

use super::input::Windows;
use super::model::Model;
use crate::calibration::Calibration;
use crate::error::{Error, Result};
use crate::evaluate::Baseline;
use crate::interface::{CalibrateOptions, LineupKey, LineupMeasure, LineupMethod, LineupOptions, LineupPoint};
use crate::merge::choices::Selection;
use crate::merge::context::MergeContext;
use crate::merge::greedy::GreedyMerge;
use crate::merge::options::MergeOptions;
use crate::merge::plan::MergePlan;
use crate::merge::presets::{PRESETS, Preset};
use crate::task::Task;

/// Bytes of streams that are kept of each text.
const STREAM_BYTES: u64 = 96 << 20;

/// The texts with the original model's states.
type Baselines<'a> = [(String, Baseline<'a>)];

/// A method on its way through the sizes.
struct Run<'a> {
    method: &'a LineupMethod,
    seed: u32,
    calibration: &'a Calibration,
    baselines: &'a Baselines<'a>,
}

impl Model {
    /// Runs every preset at every size with every seed, but for what is done already, and hands
    /// each point with its model to `each` as it comes. A method that fails gives a point that says
    /// why.
    ///
    /// # Errors
    /// [`Error::BadArgument`] naming the option that cannot be followed, [`Error::Cancelled`], or
    /// what calibrating and measuring the original model fail with.
    pub async fn lineup(
        self: &Rc<Self>,
        options: &LineupOptions,
        mut each: impl AsyncFnMut(LineupPoint, Option<Rc<Self>>) -> Result<()>,
        task: &Task,
    ) -> Result<()> {
        let methods = methods(options)?;
        let mut budgets = options.budgets.clone();
        budgets.sort_unstable();
        budgets.dedup();
        if methods.is_empty() || budgets.is_empty() || options.texts.is_empty() {
            let reason = "a line-up needs at least one method, one size and one text to measure on";
            return Err(Error::argument("budgets", reason));
        }
        let mut baselines = Vec::new();
        for text in &options.texts {
            let Windows { windows, .. } = self.windows(&text.input, options.window, options.sequences.unwrap_or(16))?;
            baselines.push((text.name.clone(), Baseline::new(&self.transformer, windows, STREAM_BYTES, task).await?));
        }
        for seed in options.seeds.as_deref().unwrap_or(&[0]) {
            let missing = |preset: &str| {
                let key = |removed: &usize| LineupKey { preset: preset.into(), removed: *removed, seed: *seed };
                budgets.iter().copied().filter(|removed| !options.done.contains(&key(removed))).collect::<Vec<_>>()
            };
            if methods.iter().all(|method| missing(&method.name).is_empty()) {
                continue;
            }
            let calibrate =
                CalibrateOptions { seed: Some(*seed), shuffle: Some(*seed != 0), ..options.calibrate.clone() };
            let calibration = self.calibrate(&calibrate, task).await?;
            for method in &methods {
                let run = Run { method, seed: *seed, calibration: &calibration, baselines: &baselines };
                self.run_method(&run, &missing(&method.name), &mut each, task).await?;
            }
        }
        Ok(())
    }

    /// One method with one seed at some sizes, ascending.
    async fn run_method(
        self: &Rc<Self>,
        run: &Run<'_>,
        budgets: &[usize],
        each: &mut impl AsyncFnMut(LineupPoint, Option<Rc<Self>>) -> Result<()>,
        task: &Task,
    ) -> Result<()> {
        let plan = MergePlan::new(&run.method.options, &self.transformer.description);
        let windows = plan.is_ok_and(|plan| plan.selection == Selection::Window);
        let runs: Vec<&[usize]> = if windows { budgets.chunks(1).collect() } else { vec![budgets] };
        for budgets in runs {
            let Some(most) = budgets.last() else { continue };
            let begun = Instant::now();
            let remove = Some((*most).min(self.transformer.description.layers - 1));
            let choices = MergeOptions { remove, ..run.method.options.clone() };
            let plan = match MergePlan::new(&choices, &self.transformer.description) {
                Err(error @ Error::BadArgument { .. }) => {
                    for removed in budgets {
                        each(run.failed(*removed, begun, &error), None).await?;
                    }
                    continue;
                }
                plan => plan?,
            };
            let context = self.merge_context(plan.norms);
            let mut merge = GreedyMerge::begin(&context, &plan, Some(run.calibration), task).await;
            let mut done = 0;
            for removed in budgets {
                let point = self.point(run, (&context, &mut merge), &mut done, *removed, begun, task).await;
                match point {
                    Ok((point, model)) => each(point, Some(model)).await?,
                    // What one method may fail with on this model and text is no reason to stop the
                    // others.
                    Err(
                        error @ (Error::BadArgument { .. }
                        | Error::NotFinite { .. }
                        | Error::Degenerate { .. }
                        | Error::Disconnected { .. }),
                    ) => each(run.failed(*removed, begun, &error), None).await?,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Goes on until `removed` layers are gone, and measures.
    async fn point(
        self: &Rc<Self>,
        run: &Run<'_>,
        (context, merge): (&MergeContext, &mut Result<GreedyMerge<'_>>),
        done: &mut usize,
        removed: usize,
        begun: Instant,
        task: &Task,
    ) -> Result<(LineupPoint, Rc<Self>)> {
        let merge = merge.as_mut().map_err(|error| error.clone())?;
        while *done < removed {
            merge.step(task).await?;
            *done += 1;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let (recipe, state, warnings) = merge.snapshot(task).await?;
        let shared = state.untouched();
        let merged = self.finish(context, recipe.clone(), state, Some(run.calibration), warnings, task).await?;
        let mut measured = Vec::new();
        for (text, baseline) in run.baselines {
            let found = baseline.compare(&merged.transformer, shared, task).await?;
            let Some(divergence) = found.divergence else { continue };
            measured.push(LineupMeasure {
                text: text.clone(),
                tokens: found.tokens,
                dense: found.dense,
                merged: divergence.merged,
                kl: divergence.kl,
                top1_agreement: divergence.top1_agreement,
            });
        }
        let summary = merged.summary();
        let (parameters, bytes) = (summary.parameters, summary.bytes);
        let (key, recipe) = (run.key(removed), Some(recipe));
        Ok((LineupPoint { key, parameters, bytes, measured, seconds, recipe, failed: None }, merged))
    }
}

/// The presets and the others that a line-up is of.
fn methods(options: &LineupOptions) -> Result<Vec<LineupMethod>> {
    let names: Vec<&str> = match &options.presets {
        Some(names) => names.iter().map(String::as_str).collect(),
        None => PRESETS.iter().map(|preset| preset.name).collect(),
    };
    let mut methods = Vec::new();
    for name in names {
        let preset = Some(Preset::named(name)?.name.into());
        methods.push(LineupMethod { name: name.into(), options: MergeOptions { preset, ..MergeOptions::default() } });
    }
    for method in &options.methods {
        if methods.iter().any(|other| other.name == method.name) {
            return Err(Error::argument("methods", format!("two are called {:?}", method.name)));
        }
        methods.push(method.clone());
    }
    Ok(methods)
}

impl Run<'_> {
    fn key(&self, removed: usize) -> LineupKey {
        LineupKey { preset: self.method.name.clone(), removed, seed: self.seed }
    }

    fn failed(&self, removed: usize, begun: Instant, error: &Error) -> LineupPoint {
        LineupPoint {
            key: self.key(removed),
            parameters: 0.0,
            bytes: 0.0,
            measured: Vec::new(),
            seconds: begun.elapsed().as_secs_f64(),
            recipe: None,
            failed: Some(error.to_string()),
        }
    }
}
