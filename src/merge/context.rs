//! What every part of a merge works on: the original model, and the way from a state to the model
//! that it describes. Must not know how a state comes about.

use std::rc::Rc;

use super::choices::Norms;
use super::state::MergeState;
use super::tensors::{TensorChange, merged_checkpoint};
use crate::error::Result;
use crate::platform::off_heap::Meter;
use crate::task::Task;
use crate::transformer::{Transformer, WeightStore};

/// In one window of so many, the token in the middle is replaced by one that ends a document.
const WINDOWS_PER_SEPARATOR: usize = 4;

/// The original model, and what it takes to build others from it.
pub struct MergeContext {
    /// The model that is merged.
    pub original: Transformer,
    /// What happens to norms when blocks are averaged.
    pub norms: Norms,
    /// Weights on the engine, shared by all models that are built.
    pub weights: Rc<WeightStore>,
    /// Counts bytes of new tensors and of kept activations.
    pub meter: Meter,
    /// The ids of the tokens that end a document, in the order of their importance.
    pub separators: Vec<u32>,
}

impl MergeContext {
    /// The model that `state` describes, and how far its tensors are from those they were made of.
    ///
    /// # Errors
    /// [`crate::error::Error::Cancelled`], [`crate::error::Error::NotFinite`] when merged values
    /// are not numbers, or what reading fails with.
    pub async fn build(&self, state: &MergeState, task: &Task) -> Result<(Transformer, Vec<TensorChange>)> {
        // Trials and fits build many models, one after the other.
        self.weights.sweep();
        let Transformer { checkpoint, description, engine, .. } = &self.original;
        let (checkpoint, changes) =
            merged_checkpoint(checkpoint, description, state, self.norms, &self.meter, task).await?;
        let description = description.with_blocks(&state.layers());
        let model = Transformer::new(engine.clone(), self.weights.clone(), Rc::new(checkpoint), description)?;
        Ok((model, changes))
    }

    /// A model of the survivor at `index` alone.
    ///
    /// # Errors
    /// As [`MergeContext::build`].
    pub async fn single_block_model(&self, state: &MergeState, index: usize, task: &Task) -> Result<Transformer> {
        Ok(self.build(&state.part(index..index + 1), task).await?.0)
    }

    /// The windows, some with a token in the middle that ends a document, if this model has one.
    ///
    /// Such a token has a hidden state far larger than others (a sink, as position 0). A text
    /// without one says nothing about it, and a fit to such a text can ruin all that follows one.
    pub fn with_separator_tokens(&self, windows: &[Vec<u32>]) -> Vec<Vec<u32>> {
        let mut windows = windows.to_vec();
        for (place, window) in windows.iter_mut().step_by(WINDOWS_PER_SEPARATOR).enumerate() {
            let middle = window.len() / 2;
            // The first token of a window is a sink as it is.
            if let (Some(id), 1..) = (self.separators.get(place % self.separators.len().max(1)), middle) {
                window[middle] = *id;
            }
        }
        windows
    }
}
