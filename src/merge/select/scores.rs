//! What is measured to choose by: similarities of neighbours, and the loss of a merged model. Made
//! when it is first asked for, and kept while the model stays what it is. Must not know who
//! chooses.

use std::rc::Rc;

use super::pair::Pair;
use super::validation::LOSS_TOKENS;
use crate::calibration::{Calibration, stream_at};
use crate::error::{Error, Result};
use crate::evaluate::loss_after;
use crate::manifold::DiffusionMapOptions;
use crate::merge::context::MergeContext;
use crate::merge::plan::MergePlan;
use crate::merge::state::{Join, MergeState};
use crate::similarity::{LayerMatrix, Measure};
use crate::task::Task;
use crate::transformer::{Stream, Transformer};

/// Measurements of the original and of the current model.
pub struct SelectionScores<'a> {
    /// The original model.
    pub context: &'a MergeContext,
    measure: Measure,
    one_shot: bool,
    calibration: Option<&'a Calibration>,
    /// The last model that was calibrated after a merge, by its state.
    current: Option<(MergeState, Calibration)>,
    matrix: Option<Rc<LayerMatrix>>,
}

/// Similarities of neighbours among the survivors.
pub struct Similarities {
    /// Of the current model's blocks, or once and for all of the original ones.
    matrix: Rc<LayerMatrix>,
    /// The rows of the survivors in the matrix.
    rows: Vec<usize>,
    one_shot: bool,
}

impl Similarities {
    /// The similarity of the survivors `index` and `index + 1`, in [0, 1]. In one shot it is that
    /// of the original block in the place of the second and the original block before it.
    pub fn pair(&self, index: usize) -> f64 {
        let later = self.rows[index + 1];
        let earlier = if self.one_shot { later - 1 } else { self.rows[index] };
        self.matrix.get(earlier, later).clamp(0.0, 1.0)
    }

    /// The mean of the survivor's row.
    pub fn row_mean(&self, index: usize) -> f64 {
        let layers = self.matrix.layers;
        (0..layers).map(|column| self.matrix.get(self.rows[index], column)).sum::<f64>() / layers as f64
    }
}

impl<'a> SelectionScores<'a> {
    /// Nothing is measured but the calibration, if there is one.
    pub fn new(context: &'a MergeContext, plan: &MergePlan, calibration: Option<&'a Calibration>) -> Self {
        let &MergePlan { measure, one_shot, .. } = plan;
        Self { context, measure, one_shot, calibration, current: None, matrix: None }
    }

    /// The same for a recipe, which chooses nothing.
    pub fn for_replay(context: &'a MergeContext, calibration: &'a Calibration) -> Self {
        let (measure, calibration) = (Measure::default(), Some(calibration));
        Self { context, measure, one_shot: true, calibration, current: None, matrix: None }
    }

    /// The calibration of the original model.
    ///
    /// # Errors
    /// [`Error::BadArgument`] where there is none, or it is of another model.
    pub fn calibration(&self) -> Result<&'a Calibration> {
        let calibration = self.calibration.ok_or_else(|| {
            let reason = "this way of merging measures the layers first; calibrate the model and pass the result";
            Error::argument("calibration", reason)
        })?;
        if calibration.fingerprint() != self.context.original.checkpoint.fingerprint {
            return Err(Error::argument("calibration", "it was run on another model"));
        }
        Ok(calibration)
    }

    /// Similarities of neighbours: on the current model, or in one shot on the original one.
    ///
    /// # Errors
    /// As [`Calibration::similarity`].
    pub async fn similarities(&mut self, state: &MergeState, task: &Task) -> Result<Similarities> {
        let rows = if self.one_shot { state.layers() } else { (0..state.blocks().len()).collect() };
        Ok(Similarities { matrix: self.matrix(state, task).await?, rows, one_shot: self.one_shot })
    }

    async fn matrix(&mut self, state: &MergeState, task: &Task) -> Result<Rc<LayerMatrix>> {
        if let Some(matrix) = &self.matrix {
            return Ok(matrix.clone());
        }
        if !self.one_shot {
            let (latest, before) = self.latest()?;
            if latest != *state {
                let (transformer, _) = self.context.build(state, task).await?;
                let measured = before.again(&transformer, latest.common(state), task).await?;
                self.current = Some((state.clone(), measured));
            }
        }
        let (_, calibration) = self.latest()?;
        let mut matrix = calibration.similarity(self.measure, &DiffusionMapOptions::default(), task).await?;
        if self.measure == Measure::Angular {
            matrix.values.iter_mut().for_each(|value| *value = 1.0 - *value);
        }
        Ok(self.matrix.insert(Rc::new(matrix)).clone())
    }

    /// The model that was calibrated last: its state and its calibration.
    fn latest(&self) -> Result<(MergeState, &Calibration)> {
        match &self.current {
            Some((state, calibration)) => Ok((state.clone(), calibration)),
            None => Ok((MergeState::all(self.context.original.description.layers), self.calibration()?)),
        }
    }

    /// The input of block `index` of `model`, whose state is `state`, of at most `tokens` tokens.
    ///
    /// # Errors
    /// [`Error::Cancelled`], or what reading and computing fail with.
    pub async fn block_input(
        &self,
        model: &Transformer,
        state: &MergeState,
        index: usize,
        tokens: usize,
        task: &Task,
    ) -> Result<Stream> {
        let (latest, calibration) = self.latest()?;
        let usable = latest.common(state);
        stream_at(model, &calibration.sample, &calibration.activations, usable, index, tokens, task).await
    }

    /// The original model's stream `x[layer]`, of at most `tokens` tokens.
    ///
    /// # Errors
    /// As [`SelectionScores::block_input`].
    pub async fn original_stream(&self, layer: usize, tokens: usize, task: &Task) -> Result<Stream> {
        let (calibration, model) = (self.calibration()?, &self.context.original);
        stream_at(model, &calibration.sample, &calibration.activations, layer, layer, tokens, task).await
    }

    /// The measure of similarity.
    pub fn measure(&self) -> Measure {
        self.measure
    }

    /// Layers are compared by cosine similarity from now on, which needs no embedding.
    pub fn compare_by_cosine(&mut self) {
        (self.measure, self.matrix) = (Measure::Cosine, None);
    }

    /// Called when the model changes.
    pub fn forget(&mut self) {
        if !self.one_shot {
            self.matrix = None;
        }
    }

    /// The loss of the model that joining `pair` would give, on a fixed part of the calibration
    /// text, in nats.
    ///
    /// # Errors
    /// [`Error::NotFinite`] where that model is beyond measuring, [`Error::Cancelled`], or what
    /// reading and computing fail with.
    pub async fn loss_of(&self, state: &MergeState, pair: Pair, join: &Join, task: &Task) -> Result<f64> {
        let mut state = state.clone();
        state.merge(pair.keep, pair.removed, join)?;
        let (model, _) = self.context.build(&state, task).await?;
        let index = state.index_of(pair.keep)?;
        let stream = self.block_input(&model, &state, index, LOSS_TOKENS, task).await?;
        let windows = &self.calibration()?.sample.windows[..stream.windows()];
        Ok(loss_after(&model, stream, index, windows, task).await?.nll)
    }
}
