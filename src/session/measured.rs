//! What is known of the model as it is after the merges so far.

use std::rc::Rc;

use super::Model;
use super::calibration::Calibration;
use super::plan::Alpha;
use crate::calibration::stream_at;
use crate::error::{Error, Result};
use crate::evaluate::loss_behind;
use crate::interface::ManifoldOptions;
use crate::merge::Survivors;
use crate::merge::combine::Norms;
use crate::merge::selection::Pair;
use crate::similarity::{LayerMatrix, Measure};
use crate::task::Task;
use crate::transformer::{Stream, Transformer};

/// The weights that `search` tries; its ends are the two drops.
const SEARCHED: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
/// A trial's loss is measured on at most so many tokens from the start of the calibration text.
const LOSS_TOKENS: usize = 4096;

/// Measurements of the original and of the current model; made when they are first asked for.
pub(super) struct Measured<'a> {
    model: &'a Model,
    norms: Norms,
    given: Option<&'a Calibration>,
    /// The last model that was calibrated after a merge, by its books.
    current: Option<(Survivors, Calibration)>,
    matrix: Option<Rc<LayerMatrix>>,
}

impl<'a> Measured<'a> {
    /// Nothing is measured but what was given.
    pub(super) fn new(model: &'a Model, norms: Norms, given: Option<&'a Calibration>) -> Self {
        Self { model, norms, given, current: None, matrix: None }
    }

    pub(super) fn given(&self) -> Result<&'a Calibration> {
        let given = self.given.ok_or_else(|| {
            Error::argument(
                "calibration",
                "this way of merging measures the layers first; calibrate the model and pass the result",
            )
        })?;
        if given.fingerprint() != self.model.transformer.checkpoint.fingerprint {
            return Err(Error::argument("calibration", "it was run on another model"));
        }
        Ok(given)
    }

    /// The NPIB matrix of the current model.
    pub(super) async fn matrix(&mut self, survivors: &Survivors, task: &Task) -> Result<Rc<LayerMatrix>> {
        if let Some(matrix) = &self.matrix {
            return Ok(matrix.clone());
        }
        let (books, before) = self.latest()?;
        if books != *survivors {
            let (transformer, _) = self.model.merged(survivors, self.norms, task).await?;
            let measured = before.again(&transformer, books.common(survivors), task).await?;
            self.current = Some((survivors.clone(), measured));
        }
        let (_, calibration) = self.latest()?;
        let matrix = calibration.similarity(Measure::NpibGaussian, &ManifoldOptions::default(), task).await?;
        Ok(self.matrix.insert(Rc::new(matrix)).clone())
    }

    /// The books and the calibration of the model that was calibrated last.
    fn latest(&self) -> Result<(Survivors, &Calibration)> {
        match &self.current {
            Some((books, calibration)) => Ok((books.clone(), calibration)),
            None => Ok((Survivors::all(self.model.transformer.description.layers), self.given()?)),
        }
    }

    /// The stream in front of block `index` of `model`, whose books are `survivors`, of at most `tokens` tokens.
    pub(super) async fn stream_before(
        &self,
        model: &Transformer,
        survivors: &Survivors,
        index: usize,
        tokens: usize,
        task: &Task,
    ) -> Result<Stream> {
        let (books, calibration) = self.latest()?;
        let usable = books.common(survivors);
        stream_at(model, &calibration.sample, &calibration.activations, usable, index, tokens, task).await
    }

    /// The original model's stream `x[layer]`.
    pub(super) async fn original_stream(&self, layer: usize, task: &Task) -> Result<Stream> {
        let (given, model) = (self.given()?, &self.model.transformer);
        stream_at(model, &given.sample, &given.activations, layer, layer, usize::MAX, task).await
    }

    /// What happens to norms.
    pub(super) fn norms(&self) -> Norms {
        self.norms
    }

    /// Called when the model changes.
    pub(super) fn forget(&mut self) {
        self.matrix = None;
    }

    /// The weights of the front layer that are to be tried, each with the similarity that it was taken from.
    pub(super) async fn alphas(
        &mut self,
        alpha: Alpha,
        survivors: &Survivors,
        pair: Pair,
        task: &Task,
    ) -> Result<Vec<(f64, Option<f64>)>> {
        let index = survivors.index_of(pair.keep)?;
        if index + 1 >= survivors.blocks().len() {
            let reason = format!("[{}, {}]: left are {:?}", pair.keep, pair.gone, survivors.layers());
            return Err(Error::argument("pairs", reason));
        }
        Ok(match alpha {
            Alpha::Drop => vec![(1.0, None)],
            Alpha::Fixed(weight) => vec![(weight, None)],
            Alpha::Search => SEARCHED.map(|weight| (weight, None)).to_vec(),
            Alpha::Equal => {
                let merged = survivors.blocks()[index].terms.len() as f64;
                vec![(merged / (merged + 1.0), None)]
            }
            Alpha::Similarity => {
                let similarity = self.matrix(survivors, task).await?.get(index, index + 1);
                vec![(similarity, Some(similarity))]
            }
            Alpha::Published => {
                let matrix = self.matrix(survivors, task).await?;
                let mean =
                    |row: usize| (0..matrix.layers).map(|c| matrix.get(row, c)).sum::<f64>() / matrix.layers as f64;
                let (front, back) = (mean(index), mean(index + 1));
                vec![(1.0 / (1.0 + (-front / (front + back)).exp()), Some(matrix.get(index, index + 1)))]
            }
        })
    }

    /// The loss of the model that merging `pair` with the weight `alpha` would give, on a fixed part of the calibration text.
    pub(super) async fn loss_after(&self, survivors: &Survivors, pair: Pair, alpha: f64, task: &Task) -> Result<f64> {
        let mut books = survivors.clone();
        books.merge(pair.keep, pair.gone, alpha)?;
        let (model, _) = self.model.merged(&books, self.norms, task).await?;
        let index = books.index_of(pair.keep)?;
        let stream = self.stream_before(&model, &books, index, LOSS_TOKENS, task).await?;
        let windows = &self.given()?.sample.windows[..stream.windows()];
        Ok(loss_behind(&model, stream, index, windows, task).await?.nll)
    }
}
