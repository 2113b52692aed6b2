//! How far a model is from what transformers recorded of it in `reference.json`.
#![allow(dead_code, reason = "the tests and an example compile their own copies, and each uses a part of it")]

use mka_lab::error::Result;
use mka_lab::interface::{CalibrateOptions, EvaluateOptions, Input, RowsOption};
use mka_lab::session::Model;
use mka_lab::task::Task;
use serde_json::Value;

/// The largest differences, as shares: of the largest logit, of the norm of a row, of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Differences {
    /// Of the logits after the last token.
    pub logits: f64,
    /// Of the hidden states before, between and after the blocks.
    pub hidden: f64,
    /// Of the loss.
    pub loss: f64,
}

impl Differences {
    /// The most that is allowed on the CPU engine, and ten times that on WebGPU.
    pub fn allowed(backend: &str) -> Self {
        let factor = if backend == "cpu" { 1.0 } else { 10.0 };
        Self { logits: 1e-4 * factor, hidden: 2e-4 * factor, loss: 1e-4 * factor }
    }

    /// The larger of each.
    pub fn max(self, other: Self) -> Self {
        Self {
            logits: self.logits.max(other.logits),
            hidden: self.hidden.max(other.hidden),
            loss: self.loss.max(other.loss),
        }
    }

    /// Whether none is larger than in `allowed`.
    pub fn within(self, allowed: Self) -> bool {
        self.logits <= allowed.logits && self.hidden <= allowed.hidden && self.loss <= allowed.loss
    }
}

/// The differences of a model and its record.
pub async fn differences(model: &Model, reference: &Value) -> Result<Differences> {
    let ids = ids(reference);
    let logits = off(&logits(model, &ids).await?, &numbers(&reference["logits_last"]));
    let loss = (loss(model, &ids).await? / number(&reference["loss"]) - 1.0).abs();
    Ok(Differences { logits, hidden: hidden(model, &ids, reference).await?, loss })
}

/// A number of a record; one that is missing is not a number, which nothing is within.
pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// A list of numbers of a record.
pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().map_or(Vec::new(), |values| values.iter().map(number).collect())
}

/// The token ids of a record.
pub fn ids(reference: &Value) -> Vec<u32> {
    numbers(&reference["input_ids"]).into_iter().map(|id| id as u32).collect()
}

/// Token ids as an input.
pub fn input(ids: &[u32]) -> Input {
    Input { ids: Some(ids.to_vec()), ..Input::default() }
}

/// The loss of a model on ids; of a merged one its own, not that of its original.
pub async fn loss(model: &Model, ids: &[u32]) -> Result<f64> {
    let options = EvaluateOptions { input: input(ids), window: Some(ids.len()), sequences: Some(1) };
    let (measured, _) = model.evaluate(&options, &Task::silent()).await?;
    Ok(measured.divergence.map_or(measured.dense.nll, |found| found.merged.nll))
}

/// The logits after the last of some ids.
pub async fn logits(model: &Model, ids: &[u32]) -> Result<Vec<f64>> {
    let (_, values) = model.logits(&input(ids), &Task::silent()).await?;
    Ok(values.into_iter().map(f64::from).collect())
}

/// The largest difference as a share of the largest expected value.
pub fn off(found: &[f64], expected: &[f64]) -> f64 {
    let largest = expected.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    if found.len() == expected.len() { largest_of(differences) / largest } else { f64::NAN }
}

/// The largest value; not a number if one is not.
fn largest_of(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |most, value| if value.is_nan() || value > most { value } else { most })
}

/// `x[l]` `[ids, channels]` of all l, in order.
pub async fn streams(model: &Model, ids: &[u32]) -> Result<Vec<Vec<f64>>> {
    let options = CalibrateOptions {
        input: input(ids),
        sequences: Some(1),
        window: Some(ids.len()),
        rows: Some(RowsOption::Chosen((0..ids.len()).map(|position| (0, position)).collect())),
        ..CalibrateOptions::default()
    };
    let calibration = model.calibrate(&options, &Task::silent()).await?;
    let layer = |layer| calibration.hidden(layer).map(|(_, _, values)| values.into_iter().map(f64::from).collect());
    (0..=model.summary().layers).map(layer).collect()
}

/// The largest difference of x[l] as a share of a row's norm: the first eight channels at some
/// positions, and the mean over all.
async fn hidden(model: &Model, ids: &[u32], reference: &Value) -> Result<f64> {
    let streams = streams(model, ids).await?;
    let norm = |row: &[f64]| row.iter().map(|value| value * value).sum::<f64>().sqrt();
    let mut differences = Vec::new();
    for (layer, values) in streams.iter().enumerate() {
        // The last of transformers' hidden states has passed the final norm; the block's own output
        // is in another list.
        let record = match layer + 1 == streams.len() {
            true => reference.get("layer_outputs").map(|outputs| &outputs[layer - 1]),
            false => Some(&reference["hidden_states"][layer]),
        };
        let Some(record) = record else { continue };
        let columns = values.len() / ids.len();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let scale = norm(values) / (values.len() as f64).sqrt();
        differences.push((mean - number(&record["mean"])).abs() / scale);
        for (position, expected) in record["first8"].as_object().into_iter().flatten() {
            let row = position.parse::<usize>().map_or(&[][..], |position| &values[position * columns..][..columns]);
            let expected = numbers(expected);
            let difference: Vec<f64> = row.iter().zip(&expected).map(|(a, b)| a - b).collect();
            differences.push(if difference.len() == 8 { norm(&difference) / norm(row) } else { f64::NAN });
        }
    }
    Ok(largest_of(differences.into_iter()))
}
