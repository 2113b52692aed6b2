//! What an opened or merged model can do besides calibrating and merging: tell its facts, predict, be measured, generate, be written.

use super::chunk_cache::MOST_KEPT;
use super::input::{Windows, digest};
use super::plan::fit_bytes;
use super::{Model, Origin};
use crate::checkpoint::write::{OutputFile, weight_files};
use crate::error::{Error, Result};
use crate::evaluate::{Loss, Measured, evaluate};
use crate::interface::{
    EvaluateOptions, GenerateOptions, Input, LossInfo, ParentInfo, Summary, TensorChangeInfo, Token,
};
use crate::merge::recipe::Recipe;
use crate::task::Task;
use crate::transformer::{Decoder, Sampler};

/// A default calibration, for the estimate of memory: windows, tokens of each, rows kept.
pub(super) const DEFAULT_CALIBRATION: (u64, u64, u64) = (32, 256, 512);

/// A weight file that is written has at most so many bytes of data: what every file system and every download takes.
const SHARD_BYTES: u64 = 4_000_000_000;

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
            tensors: self.origin.as_ref().map(Origin::proof),
        }
    }

    /// Memory that calibrating on so many windows, of so many tokens, with so many rows kept, then merging and evaluating are expected to take at
    /// most: the program, the weights within the budget, the streams that are kept, the rows, what a block computes on one chunk, logits of
    /// two models, and what a fit needs.
    pub(super) fn peak_bytes(&self, (sequences, window, rows): (u64, u64, u64)) -> u64 {
        let d = &self.transformer.description;
        let info = self.lab.engine.info();
        let sizes = self.transformer.sizes();
        let row_bytes = 4 * d.hidden as u64;
        let stream = row_bytes * sequences * window;
        let streams = stream * 2 + crate::calibration::STREAM_BUDGET.min(stream.saturating_mul(d.layers as u64));
        let widest = d.projections.iter().map(|p| p.rows).max().unwrap_or(0);
        let tile = self.transformer.head_tiles().first().map_or(0, |tile| tile.len());
        let chunk = (info.chunk_tokens as u64).max(window).min(sequences * window);
        let working = 4 * chunk * (3 * widest + 4 * d.hidden + 2 * tile) as u64;
        let kept_rows = row_bytes * rows * (d.layers as u64 + 1);
        // A merged model's own blocks come on top of the original's.
        let weights = (sizes.all + sizes.block).min(self.lab.budget()).max(sizes.block);
        let fit = fit_bytes(d, chunk);
        // A lesson: its stream twice, the original's way over two blocks, heads and neurons.
        let kept_channels = (6 * d.hidden + d.heads * d.head_size + d.neurons()) as u64;
        let lesson = if fit > 0 { MOST_KEPT.min(4 * kept_channels * sequences * window) } else { 0 };
        PROGRAM_BYTES + weights + streams + kept_rows + working + fit + lesson
    }

    /// The record of how it was merged; none for a model that was not.
    pub fn recipe(&self) -> Option<&Recipe> {
        self.origin.as_ref().map(|origin| &origin.recipe)
    }

    /// The ids of an input and the logits after the last of them.
    ///
    /// # Errors
    /// [`Error::BadArgument`], [`Error::NotFinite`], [`Error::Cancelled`], or what reading and computing fail with.
    pub async fn logits(&self, input: &Input, task: &Task) -> Result<(Vec<u32>, Vec<f32>)> {
        self.lab.weights.sweep();
        // All of it: there is no window to stop at.
        let ids = self.ids(input, usize::MAX / 16)?.concat();
        self.check_ids(ids.iter())?;
        let values = self.transformer.last_logits(&ids, task).await?;
        if !values.iter().all(|value| value.is_finite()) {
            return Err(Error::NotFinite {
                what: "the logits".into(),
                found: "a value is infinite or not a number".into(),
            });
        }
        Ok((ids, values))
    }

    /// Measures the model on windows of a text, a merged one beside the model that it was made of; with warnings for the user.
    ///
    /// # Errors
    /// As [`Model::logits`].
    pub async fn evaluate(&self, options: &EvaluateOptions, task: &Task) -> Result<(Measured, Vec<String>)> {
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
        let shared = origin.survivors.untouched();
        let second = Some((&self.transformer, shared));
        Ok((evaluate(&origin.dense.transformer, second, &windows, task).await?, warnings))
    }

    /// Goes on from a prompt, one token at a time, each given to `each` as it comes.
    ///
    /// # Errors
    /// As [`Model::logits`].
    pub async fn generate(&self, options: &GenerateOptions, mut each: impl FnMut(Token), task: &Task) -> Result<()> {
        self.lab.weights.sweep();
        let tokenizer = self.tokenizer()?;
        let wanted = options.tokens.unwrap_or(50);
        let mut sampler = Sampler::new(options.temperature.unwrap_or(0.0), options.seed.unwrap_or(0).into())?;
        let mut ids = tokenizer.encode(&options.prompt)?;
        if ids.is_empty() {
            return Err(Error::argument("prompt", "it has no token to go on from"));
        }
        if wanted == 0 || wanted > 100_000 {
            return Err(Error::argument("tokens", format!("is {wanted}, expected 1 to 100000")));
        }
        let step = task.step("generate", wanted, "tokens");
        let mut decoder = Decoder::new(&self.transformer, ids.len() + wanted)?;
        let mut logits = decoder.append(&ids, task).await?;
        let mut shown = tokenizer.decode(&ids)?.len();
        for done in 1..=wanted {
            let id = sampler.draw(&logits)?;
            ids.push(id);
            let text = tokenizer.decode(&ids)?;
            // A character may take several tokens; until then the text ends in a replacement character.
            let complete = done == wanted || !text.ends_with(char::REPLACEMENT_CHARACTER);
            let new = if complete { text.get(shown..).unwrap_or("").to_string() } else { String::new() };
            shown += new.len();
            each(Token { id, text: new });
            step.advance(1)?;
            if done < wanted {
                logits = decoder.append(&[id], task).await?;
            }
        }
        Ok(())
    }

    /// The matrices of a merged model's repairs as a file, if there are any.
    ///
    /// # Errors
    /// [`Error::BadHeader`] when its header cannot be written.
    pub fn repair_file(&self) -> Result<Option<OutputFile>> {
        self.origin.as_ref().map_or(Ok(None), Origin::repair_file)
    }

    /// The files of a merged model, as ranges of the input around what is new.
    ///
    /// # Errors
    /// [`Error::BadArgument`] for a model that was not merged.
    pub fn files(&self) -> Result<Vec<OutputFile>> {
        let Some(origin) = &self.origin else {
            return Err(Error::argument(
                "files",
                "only a merged model has new files; these are the ones that were opened",
            ));
        };
        let checkpoint = &self.transformer.checkpoint;
        let recipe = serde_json::to_string_pretty(&origin.recipe)
            .map_err(|e| Error::argument("recipe", format!("it cannot be written: {e}")))?;
        let mut files = vec![
            OutputFile::text("config.json", checkpoint.config.to_json()),
            OutputFile::text("recipe.json", recipe + "\n"),
            OutputFile::text("README.md", origin.card(self)),
        ];
        files.extend(weight_files(&checkpoint.tensors, SHARD_BYTES)?);
        files.extend(origin.repair_file()?);
        files.extend(checkpoint.companions.iter().map(OutputFile::copy));
        Ok(files)
    }
}

impl Origin {
    /// The proof of merging, for the user.
    fn proof(&self) -> Vec<TensorChangeInfo> {
        let parents = |change: &crate::merge::combine::TensorChange| {
            let info = |p: &crate::merge::combine::ParentDistance| ParentInfo {
                layer: p.layer,
                weight: p.weight,
                distance: p.distance,
            };
            change.parents.iter().map(info).collect()
        };
        self.changes
            .iter()
            .map(|change| TensorChangeInfo { name: change.tensor.clone(), parents: parents(change) })
            .collect()
    }

    /// The model card.
    fn card(&self, merged: &Model) -> String {
        let (before, after) = (self.dense.summary(), merged.summary());
        let recipe = &self.recipe;
        let method = recipe.preset.as_ref().map_or(String::new(), |preset| format!(" (preset `{preset}`)"));
        let mut card = format!(
            "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- mka\n- merged-layers\n---\n\n\
             # A {} model with {} of {} layers\n\n\
             Made in a browser by {} with the selection `{}` and the combination `{}`{method}. `recipe.json` has every choice and repeats the merge.\n\n\
             | | before | after |\n|---|---|---|\n| layers | {} | {} |\n| parameters | {} | {} |\n| bytes of weights | {} | {} |\n\n\
             ## Merges\n\nIndices are those of the original layers, counted from 0. {}\n\n\
             | kept | gone | made by | repair |\n|---|---|---|---|\n",
            before.family,
            after.layers,
            before.layers,
            recipe.tool,
            recipe.selection,
            recipe.combination,
            before.layers,
            after.layers,
            before.parameters,
            after.parameters,
            before.bytes,
            after.bytes,
            "With an alpha, the layer kept is alpha times itself plus 1 - alpha times the layer gone.",
        );
        for step in &recipe.steps {
            let made = match (step.alpha, &step.kept) {
                (Some(alpha), _) => format!("alpha {alpha}"),
                (None, Some(_)) => "concatenation".into(),
                (None, None) => "difference".into(),
            };
            let repair = match (step.ridge, step.scale) {
                (Some(ridge), _) => format!("linear, ridge {ridge}"),
                (None, Some(scale)) => format!("scale {scale}"),
                (None, None) => match recipe.refits.iter().find(|refit| refit.layer == step.keep) {
                    Some(refit) => format!("fitted anew, ridges {} and {}", refit.ridges[0], refit.ridges[1]),
                    None => "none".into(),
                },
            };
            card += &format!("| {} | {} | {made} | {repair} |\n", step.keep, step.gone);
        }
        card + "\nThe licence and the limits of the original model hold for this one. Measure it on your own text before you use it.\n"
    }
}

impl From<Loss> for LossInfo {
    fn from(loss: Loss) -> Self {
        Self { nll: loss.nll, perplexity: loss.perplexity }
    }
}
