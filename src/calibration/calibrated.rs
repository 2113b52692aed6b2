//! A calibrated model: activations at chosen rows, and what is measured on them.

use std::cell::RefCell;
use std::rc::Rc;

use serde::Serialize;

use super::activations::{Activations, Sample, calibrate, calibrate_again};
use super::measures;
use crate::error::{Error, Result};
use crate::manifold::{DiffusionMap, DiffusionMapOptions, diffusion_map_pausing};
use crate::platform::off_heap::Meter;
use crate::similarity::{LayerMatrix, Measure, cosine};
use crate::task::Task;
use crate::tokens::Tokenizer;
use crate::transformer::Transformer;

/// What a calibration ran on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct CalibrationInfo {
    /// Number of blocks.
    pub layers: usize,
    /// Token positions kept.
    pub rows: usize,
    /// Tokens that ran.
    pub tokens: usize,
    /// Windows that ran.
    pub sequences: usize,
    /// Tokens of each.
    pub window: usize,
    /// Positions left out at the start of each window.
    pub skip: usize,
    /// Seed of the draw of rows.
    pub seed: u32,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Activations of one model on one text.
pub struct Calibration {
    pub(crate) meter: Meter,
    /// The model that it was run on.
    pub(crate) transformer: Transformer,
    pub(crate) tokenizer: Option<Rc<Tokenizer>>,
    pub(crate) activations: Activations,
    pub(crate) sample: Rc<Sample>,
    /// How many rows were to be drawn; none where they were chosen otherwise.
    pub(crate) drawn: Option<usize>,
    pub(crate) info: CalibrationInfo,
    /// Other draws of rows.
    pub(crate) others: RefCell<Option<Rc<Vec<Calibration>>>>,
    /// The diffusion maps that were computed last, with their options.
    pub(crate) maps: RefCell<Option<(DiffusionMapOptions, Rc<Vec<DiffusionMap>>)>>,
}

impl Calibration {
    /// Runs a sample through a model and keeps the hidden states at its rows. `drawn` is how many
    /// rows were to be drawn; none where they were chosen otherwise.
    ///
    /// # Errors
    /// As [`calibrate`].
    pub async fn run(
        transformer: &Transformer,
        tokenizer: Option<Rc<Tokenizer>>,
        (sample, drawn): (Sample, Option<usize>),
        (skip, seed): (usize, u32),
        meter: &Meter,
        task: &Task,
    ) -> Result<Self> {
        let activations = calibrate(transformer, &sample, meter, task).await?;
        let info = CalibrationInfo {
            layers: activations.layers(),
            rows: sample.chosen.len(),
            tokens: sample.windows.iter().map(Vec::len).sum(),
            sequences: sample.windows.len(),
            window: sample.windows.first().map_or(0, Vec::len),
            skip,
            seed,
            warnings: empty_blocks(transformer).into_iter().collect(),
        };
        let (transformer, sample, meter) = (transformer.clone(), Rc::new(sample), meter.clone());
        let (others, maps) = Default::default();
        Ok(Self { meter, transformer, tokenizer, activations, sample, drawn, info, others, maps })
    }

    /// The same, with what the user should know of its text before what was found on the way.
    #[must_use]
    pub fn with_warnings(mut self, mut warnings: Vec<String>) -> Self {
        warnings.append(&mut self.info.warnings);
        self.info.warnings = warnings;
        self
    }

    /// The same text and rows on another model, a merged one, while layers are being chosen; its
    /// first `untouched` blocks are those of the model that this calibration was run on.
    pub(crate) async fn again(&self, model: &Transformer, untouched: usize, task: &Task) -> Result<Self> {
        let meter = &self.meter;
        let activations = calibrate_again(model, &self.sample, &self.activations, untouched, meter, task).await?;
        Ok(Self {
            info: CalibrationInfo { layers: activations.layers(), ..self.info.clone() },
            activations,
            transformer: model.clone(),
            ..self.empty_copy()
        })
    }

    /// One of the same model, text and rows, of which nothing is measured yet and no activations
    /// are known.
    pub(crate) fn empty_copy(&self) -> Self {
        Self {
            meter: self.meter.clone(),
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
    pub(crate) fn fingerprint(&self) -> &str {
        &self.transformer.checkpoint.fingerprint
    }

    /// What it ran on.
    pub fn info(&self) -> &CalibrationInfo {
        &self.info
    }

    /// Gives others their turn.
    pub(crate) async fn yield_now(&self) -> Result<()> {
        self.transformer.engine.yield_now().await
    }

    /// Similarity of all pairs of layers.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::Degenerate`] or [`Error::Disconnected`] naming the layer that
    /// cannot be measured, [`Error::BadArgument`], [`Error::Cancelled`].
    pub async fn similarity(
        &self,
        measure: Measure,
        options: &DiffusionMapOptions,
        task: &Task,
    ) -> Result<LayerMatrix> {
        let maps = async || self.embeddings(options, task).await;
        measures::layer_matrix(measure, &self.activations, maps, async || self.yield_now().await, task).await
    }

    /// The diffusion maps of all layers' outputs, kept until other options are asked for.
    pub(crate) async fn embeddings(&self, options: &DiffusionMapOptions, task: &Task) -> Result<Rc<Vec<DiffusionMap>>> {
        if let Some((kept_for, maps)) = self.maps.borrow().as_ref()
            && kept_for == options
        {
            return Ok(maps.clone());
        }
        let layers = self.activations.layers();
        let step = task.step("embed", layers, "layers");
        let mut maps = Vec::with_capacity(layers);
        for layer in 0..layers {
            maps.push(self.map(layer, options, task).await?);
            step.advance(1)?;
        }
        let maps = Rc::new(maps);
        self.maps.replace(Some((options.clone(), maps.clone())));
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
    pub async fn embedding(&self, layer: usize, options: &DiffusionMapOptions, task: &Task) -> Result<DiffusionMap> {
        if layer >= self.activations.layers() {
            let reason = format!("is {layer}, the model has {} layers, counted from 0", self.activations.layers());
            return Err(Error::argument("layer", reason));
        }
        if let Some((kept_for, maps)) = self.maps.borrow().as_ref()
            && kept_for == options
        {
            return Ok(maps[layer].clone());
        }
        self.map(layer, options, task).await
    }

    /// Block influence 1 - cos(`x[l]`, `x[l + 1]`) of every block, mean over the rows.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when a row has norm 0.
    pub async fn block_influence(&self, task: &Task) -> Result<Vec<f64>> {
        let layers = self.activations.layers();
        let mut influence = Vec::with_capacity(layers);
        for layer in 0..layers {
            influence.push(measures::compare_rows(&self.activations, layer, layer + 1, cosine::block_influence)?);
            self.yield_now().await?;
            task.check()?;
        }
        Ok(influence)
    }

    /// Mean angular distance of `x[from]` and `x[to]`.
    pub(crate) fn angular_distance(&self, from: usize, to: usize) -> Result<f64> {
        measures::compare_rows(&self.activations, from, to, cosine::angular_distance)
    }

    /// `x[l]` at the rows: `(rows, columns, values)`.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when there is no such layer.
    pub fn hidden(&self, layer: usize) -> Result<(usize, usize, Vec<f32>)> {
        Ok((self.activations.rows, self.activations.columns, self.activations.hidden(layer)?))
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
