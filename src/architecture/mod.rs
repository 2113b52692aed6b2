//! Model families as data: what their tensors are called and which options they have.
//!
//! One file per family turns a `config.json` into one neutral [`Description`]; nothing here computes. To add a family, write its file and add
//! a line to [`describe`].

mod llama;
pub mod rope;

use safetensors::Dtype as StoredDtype;

use crate::checkpoint::config::Config;
use crate::checkpoint::{Checkpoint, StoredTensor};
use crate::compute::Activation;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use rope::Rope;

/// What a tensor of a block does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The norm in front of attention.
    AttentionNorm,
    /// Queries.
    Query,
    /// Keys.
    Key,
    /// Values.
    Value,
    /// From the heads back into the stream.
    Output,
    /// The norm in front of the MLP.
    MlpNorm,
    /// The gate of the MLP.
    Gate,
    /// The MLP's input projection.
    Up,
    /// From the MLP back into the stream.
    Down,
}

/// A norm of a block: `{prefix}.{name}.weight`, shape `[hidden]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Norm {
    /// What it is for.
    pub role: Role,
    /// Its name inside the block.
    pub name: &'static str,
}

/// A projection of a block: `{prefix}.{name}.weight`, shape `[rows, columns]`, and `{prefix}.{name}.bias`, shape `[rows]`, where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Projection {
    /// What it is for.
    pub role: Role,
    /// Its name inside the block.
    pub name: &'static str,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// Whether a bias is added.
    pub bias: bool,
    /// The norm whose output it reads; the norm's gain can be folded into its columns.
    pub reads: Option<Role>,
}

/// A decoder, described without naming its family: pre-norm blocks of rotary grouped-query attention and a gated MLP.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// The family's name for the user.
    pub family: &'static str,
    /// The key of `config.json` that counts the blocks.
    pub count_key: &'static str,
    /// Number of blocks.
    pub layers: usize,
    /// Channels of the residual stream.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Channels of a head.
    pub head_size: usize,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Positions that the model was made for.
    pub positions: usize,
    /// Added to the mean square in every norm.
    pub epsilon: f32,
    /// Rotary embedding.
    pub rope: Rope,
    /// Non-linearity of the MLP.
    pub activation: Activation,
    /// What comes in front of a block's number.
    pub block_prefix: &'static str,
    /// The norms of a block.
    pub norms: Vec<Norm>,
    /// The projections of a block.
    pub projections: Vec<Projection>,
    /// The embedding, `[vocabulary, hidden]`.
    pub embedding: &'static str,
    /// The last norm, `[hidden]`.
    pub final_norm: &'static str,
    /// The head, `[vocabulary, hidden]`; none where it is the embedding.
    pub head: Option<&'static str>,
}

/// Reads the family and its options from the configuration.
///
/// # Errors
/// [`Error::UnsupportedFamily`] for a family or an option that this tool does not compute, [`Error::BadConfig`] for values that make no sense.
pub fn describe(config: &Config) -> Result<Description> {
    match config.word_or("model_type", "")? {
        "llama" => llama::describe(config),
        "" => Err(Error::config("model_type is missing, so the family is not known")),
        other => Err(Error::UnsupportedFamily {
            family: other.into(),
            reason: "this version computes the llama family".into(),
        }),
    }
}

impl Description {
    /// The full name of a tensor of block `layer`.
    pub fn block_tensor(&self, layer: usize, name: &str, kind: &str) -> String {
        format!("{}.{layer}.{name}.{kind}", self.block_prefix)
    }

    /// The names and shapes of all tensors of block `layer`.
    pub fn block_tensors(&self, layer: usize) -> Vec<(String, Vec<u64>)> {
        let norms =
            self.norms.iter().map(|norm| (self.block_tensor(layer, norm.name, "weight"), vec![self.hidden as u64]));
        let projections = self.projections.iter().flat_map(|p| {
            let weight = (self.block_tensor(layer, p.name, "weight"), vec![p.rows as u64, p.columns as u64]);
            let bias = p.bias.then(|| (self.block_tensor(layer, p.name, "bias"), vec![p.rows as u64]));
            std::iter::once(weight).chain(bias)
        });
        norms.chain(projections).collect()
    }

    /// The names and shapes of all tensors outside the blocks.
    pub fn outer_tensors(&self) -> Vec<(String, Vec<u64>)> {
        let table = vec![self.vocabulary as u64, self.hidden as u64];
        let mut tensors =
            vec![(self.embedding.to_string(), table.clone()), (self.final_norm.into(), vec![self.hidden as u64])];
        tensors.extend(self.head.map(|head| (head.to_string(), table)));
        tensors
    }

    /// Fails unless every tensor is there, in the right shape and in a number format that can be read.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::WrongShape`], [`Error::UnsupportedDtype`].
    pub fn check(&self, checkpoint: &Checkpoint) -> Result<()> {
        for layer in 0..self.layers {
            self.block_tensors(layer)
                .into_iter()
                .try_for_each(|(name, shape)| check_tensor(checkpoint, &name, &shape))?;
        }
        self.outer_tensors().into_iter().try_for_each(|(name, shape)| check_tensor(checkpoint, &name, &shape))
    }

    /// Floating-point operations of one block for one token, attention scores left out.
    pub fn block_flops(&self) -> f64 {
        self.projections.iter().map(|p| 2.0 * p.rows as f64 * p.columns as f64).sum()
    }
}

fn check_tensor(checkpoint: &Checkpoint, name: &str, shape: &[u64]) -> Result<()> {
    let tensor = checkpoint.tensor(name)?;
    if tensor.shape != shape {
        return Err(Error::WrongShape { tensor: name.into(), found: tensor.shape.clone(), expected: shape.into() });
    }
    readable_dtype(name, tensor).map(|_| ())
}

/// The number format of a tensor, if it is one that this tool reads.
///
/// # Errors
/// [`Error::UnsupportedDtype`].
pub fn readable_dtype(name: &str, tensor: &StoredTensor) -> Result<Dtype> {
    match tensor.dtype {
        StoredDtype::F32 => Ok(Dtype::F32),
        StoredDtype::F16 => Ok(Dtype::F16),
        StoredDtype::BF16 => Ok(Dtype::Bf16),
        other => Err(Error::UnsupportedDtype { tensor: name.into(), dtype: format!("{other:?}") }),
    }
}
