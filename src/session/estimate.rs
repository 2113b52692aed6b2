//! What a run will take, estimated up front: bytes and operations from the headers, rates from a
//! short measurement.

use super::model::{DEFAULT_CALIBRATION, Model};
use crate::architecture::Description;
use crate::error::{Error, Result};
use crate::interface::{Estimate, EstimateOptions};
use crate::merge::plan::{DEFAULT_HOLDOUT, MOST_NEURONS, can_refit};
use crate::merge::select::trials::expected_trials;
use crate::merge::select::validation::{FIT_TOKENS, VALIDATION_TOKENS};
use crate::merge::tensors::seconds_per_value;
use crate::regression::seconds_per_flop;
use crate::task::Task;
use crate::transformer::windows_per_chunk;

impl Model {
    /// Estimates a calibration on so many windows, a merge of one pair, merges by `loss-guided`,
    /// and an evaluation of as many windows.
    ///
    /// # Errors
    /// [`Error::BadArgument`] for sizes that cannot be run, [`Error::Cancelled`], or what reading
    /// and computing fail with.
    pub async fn estimate(&self, options: &EstimateOptions, task: &Task) -> Result<Estimate> {
        let (t, d) = (&self.transformer, &self.transformer.description);
        let sequences = options.sequences.unwrap_or(DEFAULT_CALIBRATION.0 as usize);
        let window = options.window.unwrap_or((DEFAULT_CALIBRATION.1 as usize).min(d.positions));
        let rows = options.rows.unwrap_or(DEFAULT_CALIBRATION.2 as usize);
        if !(1..=1 << 20).contains(&window) || !(1..=1 << 20).contains(&sequences) {
            let reason = format!("{sequences} sequences of {window} tokens cannot be run");
            return Err(Error::argument("window", reason));
        }
        let per_chunk = windows_per_chunk(t.engine.as_ref(), window).min(sequences);
        let chunks = sequences.div_ceil(per_chunk) as f64;
        let rates = t.rates(per_chunk, window, task).await?;

        let weights = |names: Vec<(String, Vec<u64>)>| -> f64 {
            names.iter().filter(|(_, shape)| shape.len() > 1).map(|(_, s)| s.iter().product::<u64>() as f64).sum()
        };
        let block_weights = weights(d.block_tensors(d.layers / 2));
        let sizes = t.sizes();
        let layers = d.layers as f64;
        let row_flops = 2.0 * (per_chunk * window) as f64;
        let block_seconds = sequences as f64 / per_chunk as f64 * rates.block;

        let resident = match sizes.all <= self.lab.budget() {
            true => sizes.all,
            false => self.lab.budget().saturating_sub(2 * sizes.block),
        };
        let blocks_bytes = sizes.block as f64 * layers;
        let head_weights = (d.vocabulary * d.hidden) as f64;
        let bytes_per_weight = blocks_bytes / (block_weights * layers).max(1.0);
        let pass = layers * block_seconds + blocks_bytes * rates.per_byte;
        let head = head_weights * (chunks * rates.per_weight + bytes_per_weight * rates.per_byte);
        // Both parents are read twice: for their sum, and for how far they are from it.
        let merge = 4.0 * sizes.block as f64 * rates.per_byte + block_weights * seconds_per_value();
        let read_again = if resident < sizes.all { sizes.block as f64 * rates.per_byte } else { 0.0 };
        let token_seconds = rates.per_weight / (per_chunk * window) as f64;
        let speeds = Speeds {
            product: token_seconds / 2.0,
            solution: seconds_per_flop()?,
            block: block_seconds / (sequences * window) as f64,
            block_again: read_again,
            head: head_weights * token_seconds,
        };
        let guided = loss_guided(d, &speeds, (sequences * window) as f64);
        Ok(Estimate {
            calibrate_seconds: pass,
            merge_seconds: merge,
            loss_guided_seconds: guided,
            evaluate_seconds: pass + head,
            peak_bytes: self.peak_bytes((sequences as u64, window as u64, rows as u64)) as f64,
            read_again: (sizes.all - resident) as f64,
            read_rate: rates.per_byte.recip(),
            gflops: row_flops / rates.per_weight / 1e9,
        })
    }
}

/// Seconds of the parts of a fit.
struct Speeds {
    /// An operation of a product on the engine.
    product: f64,
    /// An operation of a solution in f64, on the CPU.
    solution: f64,
    /// A token in a block.
    block: f64,
    /// Reading a block again, where it is not kept.
    block_again: f64,
    /// A token in the head.
    head: f64,
}

impl Speeds {
    /// A block on so many tokens.
    fn block(&self, tokens: f64) -> f64 {
        tokens * self.block + self.block_again
    }

    /// The sums of a fit of so many channels to so many, and so many solutions on the engine: a
    /// Cholesky factor and a solution by it.
    fn fit(&self, [inputs, outputs]: [f64; 2], tokens: f64, solutions: f64) -> f64 {
        let sums = tokens * inputs * (inputs + 2.0 * outputs);
        (sums + solutions * solution([inputs, outputs])) * self.product
    }

    /// A fit that is solved on the CPU.
    fn map(&self, sizes: [f64; 2], tokens: f64) -> f64 {
        self.fit(sizes, tokens, 0.0) + solution(sizes) * self.solution
    }
}

/// Operations of a Cholesky factor and a solution by it.
fn solution([inputs, outputs]: [f64; 2]) -> f64 {
    inputs.powi(2) * (inputs / 3.0 + 2.0 * outputs)
}

/// Seconds of a merge by `loss-guided` calibrated on so many tokens, for 1, 2, ... layers removed;
/// none where the model is merged another way then.
///
/// Counts what [`crate::merge::select::trials`] and [`crate::merge::repair::refit`] do: how often a
/// block runs, and what is fitted to what.
fn loss_guided(d: &Description, speeds: &Speeds, tokens: f64) -> Vec<f64> {
    if can_refit(d).is_err() {
        return Vec::new();
    }
    let (layers, hidden) = (d.layers as f64, d.hidden as f64);
    let (heads, neurons) = ((d.heads * d.head_size) as f64, d.neurons() as f64);
    let both = (2.0 * neurons).min(MOST_NEURONS as f64);
    let fitted = (tokens * (1.0 - DEFAULT_HOLDOUT)).min(FIT_TOKENS as f64);
    let validated = (tokens * DEFAULT_HOLDOUT).min(VALIDATION_TOKENS as f64);
    let validation = |blocks: f64| blocks * speeds.block(validated) + validated * speeds.head;
    // What neurons read: T for the back block of the pair, then for both.
    let reads = speeds.map([hidden, hidden], fitted);
    // An inverse for the saliencies is half a solution more.
    let useful = speeds.fit([both, hidden], fitted, 1.5);
    let writes =
        |tokens, solutions| [heads, neurons].map(|n| speeds.fit([n, hidden], tokens, solutions)).iter().sum::<f64>();
    let trial = 5.5 * speeds.block(fitted) + 3.0 * reads + useful + writes(fitted, 1.0) + validation(layers / 2.0);
    let passing = layers * (speeds.block(fitted) + speeds.block(validated));
    // Twice, at first with a search for the ridge.
    let block = 2.0 * (2.6 * speeds.block(tokens) + writes(tokens, 3.0));
    let merged = 4.0 * speeds.map([hidden, hidden], tokens);
    let removed = (1..d.layers).map(|n| (n, n as f64));
    let seconds = |(count, n): (usize, f64)| {
        // The first gap of n anywhere is expected after one block of n + 1.
        let refitted = (layers - n) * n / (n + 1.0);
        expected_trials(d.layers, count) as f64 * trial
            + passing
            + refitted * block
            + n * merged
            + 4.0 * validation(layers)
    };
    removed.map(seconds).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::checkpoint::source::{DiskSource, Source};
    use crate::session::Lab;

    /// Layers of a miniature, and the estimated seconds of `loss-guided` on it.
    fn estimate(miniature: &str) -> (usize, Vec<f64>) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(miniature);
        let is_needed = |file: &Source| ["config.json", "model.safetensors", "tokenizer.json"].contains(&file.name());
        let files: Vec<Source> = DiskSource::folder(&folder).unwrap().into_iter().filter(is_needed).collect();
        pollster::block_on(async {
            let model = Lab::create("cpu").await.unwrap().open(&files, &Task::silent()).await.unwrap();
            let options = EstimateOptions { sequences: Some(4), window: Some(16), rows: Some(16) };
            let estimate = model.estimate(&options, &Task::silent()).await.unwrap();
            (model.transformer.description.layers, estimate.loss_guided_seconds)
        })
    }

    #[test]
    fn the_own_method_is_estimated_for_each_number_of_layers_where_blocks_can_be_fitted() {
        let (layers, seconds) = estimate("llama");
        assert_eq!(seconds.len(), layers - 1);
        assert!(seconds.iter().all(|seconds| seconds.is_finite() && *seconds > 0.0), "{seconds:?}");
        // A norm between the projections and the stream.
        assert!(estimate("gemma2").1.is_empty());
    }
}
