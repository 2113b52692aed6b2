//! A calibrated model: activations at chosen rows, and what is measured on them.

use std::cell::RefCell;
use std::rc::Rc;

use super::input::{Windows, digest};
use super::{Lab, Model};
use crate::calibration::{Activations, Rows, Sample, calibrate, calibrate_again, choose_rows};
use crate::error::{Error, Result};
use crate::interface::{CalibrateOptions, CalibrationInfo, ManifoldOptions, RowsOption};
use crate::manifold::{DiffusionMap, DiffusionMapOptions, diffusion_map_pausing};
use crate::merge::recipe::RecipeCalibration;
use crate::similarity::{LayerMatrix, Measure, cka, cosine, npib_gaussian, npib_knn};
use crate::task::Task;
use crate::tokens::Tokenizer;
use crate::transformer::Transformer;

/// Activations of one model on one text.
pub struct Calibration {
    pub(super) lab: Rc<Lab>,
    /// The model that it was run on.
    pub(super) transformer: Transformer,
    pub(super) tokenizer: Option<Rc<Tokenizer>>,
    pub(super) activations: Activations,
    pub(super) sample: Rc<Sample>,
    /// How many rows were to be drawn; none where they were chosen otherwise.
    pub(super) drawn: Option<usize>,
    pub(super) info: CalibrationInfo,
    /// Other draws of rows.
    pub(super) others: RefCell<Option<Rc<Vec<Calibration>>>>,
    /// The diffusion maps that were computed last, with their options.
    pub(super) maps: RefCell<Option<(DiffusionMapOptions, Rc<Vec<DiffusionMap>>)>>,
}

impl Model {
    /// Runs a text through the model and keeps the hidden states at chosen rows.
    ///
    /// # Errors
    /// [`Error::BadArgument`], [`Error::NotFinite`], [`Error::Cancelled`], or what reading and computing fail with.
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
        let sample = Rc::new(Sample { windows, chosen });
        let activations = calibrate(&self.transformer, &sample, &self.lab.meter, task).await?;
        warnings.extend(empty_blocks(&self.transformer));
        let info = CalibrationInfo {
            layers: activations.layers(),
            rows: sample.chosen.len(),
            tokens: sample.windows.iter().map(Vec::len).sum(),
            sequences: sample.windows.len(),
            window,
            skip,
            seed,
            warnings,
        };
        let drawn = if let Rows::Count(count) = rows { Some(count) } else { None };
        let (lab, transformer, tokenizer) = (self.lab.clone(), self.transformer.clone(), self.tokenizer.clone());
        let (others, maps) = Default::default();
        Ok(Calibration { lab, transformer, tokenizer, activations, sample, drawn, info, others, maps })
    }
}

/// A warning for the user when blocks turned out to be nothing but zeros.
fn empty_blocks(transformer: &Transformer) -> Option<String> {
    let blocks = transformer.empty_blocks();
    let list = blocks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    (!blocks.is_empty()).then(|| {
        format!("All weights of these blocks are zero: {list}. They pass their input on; if nobody emptied them on purpose, the download is broken.")
    })
}

impl Calibration {
    /// The same text and rows on another model, a merged one, while layers are being chosen; its first `untouched` blocks are those of the
    /// model that this calibration was run on.
    pub(super) async fn again(&self, model: &Transformer, untouched: usize, task: &Task) -> Result<Self> {
        let meter = &self.lab.meter;
        let activations = calibrate_again(model, &self.sample, &self.activations, untouched, meter, task).await?;
        Ok(Self {
            info: CalibrationInfo { layers: activations.layers(), ..self.info.clone() },
            activations,
            transformer: model.clone(),
            ..self.alike()
        })
    }

    /// One of the same model, text and rows, of which nothing is measured yet and no activations are known.
    pub(super) fn alike(&self) -> Self {
        Self {
            lab: self.lab.clone(),
            transformer: self.transformer.clone(),
            tokenizer: self.tokenizer.clone(),
            activations: Activations::default(),
            sample: self.sample.clone(),
            drawn: self.drawn,
            info: self.info.clone(),
            others: RefCell::default(),
            maps: RefCell::default(),
        }
    }

    /// The fingerprint of the model that it was run on.
    pub(super) fn fingerprint(&self) -> &str {
        &self.transformer.checkpoint.fingerprint
    }

    /// What it ran on.
    pub fn info(&self) -> &CalibrationInfo {
        &self.info
    }

    /// Gives others their turn.
    pub(super) async fn yield_now(&self) -> Result<()> {
        self.lab.engine.yield_now().await
    }

    /// What a recipe says of it.
    pub(super) fn record(&self) -> RecipeCalibration {
        RecipeCalibration {
            ids_sha256: digest(self.sample.windows.iter().flatten()).iter().map(|byte| format!("{byte:02x}")).collect(),
            sequences: self.info.sequences,
            window: self.info.window,
            rows: self.info.rows,
            skip: self.info.skip,
            seed: self.info.seed.into(),
        }
    }

    /// Similarity of all pairs of layers.
    ///
    /// # Errors
    /// [`Error::NotFinite`] naming the layer that cannot be measured, [`Error::BadArgument`], [`Error::Cancelled`].
    pub async fn similarity(&self, measure: Measure, options: &ManifoldOptions, task: &Task) -> Result<LayerMatrix> {
        let layers = self.activations.layers();
        let engine = self.lab.engine.as_ref();
        if measure.uses_manifold() {
            let maps = self.embeddings(options, task).await?;
            let named = || maps.iter().enumerate().map(|(layer, map)| (map, format!("layer {layer}")));
            if measure == Measure::NpibKnn {
                let points =
                    named().map(|(map, what)| npib_knn::Points::new(map, &what)).collect::<Result<Vec<_>>>()?;
                let step = task.step("similarity", self.activations.rows, "rows");
                let mut sweep = npib_knn::Sweep::new(&points)?;
                while sweep.advance() {
                    engine.yield_now().await?;
                    step.advance(1)?;
                }
                return Ok(sweep.finish());
            }
            let scores =
                named().map(|(map, what)| npib_gaussian::Scores::new(map, &what)).collect::<Result<Vec<_>>>()?;
            let pairs = self.pairs(task, |a, b| npib_gaussian::similarity(&scores[a], &scores[b]));
            return pairs.await;
        }
        let (rows, columns) = (self.activations.rows, self.activations.columns);
        if measure == Measure::Cka {
            let mut grams = Vec::with_capacity(layers);
            for layer in 0..layers {
                let pause = async || {
                    engine.yield_now().await?;
                    task.check()
                };
                let (values, name) = (self.activations.output(layer)?, format!("layer {layer}"));
                grams.push(cka::Gram::new_pausing(&values, rows, columns, &name, pause).await?);
            }
            return self.pairs(task, |a, b| cka::similarity(&grams[a], &grams[b])).await;
        }
        let compare = if measure == Measure::Cosine { cosine::similarity } else { cosine::angular_distance };
        self.pairs(task, |a, b| self.compare_rows(a + 1, b + 1, compare)).await
    }

    /// A measure of all pairs a <= b, with a breath after each.
    async fn pairs(&self, task: &Task, measure: impl Fn(usize, usize) -> Result<f64>) -> Result<LayerMatrix> {
        let layers = self.activations.layers();
        let step = task.step("similarity", layers * (layers + 1) / 2, "pairs");
        let mut matrix = LayerMatrix::new(layers);
        for a in 0..layers {
            for b in a..layers {
                matrix.set(a, b, measure(a, b)?);
                self.lab.engine.yield_now().await?;
                step.advance(1)?;
            }
        }
        Ok(matrix)
    }

    /// A measure of the rows of `x[a]` and `x[b]`; only these two are on the heap.
    fn compare_rows(
        &self,
        a: usize,
        b: usize,
        measure: fn(&cosine::Rows<'_>, &cosine::Rows<'_>) -> Result<f64>,
    ) -> Result<f64> {
        let (rows, columns) = (self.activations.rows, self.activations.columns);
        let first = self.activations.hidden(a)?;
        let first = cosine::Rows::new(&first, rows, columns, &format!("x[{a}]"))?;
        if a == b {
            return measure(&first, &first);
        }
        let second = self.activations.hidden(b)?;
        measure(&first, &cosine::Rows::new(&second, rows, columns, &format!("x[{b}]"))?)
    }

    /// The diffusion maps of all layers' outputs, kept until other options are asked for.
    pub(super) async fn embeddings(&self, options: &ManifoldOptions, task: &Task) -> Result<Rc<Vec<DiffusionMap>>> {
        let options = map_options(options);
        if let Some((kept_for, maps)) = self.maps.borrow().as_ref()
            && *kept_for == options
        {
            return Ok(maps.clone());
        }
        let layers = self.activations.layers();
        let step = task.step("embed", layers, "layers");
        let mut maps = Vec::with_capacity(layers);
        for layer in 0..layers {
            maps.push(self.map(layer, &options, task).await?);
            step.advance(1)?;
        }
        let maps = Rc::new(maps);
        self.maps.replace(Some((options, maps.clone())));
        Ok(maps)
    }

    async fn map(&self, layer: usize, options: &DiffusionMapOptions, task: &Task) -> Result<DiffusionMap> {
        let values = self.activations.output(layer)?;
        let (rows, columns) = (self.activations.rows, self.activations.columns);
        let pause = async || {
            self.yield_now().await?;
            task.check()
        };
        diffusion_map_pausing(&values, rows, columns, options, &format!("layer {layer}"), pause).await
    }

    /// The diffusion map of one layer's output.
    ///
    /// # Errors
    /// As [`Calibration::similarity`].
    pub async fn embedding(&self, layer: usize, options: &ManifoldOptions, task: &Task) -> Result<DiffusionMap> {
        let options = map_options(options);
        if layer >= self.activations.layers() {
            let reason = format!("is {layer}, the model has {} layers, counted from 0", self.activations.layers());
            return Err(Error::argument("layer", reason));
        }
        if let Some((kept_for, maps)) = self.maps.borrow().as_ref()
            && *kept_for == options
        {
            return Ok(maps[layer].clone());
        }
        self.map(layer, &options, task).await
    }

    /// Block influence 1 - cos(`x[l]`, `x[l + 1]`) of every block, mean over the rows.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when a row has norm 0.
    pub async fn block_influence(&self, task: &Task) -> Result<Vec<f64>> {
        let layers = self.activations.layers();
        let mut influence = Vec::with_capacity(layers);
        for layer in 0..layers {
            influence.push(self.compare_rows(layer, layer + 1, cosine::block_influence)?);
            self.lab.engine.yield_now().await?;
            task.check()?;
        }
        Ok(influence)
    }

    /// Mean angular distance of `x[from]` and `x[to]`.
    pub(super) fn angular_distance(&self, from: usize, to: usize) -> Result<f64> {
        self.compare_rows(from, to, cosine::angular_distance)
    }

    /// `x[l]` at the rows: `(rows, columns, values)`.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when there is no such layer.
    pub fn hidden(&self, layer: usize) -> Result<(usize, usize, Vec<f32>)> {
        Ok((self.activations.rows, self.activations.columns, self.activations.hidden(layer)?))
    }
}

fn map_options(options: &ManifoldOptions) -> DiffusionMapOptions {
    let default = DiffusionMapOptions::default();
    DiffusionMapOptions {
        dimensions: options.dimensions.unwrap_or(default.dimensions),
        sigma: options.sigma.or(default.sigma),
        power: options.power.unwrap_or(default.power),
    }
}
