//! How fast a model's own weights come from its files, and how fast they multiply: a measurement of about a second, for estimates.

use web_time::Instant;

use super::Transformer;
use super::block::product;
use crate::architecture::readable_dtype;
use crate::error::Result;
use crate::task::Task;

/// At most so many bytes are read for the measurement…
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
}

impl Transformer {
    /// Measures on the largest matrix of the middle block, with `rows` rows of states.
    ///
    /// # Errors
    /// [`crate::error::Error::Cancelled`], or what reading and computing fail with.
    pub async fn rates(&self, rows: usize, task: &Task) -> Result<Rates> {
        let d = &self.description;
        let plain = d.stored_projections().filter(|p| !p.transposed).chain(d.stored_projections());
        let largest = plain.max_by_key(|p| (!p.transposed, p.stored * p.columns));
        let Some(projection) = largest else {
            return Ok(Rates { per_byte: 0.0, per_weight: 0.0 });
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
        Ok(Rates { per_byte: read / (lines * line_bytes) as f64, per_weight: times * best / (lines * columns) as f64 })
    }
}
