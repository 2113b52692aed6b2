//! A norm on an engine. Must not know what it is for.

use std::rc::Rc;

use super::weights::WeightStore;
use crate::architecture::{Description, NormKind};
use crate::checkpoint::Checkpoint;
use crate::compute::{Compute, Tensor};
use crate::error::Result;

/// A norm with its weights, `[1, channels]`.
pub struct NormWeights {
    gain: Rc<Tensor>,
    /// Where it is by mean and standard deviation: zeros where none is stored.
    bias: Option<Rc<Tensor>>,
}

impl NormWeights {
    /// Loads `{name}.weight` and, where the model has one, `{name}.bias`.
    ///
    /// # Errors
    /// What reading, checking and uploading fail with.
    pub async fn load(
        weights: &WeightStore,
        checkpoint: &Checkpoint,
        description: &Description,
        name: &str,
    ) -> Result<Self> {
        let vector = |suffix: &str| format!("{name}.{suffix}");
        let (gain, bias) = (vector("weight"), vector("bias"));
        let gain = weights.vector(&gain, checkpoint.tensor(&gain)?, description.gain_offset).await?;
        let bias = match description.norm {
            NormKind::Rms => None,
            NormKind::Layer => Some(weights.vector(&bias, checkpoint.tensor(&bias)?, 0.0).await?),
            NormKind::LayerWithoutBias => Some(weights.no_bias(gain.columns)?),
        };
        Ok(Self { gain, bias })
    }

    /// Normalises the rows of x `[n, channels]`.
    ///
    /// # Errors
    /// What the engine fails with.
    pub fn apply(&self, engine: &dyn Compute, x: &Tensor, epsilon: f32) -> Result<Tensor> {
        match &self.bias {
            None => engine.rms_norm(x, &self.gain, epsilon),
            Some(bias) => engine.layer_norm(x, &self.gain, bias, epsilon),
        }
    }

    /// Channels that it normalises together.
    pub fn channels(&self) -> usize {
        self.gain.columns
    }
}
