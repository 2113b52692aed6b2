//! How fast a model's own weights come from its files, how fast they multiply, and how long a block
//! takes: a measurement of about a second, for estimates.

use web_time::Instant;

use super::model::Transformer;
use crate::checkpoint::read::readable_dtype;
use crate::compute::sliced::product;
use crate::error::Result;
use crate::task::Task;

/// At most so many bytes are read for a measurement…
const SAMPLE_BYTES: usize = 16 << 20;
/// …and so many floating-point operations made.
const SAMPLE_FLOPS: f64 = 4.0e9;

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Seconds to bring one byte of weights from the file to the engine.
    pub per_byte: f64,
    /// Seconds to multiply the rows of one chunk by one weight, decoding included.
    pub per_weight: f64,
    /// Seconds that a block takes for one chunk. In a small block much of it is no product; a large
    /// one is not run, but taken for its products.
    pub block: f64,
}

impl Transformer {
    /// Measures on the middle block, with chunks of `sequences` windows of `window` tokens.
    ///
    /// # Errors
    /// [`crate::error::Error::Cancelled`], or what reading and computing fail with.
    pub async fn rates(&self, sequences: usize, window: usize, task: &Task) -> Result<Rates> {
        let d = &self.description;
        let rows = sequences * window;
        let kind = d.kind_of(d.layers / 2);
        let plain = kind.stored_projections().filter(|p| !p.transposed).chain(kind.stored_projections());
        let largest = plain.max_by_key(|p| (!p.transposed, p.stored * p.columns));
        let Some(projection) = largest else {
            return Ok(Rates { per_byte: 0.0, per_weight: 0.0, block: 0.0 });
        };
        let name = d.block_tensor(d.layers / 2, projection.name, "weight");
        let tensor = self.checkpoint.tensor(&name)?;
        // Where the matrix is stored the other way round its lines are inputs; they cost the same.
        let (lines, columns) = match projection.transposed {
            true => (projection.columns, projection.stored),
            false => (projection.stored, projection.columns),
        };
        let line_bytes = columns * readable_dtype(&name, tensor)?.size();
        // A long window costs as many times more as it is longer; the measurement stays small.
        let wanted = rows as f64;
        let rows = rows.clamp(1, self.engine.info().chunk_tokens);
        let times = wanted / rows as f64;
        let most = (SAMPLE_FLOPS / (2.0 * rows as f64 * columns as f64)) as usize;
        let lines = lines.min(SAMPLE_BYTES / line_bytes.max(1)).min(most).max(1);

        let begun = Instant::now();
        let matrix = self.weights.sample(&name, tensor, lines).await?;
        let read = begun.elapsed().as_secs_f64();

        let engine = self.engine.as_ref();
        let states = engine.upload(rows, &vec![0.5; rows * columns])?;
        let mut best = f64::INFINITY;
        for _ in 0..2 {
            let begun = Instant::now();
            let out = product(engine, task, &states, &matrix, None).await?;
            engine.read(&engine.gather(&out, &[0])?).await?;
            best = best.min(begun.elapsed().as_secs_f64());
        }
        let per_weight = times * best / (lines * columns) as f64;
        let block = self.block_seconds(sequences, window, per_weight, task).await?;
        Ok(Rates { per_byte: read / (lines * line_bytes) as f64, per_weight, block })
    }

    async fn block_seconds(&self, sequences: usize, window: usize, per_weight: f64, task: &Task) -> Result<f64> {
        let d = &self.description;
        let weights: usize = d.kind_of(d.layers / 2).stored_projections().map(|p| p.stored * p.columns).sum();
        let rows = sequences * window;
        // Scores and values of the causal half, for every token, at the speed of the products.
        let attention = rows * window * d.heads * d.head_size;
        let flops = 2.0 * rows as f64 * weights as f64 + 2.0 * attention as f64;
        let products = per_weight * flops / (2.0 * rows.max(1) as f64);
        let too_much = self.sizes.block > SAMPLE_BYTES as u64 || flops > 2.0 * SAMPLE_FLOPS;
        if too_much || window > d.positions {
            return Ok(products);
        }
        let windows = vec![vec![0; window]; sequences];
        let mut stream = self.embed(&windows, task).await?;
        let middle = d.layers / 2..d.layers / 2 + 1;
        let step = task.step("estimate", 2, "blocks");
        let mut best = f64::INFINITY;
        // The first time its weights are read.
        for _ in 0..2 {
            let begun = Instant::now();
            self.forward(&mut stream, middle.clone(), None, task, &step).await?;
            best = best.min(begun.elapsed().as_secs_f64());
        }
        Ok(best)
    }
}
