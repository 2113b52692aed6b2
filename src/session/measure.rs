//! What a model predicts, and what it is measured by.

use super::input::Windows;
use super::model::Model;
use crate::error::{Error, Result};
use crate::evaluate::{ChoiceResult, ClozeResult, Evaluation, answer_questions, complete_facts, evaluate};
use crate::interface::{ChoiceOptions, ClozeOptions, EvaluateOptions, Input};
use crate::task::Task;
use crate::tokens::{check_ids, digest};

impl Model {
    /// The ids of an input and the logits after the last of them.
    ///
    /// # Errors
    /// [`Error::BadArgument`], [`Error::NotFinite`], [`Error::Cancelled`], or what reading and
    /// computing fail with.
    pub async fn logits(&self, input: &Input, task: &Task) -> Result<(Vec<u32>, Vec<f32>)> {
        self.lab.weights.sweep();
        // All of it: there is no window to stop at.
        let ids = self.ids(input, usize::MAX / 16)?.concat();
        check_ids(ids.iter(), self.transformer.description.vocabulary)?;
        let values = self.transformer.last_logits(&ids, task).await?;
        if !values.iter().all(|value| value.is_finite()) {
            return Err(Error::NotFinite {
                what: "the logits".into(),
                found: "a value is infinite or not a number".into(),
            });
        }
        Ok((ids, values))
    }

    /// Measures the model on windows of a text, a merged one beside the model that it was made of;
    /// with warnings for the user.
    ///
    /// # Errors
    /// As [`Model::logits`].
    pub async fn evaluate(&self, options: &EvaluateOptions, task: &Task) -> Result<(Evaluation, Vec<String>)> {
        self.lab.weights.sweep();
        let sequences = options.sequences.unwrap_or(16);
        let Windows { windows, mut warnings } = self.windows(&options.input, options.window, sequences)?;
        let Some(origin) = &self.origin else {
            return Ok((evaluate(&self.transformer, None, &windows, task).await?, warnings));
        };
        if windows.iter().any(|ids| origin.calibrated_on.contains(&digest(ids))) {
            warnings.push(
                "Some of this text was calibrated on: the merge was fitted to it, so these figures flatter it.".into(),
            );
        }
        let shared = origin.state.untouched();
        let second = Some((&self.transformer, shared));
        Ok((evaluate(&origin.dense.transformer, second, &windows, task).await?, warnings))
    }

    /// Has the model answer questions with four choices.
    ///
    /// # Errors
    /// [`Error::MissingFile`] without a tokenizer; as [`answer_questions`].
    pub async fn choice(&self, options: &ChoiceOptions, task: &Task) -> Result<ChoiceResult> {
        self.lab.weights.sweep();
        let limit = options.limit.unwrap_or(20);
        answer_questions(&self.transformer, self.tokenizer()?, &options.csv, limit, task).await
    }

    /// Has the model complete facts.
    ///
    /// # Errors
    /// [`Error::MissingFile`] without a tokenizer; as [`complete_facts`].
    pub async fn cloze(&self, options: &ClozeOptions, task: &Task) -> Result<ClozeResult> {
        self.lab.weights.sweep();
        complete_facts(&self.transformer, self.tokenizer()?, &options.facts, task).await
    }
}
