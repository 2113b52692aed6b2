//! What is told of the rows of a calibration themselves, and how much a measure depends on which rows were drawn.

use std::rc::Rc;

use super::calibration::Calibration;
use crate::calibration::{Rows, Sample, calibrate, choose_rows};
use crate::error::{Error, Result};
use crate::interface::{CalibrationInfo, ManifoldOptions};
use crate::similarity::{LayerMatrix, Measure};
use crate::task::Task;

/// Tokens of context on either side of a row's token.
const CONTEXT: usize = 6;
/// The most draws of rows that one measure is repeated over.
const MOST_SEEDS: usize = 16;

/// The token of a row, in its surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The window that it is in.
    pub sequence: usize,
    /// Its position in the window.
    pub position: usize,
    /// The token's id.
    pub id: u32,
    /// The token's own text; empty without a tokenizer.
    pub text: String,
    /// The text of the six tokens before it, fewer at the start of a window.
    pub before: String,
    /// The text of the six tokens after it.
    pub after: String,
}

/// A measure over several draws of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// The mean of each value.
    pub mean: LayerMatrix,
    /// The standard deviation of each (n - 1 below the sum), `[layers, layers]`.
    pub deviation: Vec<f64>,
}

impl Calibration {
    /// The tokens of the rows, in the order of the activation matrices.
    ///
    /// # Errors
    /// [`Error::BadTokenizer`] when the tokenizer cannot decode its own ids.
    pub fn rows(&self) -> Result<Vec<Row>> {
        let row = |&(sequence, position): &(usize, usize)| {
            let ids = &self.sample.windows[sequence];
            let [before, text, after] = self.context(ids, position)?;
            Ok(Row { sequence, position, id: ids[position], text, before, after })
        };
        self.sample.chosen.iter().map(row).collect()
    }

    /// What stands before, at and after a position of a window. A token's text depends on what is before it (a space, half a character), so it is
    /// what it adds to that.
    fn context(&self, ids: &[u32], position: usize) -> Result<[String; 3]> {
        let Some(tokenizer) = &self.tokenizer else {
            return Ok(Default::default());
        };
        let ids = &ids[position.saturating_sub(CONTEXT)..(position + CONTEXT + 1).min(ids.len())];
        let at = position.min(CONTEXT);
        let texts = [tokenizer.decode(&ids[..at])?, tokenizer.decode(&ids[..=at])?, tokenizer.decode(ids)?];
        let first = common_start(&texts[0], &texts[1]);
        let second = common_start(&texts[1], &texts[2]);
        Ok([&texts[1][..first], &texts[1][first..], &texts[2][second..]].map(Into::into))
    }

    /// The mean Euclidean norm of `x[l]` over the rows, for l = 0..=L.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub async fn norms(&self, task: &Task) -> Result<Vec<f64>> {
        let mut norms = Vec::new();
        for layer in 0..=self.activations.layers() {
            let values = self.activations.hidden(layer)?;
            let rows = values.chunks_exact(self.activations.columns);
            let sum: f64 = rows.map(|row| row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()).sum();
            norms.push(sum / self.activations.rows as f64);
            self.yield_now().await?;
            task.check()?;
        }
        Ok(norms)
    }

    /// Similarity of all pairs of layers over `seeds` draws of rows: this calibration's own and those of the seeds that follow its own.
    ///
    /// # Errors
    /// As [`Calibration::similarity`]; [`Error::BadArgument`] when the rows were not drawn, or for fewer than 2 or too many seeds.
    pub async fn similarity_over(
        &self,
        measure: Measure,
        options: &ManifoldOptions,
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

    /// The same model and text at other draws of rows, `seeds` - 1 of them at least, all from one pass; kept for the next time.
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
        let all = calibrate(&self.transformer, &together, &self.lab.meter, task).await?;
        let mut first = 0;
        let mut others = Vec::new();
        for (seed, chosen) in seeds.into_iter().zip(draws) {
            let rows = first..first + chosen.len();
            first = rows.end;
            others.push(Self {
                activations: all.part(rows, &self.lab.meter)?,
                sample: Rc::new(Sample { windows: windows(), chosen }),
                info: CalibrationInfo { seed, ..info.clone() },
                ..self.alike()
            });
        }
        Ok(self.others.borrow_mut().insert(Rc::new(others)).clone())
    }
}

/// How many bytes two texts have in common at their start, whole characters.
fn common_start(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use super::common_start;

    #[test]
    fn texts_part_at_whole_characters() {
        assert_eq!(common_start("a cat", "a cat sat"), 5);
        assert_eq!(common_start("é\u{fffd}", "éü"), 2);
        assert_eq!(common_start("", "x"), 0);
    }
}
