//! The files of a merged model: ranges of the input around what is new, the recipe, and a model
//! card.

use super::model::{Model, Origin};
use crate::checkpoint::write::{OutputFile, weight_files};
use crate::error::{Error, Result};
use crate::merge::choices::word;
use crate::merge::repair::repair_file;

/// A weight file that is written has at most so many bytes of data: what every file system and
/// every download takes.
const SHARD_BYTES: u64 = 4_000_000_000;

impl Model {
    /// The matrices of a merged model's repairs as a file, if there are any.
    ///
    /// # Errors
    /// [`Error::BadHeader`] when its header cannot be written.
    pub fn repair_file(&self) -> Result<Option<OutputFile>> {
        match &self.origin {
            Some(origin) => repair_file(&origin.dense.merge_context(origin.recipe.norms), &origin.state),
            None => Ok(None),
        }
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
        files.extend(self.repair_file()?);
        files.extend(checkpoint.companions.iter().map(OutputFile::copy));
        Ok(files)
    }
}

impl Origin {
    /// The model card.
    fn card(&self, merged: &Model) -> String {
        let (before, after) = (self.dense.summary(), merged.summary());
        let recipe = &self.recipe;
        let (task, part) = match merged.transformer.description.wrapping {
            Some(_) => ("image-text-to-text", "of the text tower "),
            None => ("text-generation", ""),
        };
        let method = recipe.preset.as_ref().map_or(String::new(), |preset| format!(" (preset `{preset}`)"));
        let mut card = format!(
            "---\nlibrary_name: transformers\npipeline_tag: {task}\ntags:\n- mka\n- merged-layers\n---\n\n\
             # A {} model with {} of {} layers\n\n\
             Made in a browser by {} with the selection `{}` and the combination `{}`{method}. `recipe.json` has every choice and repeats the merge.\n\n\
             | {part}| before | after |\n|---|---|---|\n| layers | {} | {} |\n| parameters | {} | {} |\n| bytes of weights | {} | {} |\n\n\
             ## Merges\n\nIndices are those of the original layers, counted from 0. {}\n\n\
             | kept | gone | made by | repair |\n|---|---|---|---|\n",
            before.family,
            after.layers,
            before.layers,
            recipe.tool,
            word(&recipe.selection),
            word(&recipe.combination),
            before.layers,
            after.layers,
            before.parameters,
            after.parameters,
            before.bytes,
            after.bytes,
            "With an alpha, the layer kept is alpha times itself plus 1 - alpha times the layer gone.",
        );
        for step in &recipe.steps {
            let (made, repair) = (step.made_by(), recipe.repair_of(step));
            card += &format!("| {} | {} | {made} | {repair} |\n", step.keep, step.removed);
        }
        card + "\nThe licence and the limits of the original model hold for this one. Measure it on your own text before you use it.\n"
    }
}
