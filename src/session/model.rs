//! An opened or merged model, and its facts.

use std::rc::Rc;

use indexmap::IndexSet;

use super::lab::Lab;
use crate::interface::Summary;
use crate::merge::choices::Norms;
use crate::merge::context::MergeContext;
use crate::merge::plan::fit_bytes;
use crate::merge::recipe::Recipe;
use crate::merge::repair::MOST_KEPT;
use crate::merge::state::MergeState;
use crate::merge::tensors::TensorChange;
use crate::tokens::Tokenizer;
use crate::transformer::Transformer;

/// An opened model, or a merged one.
pub struct Model {
    pub(super) lab: Rc<Lab>,
    pub(super) transformer: Transformer,
    pub(super) tokenizer: Option<Rc<Tokenizer>>,
    /// Generation stops after any of these.
    pub(super) end_tokens: Rc<[u32]>,
    pub(super) warnings: Vec<String>,
    pub(super) origin: Option<Origin>,
}

/// Where a merged model comes from.
pub struct Origin {
    pub(super) dense: Rc<Model>,
    pub(super) recipe: Recipe,
    pub(super) state: MergeState,
    pub(super) changes: Vec<TensorChange>,
    /// SHA-256 of each window that it was calibrated on: evaluating on them warns.
    pub(super) calibrated_on: Vec<[u8; 32]>,
}

/// A default calibration, for the estimate of memory: windows, tokens of each, rows kept.
pub(super) const DEFAULT_CALIBRATION: (u64, u64, u64) = (32, 256, 512);

/// WebAssembly memory of the program and a tokenizer, before anything is computed.
const PROGRAM_BYTES: u64 = 24 << 20;

impl Model {
    /// The facts of the model.
    pub fn summary(&self) -> Summary {
        let (d, checkpoint) = (&self.transformer.description, &self.transformer.checkpoint);
        let count = |names: Vec<(String, Vec<u64>)>| {
            let found = names.iter().filter_map(|(name, _)| checkpoint.tensors.get(name));
            found.fold((0, 0), |(count, bytes), tensor| {
                (count + tensor.shape.iter().product::<u64>(), bytes + tensor.bytes)
            })
        };
        let blocks = (0..d.layers).map(|layer| count(d.block_tensors(layer)));
        let (block_parameters, block_bytes) = blocks.fold((0, 0), |sum, block| (sum.0 + block.0, sum.1 + block.1));
        let outer_parameters = count(d.outer_tensors()).0;
        let described = d.tensors();
        let matrices = described.iter().filter(|(_, shape)| shape.len() > 1);
        let mut dtypes = matrices.filter_map(|(name, _)| checkpoint.tensors.get(name)).map(|tensor| tensor.dtype);
        let dtype = match dtypes.next() {
            Some(first) if dtypes.all(|other| other == first) => format!("{first:?}"),
            _ => "mixed".into(),
        };
        let layers = d.layers.max(1) as f64;
        Summary {
            family: d.family.into(),
            layers: d.layers,
            block_kinds: d.block_kinds(),
            hidden: d.hidden,
            heads: d.heads,
            kv_heads: d.kv_heads,
            vocabulary: d.vocabulary,
            positions: d.positions,
            parameters: (block_parameters + outer_parameters) as f64,
            bytes: self.transformer.sizes().all as f64,
            block_parameters: block_parameters as f64 / layers,
            block_bytes: block_bytes as f64 / layers,
            dtype,
            tied: d.head.is_none(),
            peak_bytes: self.peak_bytes(DEFAULT_CALIBRATION) as f64,
            warnings: self.warnings.clone(),
            tensors: self.origin.as_ref().map(|origin| origin.changes.clone()),
        }
    }

    /// Memory that calibrating on so many windows, of so many tokens, with so many rows kept, then
    /// merging and evaluating are expected to take at most: the program, the weights within the
    /// budget, the streams that are kept, the rows, what a block computes on one chunk, logits of
    /// two models, and what a fit needs.
    pub(super) fn peak_bytes(&self, (sequences, window, rows): (u64, u64, u64)) -> u64 {
        let d = &self.transformer.description;
        let info = self.lab.engine.info();
        let sizes = self.transformer.sizes();
        let row_bytes = 4 * d.hidden as u64;
        let stream = row_bytes * sequences * window;
        let streams = stream * 2 + crate::calibration::STREAM_BUDGET.min(stream.saturating_mul(d.layers as u64));
        let widest = d.kinds.iter().flat_map(|kind| &kind.projections).map(|p| p.rows).max().unwrap_or(0);
        let tile = self.transformer.head_tiles().first().map_or(0, |tile| tile.len());
        let chunk = (info.chunk_tokens as u64).max(window).min(sequences * window);
        let working = 4 * chunk * (3 * widest + 4 * d.hidden + 2 * tile) as u64;
        let kept_rows = row_bytes * rows * (d.layers as u64 + 1);
        // A merged model's own blocks come on top of the original's.
        let weights = (sizes.all + sizes.block).min(self.lab.budget()).max(sizes.block);
        let fit = fit_bytes(d, chunk);
        // Fit targets: the input twice, the original's trace over two blocks, heads and neurons.
        let kept_channels = (6 * d.hidden + d.heads * d.head_size + d.neurons()) as u64;
        let targets = if fit > 0 { MOST_KEPT.min(4 * kept_channels * sequences * window) } else { 0 };
        PROGRAM_BYTES + weights + streams + kept_rows + working + fit + targets
    }

    /// The record of how it was merged; none for a model that was not.
    pub fn recipe(&self) -> Option<&Recipe> {
        self.origin.as_ref().map(|origin| &origin.recipe)
    }

    /// What merges of this model work on.
    pub(super) fn merge_context(&self, norms: Norms) -> MergeContext {
        let vocabulary = self.transformer.description.vocabulary;
        let by_name = self.tokenizer.as_ref().map_or(Vec::new(), |tokenizer| tokenizer.separator_tokens(vocabulary));
        let config = &self.transformer.checkpoint.config;
        let wrapping = self.transformer.description.wrapping;
        let within = wrapping.and_then(|wrapping| config.nested(wrapping.config_key?).ok());
        let configs = [within.as_ref(), Some(config)].into_iter().flatten();
        let configured = configs.flat_map(|config| config.separator_tokens(vocabulary));
        // Each once, those by name first.
        let separators = IndexSet::<u32>::from_iter(by_name.into_iter().chain(configured)).into_iter().collect();
        let (original, weights) = (self.transformer.clone(), self.lab.weights.clone());
        MergeContext { original, norms, weights, meter: self.lab.meter.clone(), separators }
    }
}
