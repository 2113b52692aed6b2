//! From files to a model.

use std::rc::Rc;

use super::lab::Lab;
use super::model::Model;
use crate::architecture::{self, Assume};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::end_tokens::end_tokens;
use crate::checkpoint::source::Source;
use crate::error::Result;
use crate::task::Task;
use crate::tokens::Tokenizer;
use crate::transformer::Transformer;

impl Lab {
    /// Opens the files of one model: reads headers, configuration and tokenizer, and checks all
    /// that they can tell.
    ///
    /// # Errors
    /// What is wrong with which file; see [`Checkpoint::open`],
    /// [`crate::architecture::Description::check`] and [`Tokenizer::parse`].
    pub async fn open(self: &Rc<Self>, files: &[Source], task: &Task) -> Result<Rc<Model>> {
        self.open_as(files, None, task).await
    }

    /// The same, as a model of a family that the user insists on.
    ///
    /// # Errors
    /// As [`Lab::open`].
    pub async fn open_as(self: &Rc<Self>, files: &[Source], assume: Option<Assume>, task: &Task) -> Result<Rc<Model>> {
        self.weights.sweep();
        let step = task.step("open", 2, "parts");
        let mut checkpoint = Checkpoint::open(files).await?;
        step.advance(1)?;
        let (description, mut warnings) = architecture::describe(&mut checkpoint, assume)?;
        // The bytes are not needed once they are parsed.
        let tokenizer = match checkpoint.tokenizer.take() {
            Some(bytes) => Some(Rc::new(Tokenizer::parse(&bytes, description.vocabulary)?)),
            None => {
                warnings.push("There is no tokenizer.json, so texts cannot be used; token ids can.".into());
                None
            }
        };
        step.advance(1)?;
        let end_tokens = end_tokens(&checkpoint, &|name| tokenizer.as_ref()?.id_of(name)).await?.into();
        let transformer =
            Transformer::new(self.engine.clone(), self.weights.clone(), Rc::new(checkpoint), description)?;
        Ok(Rc::new(Model { lab: self.clone(), transformer, tokenizer, end_tokens, warnings, origin: None }))
    }
}
