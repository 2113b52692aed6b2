//! How much a measure depends on which rows were drawn.

use std::rc::Rc;

use super::activations::{Rows, Sample, calibrate, choose_rows};
use super::calibrated::{Calibration, CalibrationInfo};
use crate::error::{Error, Result};
use crate::manifold::DiffusionMapOptions;
use crate::similarity::{LayerMatrix, Measure};
use crate::task::Task;

/// The most draws of rows that one measure is repeated over.
const MOST_SEEDS: usize = 16;

/// A measure over several draws of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// The mean of each value.
    pub mean: LayerMatrix,
    /// The standard deviation of each (n - 1 below the sum), `[layers, layers]`.
    pub deviation: Vec<f64>,
}

impl Calibration {
    /// Similarity of all pairs of layers over `seeds` draws of rows: this calibration's own and
    /// those of the seeds that follow its own.
    ///
    /// # Errors
    /// As [`Calibration::similarity`]; [`Error::BadArgument`] when the rows were not drawn, or for
    /// fewer than 2 or too many seeds.
    pub async fn similarity_over(
        &self,
        measure: Measure,
        options: &DiffusionMapOptions,
        seeds: usize,
        task: &Task,
    ) -> Result<Spread> {
        let others = self.redrawn(seeds, task).await?;
        let mut matrices = vec![self.similarity(measure, options, task).await?];
        for other in &others[..seeds - 1] {
            matrices.push(other.similarity(measure, options, task).await?);
        }
        let mut mean = LayerMatrix::new(self.activations.layers());
        let mut deviation = vec![0.0; mean.values.len()];
        for (index, (mean, deviation)) in mean.values.iter_mut().zip(&mut deviation).enumerate() {
            let values = || matrices.iter().map(|matrix| matrix.values[index]);
            *mean = values().sum::<f64>() / seeds as f64;
            *deviation = (values().map(|value| (value - *mean).powi(2)).sum::<f64>() / (seeds - 1) as f64).sqrt();
        }
        Ok(Spread { mean, deviation })
    }

    /// The same model and text at other draws of rows, `seeds` - 1 of them at least, all from one
    /// pass; kept for the next time.
    async fn redrawn(&self, seeds: usize, task: &Task) -> Result<Rc<Vec<Self>>> {
        if !(2..=MOST_SEEDS).contains(&seeds) {
            return Err(Error::argument("seeds", format!("is {seeds}, expected 1 to {MOST_SEEDS}")));
        }
        let Some(count) = self.drawn else {
            return Err(Error::argument("seeds", "the rows of this calibration were chosen, not drawn"));
        };
        if let Some(kept) = self.others.borrow().as_ref().filter(|kept| kept.len() + 1 >= seeds) {
            return Ok(kept.clone());
        }
        let info = &self.info;
        let draw =
            |seed: u32| choose_rows(&Rows::Count(count), info.sequences, info.window, info.skip, u64::from(seed));
        let seeds: Vec<u32> = (1..seeds as u32).map(|next| info.seed.wrapping_add(next)).collect();
        let draws = seeds.iter().map(|seed| draw(*seed)).collect::<Result<Vec<_>>>()?;
        let windows = || self.sample.windows.clone();
        let together = Sample { windows: windows(), chosen: draws.concat() };
        let all = calibrate(&self.transformer, &together, &self.meter, task).await?;
        let mut first = 0;
        let mut others = Vec::new();
        for (seed, chosen) in seeds.into_iter().zip(draws) {
            let rows = first..first + chosen.len();
            first = rows.end;
            others.push(Self {
                activations: all.part(rows, &self.meter)?,
                sample: Rc::new(Sample { windows: windows(), chosen }),
                info: CalibrationInfo { seed, ..info.clone() },
                ..self.empty_copy()
            });
        }
        Ok(self.others.borrow_mut().insert(Rc::new(others)).clone())
    }
}
