//! What a run will take, told beforehand: bytes and operations from the headers, rates from a short measurement.

use super::Model;
use super::model::DEFAULT_CALIBRATION;
use crate::error::{Error, Result};
use crate::interface::{Estimate, EstimateOptions};
use crate::merge::combine::seconds_per_value;
use crate::task::Task;
use crate::transformer::windows_per_chunk;

impl Model {
    /// Estimates a calibration on so many windows, a merge of one pair, and an evaluation of as many windows.
    ///
    /// # Errors
    /// [`Error::BadArgument`] for sizes that cannot be run, [`Error::Cancelled`], or what reading and computing fail with.
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
        let rates = t.rates(per_chunk * window, task).await?;

        let weights = |names: Vec<(String, Vec<u64>)>| -> f64 {
            names.iter().filter(|(_, shape)| shape.len() > 1).map(|(_, s)| s.iter().product::<u64>() as f64).sum()
        };
        let block_weights = weights(d.block_tensors(d.layers / 2));
        let sizes = t.sizes();
        let layers = d.layers as f64;
        // Scores and values of the causal half, for every token, at the speed of the products.
        let row_flops = 2.0 * (per_chunk * window) as f64;
        let attention = 2.0 * sequences as f64 * (window as f64).powi(2) * (d.heads * d.head_size) as f64;
        let block_seconds = block_weights * chunks * rates.per_weight + attention * rates.per_weight / row_flops;

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
        Ok(Estimate {
            calibrate_seconds: pass,
            merge_seconds: merge,
            evaluate_seconds: pass + head,
            peak_bytes: self.peak_bytes((sequences as u64, window as u64, rows as u64)) as f64,
            read_again: (sizes.all - resident) as f64,
            read_rate: rates.per_byte.recip(),
            gflops: row_flops / rates.per_weight / 1e9,
        })
    }
}
