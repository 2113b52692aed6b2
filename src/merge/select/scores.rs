//! What is known of the model as it is after the merges so far.

use std::rc::Rc;

use super::Model;
use super::calibration::Calibration;
use super::lesson::Lesson;
use super::plan::{Alpha, Combination, Plan, Repair};
use super::strength::strengths;
use super::trials::FIT_TOKENS;
use crate::calibration::stream_at;
use crate::error::{Error, Result};
use crate::evaluate::loss_behind;
use crate::interface::ManifoldOptions;
use crate::merge::combine::Norms;
use crate::merge::selection::Pair;
use crate::merge::{Join, Kept, Survivors};
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
    measure: Measure,
    one_shot: bool,
    /// The ridge, where what is left is fitted anew at the end.
    fits: Option<f64>,
    given: Option<&'a Calibration>,
    /// The last model that was calibrated after a merge, by its books.
    current: Option<(Survivors, Calibration)>,
    matrix: Option<Rc<LayerMatrix>>,
}

/// How alike neighbours are among the survivors.
pub(super) struct Similarities {
    /// Of the current model's blocks, or once and for all of the original ones.
    matrix: Rc<LayerMatrix>,
    /// Where the survivors stand in the matrix.
    places: Vec<usize>,
    one_shot: bool,
}

impl Similarities {
    /// The similarity of the survivors `index` and `index + 1`, in [0, 1]. In one shot it is that of the original block in the place of the second
    /// and the original block in front of it.
    pub(super) fn pair(&self, index: usize) -> f64 {
        let gone = self.places[index + 1];
        let keep = if self.one_shot { gone - 1 } else { self.places[index] };
        self.matrix.get(keep, gone).clamp(0.0, 1.0)
    }

    /// The mean of the survivor's row.
    fn row_mean(&self, index: usize) -> f64 {
        let layers = self.matrix.layers;
        (0..layers).map(|column| self.matrix.get(self.places[index], column)).sum::<f64>() / layers as f64
    }
}

impl<'a> Measured<'a> {
    /// Nothing is measured but what was given.
    pub(super) fn new(model: &'a Model, plan: &Plan, given: Option<&'a Calibration>) -> Self {
        let &Plan { norms, measure, one_shot, .. } = plan;
        let fits = if let Repair::Refit(fit) = plan.repair { Some(fit.ridge) } else { None };
        Self { model, norms, measure, one_shot, fits, given, current: None, matrix: None }
    }

    /// The same for a recipe, which chooses nothing.
    pub(super) fn replaying(model: &'a Model, norms: Norms, given: &'a Calibration) -> Self {
        let (measure, given) = (Measure::NpibGaussian, Some(given));
        Self { model, norms, measure, one_shot: true, fits: None, given, current: None, matrix: None }
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

    /// How alike neighbours are: on the current model, or in one shot on the original one.
    pub(super) async fn similarities(&mut self, survivors: &Survivors, task: &Task) -> Result<Similarities> {
        let places = if self.one_shot { survivors.layers() } else { (0..survivors.blocks().len()).collect() };
        Ok(Similarities { matrix: self.matrix(survivors, task).await?, places, one_shot: self.one_shot })
    }

    async fn matrix(&mut self, survivors: &Survivors, task: &Task) -> Result<Rc<LayerMatrix>> {
        if let Some(matrix) = &self.matrix {
            return Ok(matrix.clone());
        }
        if !self.one_shot {
            let (books, before) = self.latest()?;
            if books != *survivors {
                let (transformer, _) = self.model.merged(survivors, self.norms, task).await?;
                let measured = before.again(&transformer, books.common(survivors), task).await?;
                self.current = Some((survivors.clone(), measured));
            }
        }
        let (_, calibration) = self.latest()?;
        let mut matrix = calibration.similarity(self.measure, &ManifoldOptions::default(), task).await?;
        if self.measure == Measure::Angular {
            matrix.values.iter_mut().for_each(|value| *value = 1.0 - *value);
        }
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

    /// By what layers are compared.
    pub(super) fn measure(&self) -> Measure {
        self.measure
    }

    /// Layers are compared by cosine similarity from now on, which needs no embedding.
    pub(super) fn compare_by_cosine(&mut self) {
        (self.measure, self.matrix) = (Measure::Cosine, None);
    }

    /// What happens to norms.
    pub(super) fn norms(&self) -> Norms {
        self.norms
    }

    /// Called when the model changes.
    pub(super) fn forget(&mut self) {
        if !self.one_shot {
            self.matrix = None;
        }
    }

    /// What is to be tried for a pair, each with the similarity that it was taken from.
    pub(super) async fn joins(
        &mut self,
        combination: Combination,
        survivors: &Survivors,
        pair: Pair,
        task: &Task,
    ) -> Result<Vec<(Join, Option<f64>)>> {
        let index = survivors.index_of(pair.keep)?;
        if index + 1 >= survivors.blocks().len() {
            let reason = format!("[{}, {}]: left are {:?}", pair.keep, pair.gone, survivors.layers());
            return Err(Error::argument("pairs", reason));
        }
        let alpha = match combination {
            Combination::Drop => return Ok(vec![(Join::Average(1.0), None)]),
            Combination::Difference => return Ok(vec![(Join::Difference, None)]),
            Combination::Concatenate => {
                let kept = match self.fits {
                    Some(ridge) => self.most_useful(survivors, index, ridge, task).await?,
                    None => self.strongest(survivors, index, task).await?,
                };
                return Ok(vec![(Join::Concatenate(kept), None)]);
            }
            Combination::Average(alpha) => alpha,
        };
        Ok(match alpha {
            Alpha::Fixed(weight) => vec![(Join::Average(weight), None)],
            Alpha::Search => SEARCHED.map(|weight| (Join::Average(weight), None)).to_vec(),
            Alpha::Equal => {
                let merged = survivors.blocks()[index].terms.len() as f64;
                vec![(Join::Average(merged / (merged + 1.0)), None)]
            }
            Alpha::Similarity => {
                let similarity = self.similarities(survivors, task).await?.pair(index);
                vec![(Join::Average(similarity), Some(similarity))]
            }
            Alpha::Published => {
                let similarities = self.similarities(survivors, task).await?;
                let (front, back) = (similarities.row_mean(index), similarities.row_mean(index + 1));
                let alpha = 1.0 / (1.0 + (-front / (front + back)).exp());
                vec![(Join::Average(alpha), Some(similarities.pair(index)))]
            }
        })
    }

    /// The strongest neurons and head groups of the survivors `index` and `index + 1`, on the first tokens of the calibration text.
    async fn strongest(&self, survivors: &Survivors, index: usize, task: &Task) -> Result<Kept> {
        let (model, _) = self.model.merged(survivors, self.norms, task).await?;
        let mut stream = self.stream_before(&model, survivors, index, LOSS_TOKENS, task).await?;
        let front = strengths(&model, &stream, index, task).await?;
        let step = task.step("choose", 1, "blocks");
        model.forward(&mut stream, index..index + 1, None, task, &step).await?;
        let back = strengths(&model, &stream, index + 1, task).await?;
        Ok(Kept::strongest([&front.neurons, &back.neurons], [&front.heads, &back.heads]))
    }

    /// The neurons and heads of the survivors `index` and `index + 1` that a fit can least do without, on the first tokens of the calibration text.
    async fn most_useful(&self, survivors: &Survivors, index: usize, ridge: f64, task: &Task) -> Result<Kept> {
        let original = &self.model.transformer;
        let [layer, behind] = [index, index + 2].map(|index| survivors.begins(index, original.description.layers));
        let two = survivors.part(index..index + 2);
        let calibration = self.given()?;
        let (sample, known) = (&calibration.sample, &calibration.activations);
        let input = stream_at(original, sample, known, layer, layer, FIT_TOKENS, task).await?;
        let lesson = Lesson::new(original, input.fork(original.engine.as_ref())?, input, layer..behind);
        self.model.most_useful(&two, &lesson, (self.norms, ridge), task).await
    }

    /// The loss of the model that joining `pair` would give, on a fixed part of the calibration text.
    pub(super) async fn loss_after(&self, survivors: &Survivors, pair: Pair, join: &Join, task: &Task) -> Result<f64> {
        let mut books = survivors.clone();
        books.merge(pair.keep, pair.gone, join)?;
        let (model, _) = self.model.merged(&books, self.norms, task).await?;
        let index = books.index_of(pair.keep)?;
        let stream = self.stream_before(&model, &books, index, LOSS_TOKENS, task).await?;
        let windows = &self.given()?.sample.windows[..stream.windows()];
        Ok(loss_behind(&model, stream, index, windows, task).await?.nll)
    }
}
