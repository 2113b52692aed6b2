//! From a text to a calibration.

use super::input::Windows;
use super::model::Model;
use crate::calibration::{Calibration, Rows, Sample, choose_rows};
use crate::error::{Error, Result};
use crate::interface::{CalibrateOptions, RowsOption};
use crate::task::Task;

impl Model {
    /// Runs a text through the model and keeps the hidden states at chosen rows.
    ///
    /// # Errors
    /// [`Error::BadArgument`], [`Error::NotFinite`], [`Error::Cancelled`], or what reading and
    /// computing fail with.
    pub async fn calibrate(&self, options: &CalibrateOptions, task: &Task) -> Result<Calibration> {
        self.lab.weights.sweep();
        let (skip, seed) = (options.skip.unwrap_or(8), options.seed.unwrap_or(0));
        let sequences = options.sequences.unwrap_or(32);
        let shuffled = options.shuffle.unwrap_or(false).then_some(u64::from(seed));
        let Windows { windows, mut warnings } =
            self.windows_drawn(&options.input, options.window, sequences, shuffled)?;
        let rows = match &options.rows {
            None => Rows::Count(512),
            Some(RowsOption::Count(count)) => Rows::Count(*count),
            Some(RowsOption::Word(word)) if word == "all" => Rows::All,
            Some(RowsOption::Word(word)) => {
                return Err(Error::argument("rows", format!("is {word:?}, expected \"all\"")));
            }
            Some(RowsOption::Chosen(chosen)) => Rows::Chosen(chosen.clone()),
        };
        let window = windows.first().map_or(0, Vec::len);
        let chosen = choose_rows(&rows, windows.len(), window, skip, u64::from(seed))?;
        if let Rows::Count(count) = rows
            && chosen.len() < count
        {
            warnings.push(format!("The text has {} usable positions, not {count}.", chosen.len()));
        }
        let drawn = if let Rows::Count(count) = rows { Some(count) } else { None };
        let (model, tokenizer) = (&self.transformer, self.tokenizer.clone());
        let sample = (Sample { windows, chosen }, drawn);
        let calibration = Calibration::run(model, tokenizer, sample, (skip, seed), &self.lab.meter, task).await?;
        Ok(calibration.with_warnings(warnings))
    }
}
