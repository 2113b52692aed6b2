//! A decoder described without naming its family. Must not know `config.json`.

use indexmap::IndexMap;

use super::activation::NeuronActivation;
use super::assume::Assume;
use super::layers::{LayerList, LayerOptions};
use super::role::Role;
use super::rope::Rope;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::read::readable_dtype;
use crate::compute::{Activation, Pairs};
use crate::error::{Error, Result};

/// How a model normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// By the root of the mean square, with a gain.
    Rms,
    /// By mean and standard deviation, with a gain and a bias.
    Layer,
    /// By mean and standard deviation, with a gain alone.
    LayerWithoutBias,
}

impl NormKind {
    /// Whether its norms have a bias.
    pub fn has_bias(self) -> bool {
        self == Self::Layer
    }
}

/// A norm of a block: `{prefix}.{name}.weight` and, of [`NormKind::Layer`], `.bias`, shape
/// `[size]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Norm {
    /// What it is for.
    pub role: Role,
    /// Its name inside the block.
    pub name: &'static str,
    /// Channels that are normalised together.
    pub size: usize,
}

/// A projection of a block: rows of `{prefix}.{name}.weight`, shape `[stored, columns]` (the other
/// way round where it is transposed), and of `{prefix}.{name}.bias`, shape `[stored]`, where there
/// is one. Several projections may share a tensor.
///
/// Row r is the stored row `first + r / run * stride + r % run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Projection {
    /// What it is for.
    pub role: Role,
    /// The name of its tensor inside the block.
    pub name: &'static str,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// Whether a bias is added.
    pub bias: bool,
    /// The norm whose output it reads; the norm's gain can be folded into its columns.
    pub reads: Option<Role>,
    /// Outputs of the stored tensor.
    pub stored: usize,
    /// The first stored row.
    pub first: usize,
    /// Rows that lie one after the other.
    pub run: usize,
    /// From the start of one run to the next.
    pub stride: usize,
    /// Whether the tensor is stored as `[columns, stored]`.
    pub transposed: bool,
}

impl Projection {
    /// A projection with a tensor of its own.
    pub fn new(
        role: Role,
        name: &'static str,
        [rows, columns]: [usize; 2],
        bias: bool,
        reads: impl Into<Option<Role>>,
    ) -> Self {
        let (reads, stored, first, run, stride) = (reads.into(), rows, 0, rows, rows);
        Self { role, name, rows, columns, bias, reads, stored, first, run, stride, transposed: false }
    }

    /// The same as a part of a tensor of `stored` rows: runs of `run` rows, the first of them at
    /// `first`, `stride` apart.
    pub fn part(self, stored: usize, first: usize, run: usize, stride: usize) -> Self {
        Self { stored, first, run, stride, ..self }
    }

    /// The same, stored as `[columns, stored]`.
    pub fn transposed(self) -> Self {
        Self { transposed: true, ..self }
    }

    /// The stored row of row `row`.
    pub fn stored_row(&self, row: usize) -> usize {
        self.first + row / self.run.max(1) * self.stride + row % self.run.max(1)
    }

    /// The runs of stored rows that make up the rows: `(first stored row, number)`.
    pub fn runs(&self) -> impl Iterator<Item = (usize, usize)> {
        let Self { rows, first, run, stride, .. } = *self;
        (0..rows).step_by(run.max(1)).map(move |row| (first + row / run.max(1) * stride, run.min(rows - row)))
    }
}

/// Learned positions: position p is row p + `offset` of the tensor `name`, `[positions + offset,
/// hidden]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// The full name of the tensor.
    pub name: String,
    /// Rows before position 0.
    pub offset: usize,
}

/// An embedding that is narrower than the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingProjection {
    /// Its channels.
    pub columns: usize,
    /// The full name of the matrix into the stream, `[hidden, columns]`.
    pub into: String,
    /// The full name of the matrix from the stream to the head, `[columns, hidden]`.
    pub out: String,
}

/// A decoder, described without naming its family.
#[derive(Debug, Clone)]
pub struct Description {
    /// The family's name for the user.
    pub family: &'static str,
    /// The family that the user insisted on, if any.
    pub assumed: Option<Assume>,
    /// The keys of `config.json` that count the blocks: the family's own, or synonyms, or both.
    pub count_keys: Vec<String>,
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
    /// Factor of the embedding.
    pub embedding_scale: f32,
    /// What stands between the embedding and the stream, where they differ in width.
    pub embedding_projection: Option<EmbeddingProjection>,
    /// Learned positions, added to the embedding.
    pub learned: Option<Learned>,
    /// How it normalises.
    pub norm: NormKind,
    /// Added to every stored gain.
    pub gain_offset: f32,
    /// Added to the mean square in every norm.
    pub epsilon: f32,
    /// Rotary embeddings, of which each block has one or none.
    pub ropes: Vec<Rope>,
    /// Which channels of a head they turn together.
    pub pairs: Pairs,
    /// Whether queries and keys are normalised after they are rotated, and not before.
    pub normed_after_rotation: bool,
    /// Factor of the attention scores.
    pub attention_scale: f32,
    /// Whether block l divides its scores by l + 1.
    pub scaled_by_depth: bool,
    /// Within which the scaled scores are kept softly, if they are.
    pub attention_cap: Option<f32>,
    /// Whether attention and MLP read the same stream, and both are added to it.
    pub parallel: bool,
    /// Factor of what attention and MLP add to the stream.
    pub residual_scale: f32,
    /// Non-linearity of the MLP.
    pub activation: NeuronActivation,
    /// Number of blocks.
    pub layers: usize,
    /// What differs between the blocks, first to last.
    pub layer_options: Vec<LayerOptions>,
    /// What `config.json` may list for every block.
    pub lists: Vec<LayerList>,
    /// What comes before a block's number.
    pub block_prefix: String,
    /// The norms of a block.
    pub norms: Vec<Norm>,
    /// The projections of a block.
    pub projections: Vec<Projection>,
    /// The embedding, `[vocabulary, hidden]`, or as wide as `embedding_projection` says.
    pub embedding: String,
    /// The last norm, if there is one: `{final_norm}.weight` and, of [`NormKind::Layer`], `.bias`,
    /// `[hidden]`.
    pub final_norm: Option<String>,
    /// The head, in the shape of the embedding; none where it is the embedding.
    pub head: Option<String>,
    /// The head's bias, `[vocabulary]`.
    pub head_bias: Option<String>,
    /// Factor of the logits, before their cap; 1 where the head has a bias.
    pub logit_scale: f32,
    /// Within which the logits are kept softly, if they are.
    pub logit_cap: Option<f32>,
}

impl Default for Description {
    /// A decoder of nothing, without any option: what a family's file leaves out.
    fn default() -> Self {
        Self {
            family: "",
            assumed: None,
            count_keys: vec!["num_hidden_layers".into()],
            hidden: 0,
            heads: 0,
            kv_heads: 0,
            head_size: 0,
            vocabulary: 0,
            positions: 0,
            embedding_scale: 1.0,
            embedding_projection: None,
            learned: None,
            norm: NormKind::Rms,
            gain_offset: 0.0,
            epsilon: 1e-5,
            ropes: Vec::new(),
            pairs: Pairs::Halves,
            normed_after_rotation: false,
            attention_scale: 1.0,
            scaled_by_depth: false,
            attention_cap: None,
            parallel: false,
            residual_scale: 1.0,
            activation: NeuronActivation::Fixed(Activation::Gelu),
            layers: 0,
            layer_options: Vec::new(),
            lists: Vec::new(),
            block_prefix: String::new(),
            norms: Vec::new(),
            projections: Vec::new(),
            embedding: String::new(),
            final_norm: None,
            head: None,
            head_bias: None,
            logit_scale: 1.0,
            logit_cap: None,
        }
    }
}

impl Description {
    /// The full name of a tensor of block `layer`.
    pub fn block_tensor(&self, layer: usize, name: &str, suffix: &str) -> String {
        format!("{}.{layer}.{name}.{suffix}", self.block_prefix)
    }

    /// The norm that what the MLP adds goes through on its way to the next block, if there is one.
    pub fn mlp_post_norm(&self) -> Option<&Norm> {
        self.norms.iter().find(|norm| matches!(norm.role, Role::MlpPostNorm | Role::MlpStreamNorm))
    }

    /// The projection with this role.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] when blocks of this family have none.
    pub fn projection(&self, role: Role) -> Result<&Projection> {
        let found = self.projections.iter().find(|p| p.role == role);
        found.ok_or_else(|| Error::MissingTensor { tensor: format!("{role:?} of a block") })
    }

    /// The name of the weights of a projection of block `layer`.
    ///
    /// # Errors
    /// As [`Description::projection`].
    pub fn weight_of(&self, layer: usize, role: Role) -> Result<String> {
        Ok(self.block_tensor(layer, self.projection(role)?.name, "weight"))
    }

    /// Inner channels of the MLP.
    pub fn neurons(&self) -> usize {
        self.projections.iter().find(|p| p.role == Role::Down).map_or(0, |p| p.columns)
    }

    /// Whether attention, MLP and head read the stream through a norm, which does not see a common
    /// factor of all channels.
    pub fn reads_through_norms(&self) -> bool {
        let writes = |role: Role| [Role::Output, Role::Down].contains(&role);
        self.final_norm.is_some() && self.projections.iter().all(|p| writes(p.role) || p.reads.is_some())
    }

    /// Channels of the embedding and of the head.
    pub fn embedding_columns(&self) -> usize {
        self.embedding_projection.as_ref().map_or(self.hidden, |projection| projection.columns)
    }

    /// The factor of the scores of block `layer`.
    pub fn attention_scale_of(&self, layer: usize) -> f32 {
        if self.scaled_by_depth { self.attention_scale / (layer + 1) as f32 } else { self.attention_scale }
    }

    /// The names after the dot that a norm's tensors have.
    pub fn norm_suffixes(&self) -> &'static [&'static str] {
        if self.norm.has_bias() { &["weight", "bias"] } else { &["weight"] }
    }

    /// The projections of a block, one for each stored tensor.
    pub fn stored_projections(&self) -> impl Iterator<Item = &Projection> {
        let first = |name| self.projections.iter().position(|p| p.name == name);
        self.projections.iter().enumerate().filter(move |(i, p)| first(p.name) == Some(*i)).map(|(_, p)| p)
    }

    /// The names and shapes of all tensors of block `layer`.
    pub fn block_tensors(&self, layer: usize) -> Vec<(String, Vec<u64>)> {
        let norms = self.norms.iter().flat_map(|norm| {
            let suffixes = self.norm_suffixes().iter();
            suffixes.map(move |suffix| (self.block_tensor(layer, norm.name, suffix), vec![norm.size as u64]))
        });
        let projections = self.stored_projections().flat_map(|p| {
            let (outputs, inputs) = (p.stored as u64, p.columns as u64);
            let shape = if p.transposed { vec![inputs, outputs] } else { vec![outputs, inputs] };
            let weight = (self.block_tensor(layer, p.name, "weight"), shape);
            let bias = p.bias.then(|| (self.block_tensor(layer, p.name, "bias"), vec![outputs]));
            std::iter::once(weight).chain(bias)
        });
        let learned = self.activation.learned().into_iter().flat_map(|name| {
            let numbers = NeuronActivation::LEARNED.into_iter();
            numbers.map(move |(number, shape)| (self.block_tensor(layer, name, number), shape.to_vec()))
        });
        norms.chain(projections).chain(learned).collect()
    }

    /// The names and shapes of all tensors outside the blocks.
    pub fn outer_tensors(&self) -> Vec<(String, Vec<u64>)> {
        let (vocabulary, hidden, columns) =
            (self.vocabulary as u64, self.hidden as u64, self.embedding_columns() as u64);
        let mut tensors = vec![(self.embedding.clone(), vec![vocabulary, columns])];
        if let Some(EmbeddingProjection { into, out, .. }) = &self.embedding_projection {
            tensors.push((into.clone(), vec![hidden, columns]));
            tensors.push((out.clone(), vec![columns, hidden]));
        }
        if let Some(Learned { name, offset }) = &self.learned {
            tensors.push((name.clone(), vec![(self.positions + offset) as u64, hidden]));
        }
        if let Some(norm) = &self.final_norm {
            tensors.extend(self.norm_suffixes().iter().map(|suffix| (format!("{norm}.{suffix}"), vec![hidden])));
        }
        tensors.extend(self.head.iter().map(|head| (head.clone(), vec![vocabulary, columns])));
        tensors.extend(self.head_bias.iter().map(|bias| (bias.clone(), vec![vocabulary])));
        tensors
    }

    /// The names and shapes of all tensors.
    pub fn tensors(&self) -> IndexMap<String, Vec<u64>> {
        (0..self.layers).flat_map(|layer| self.block_tensors(layer)).chain(self.outer_tensors()).collect()
    }

    /// Fails unless every tensor is there, in the right shape and in a number format that can be
    /// read.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::WrongShape`], [`Error::UnsupportedDtype`].
    pub fn check(&self, checkpoint: &Checkpoint) -> Result<()> {
        self.tensors().iter().try_for_each(|(name, shape)| check_tensor(checkpoint, name, shape))
    }

    /// The description of a model of some of the blocks, in this order.
    pub fn with_blocks(&self, blocks: &[usize]) -> Self {
        let options = blocks.iter().filter_map(|layer| self.layer_options.get(*layer).copied());
        Self { layers: blocks.len(), layer_options: options.collect(), ..self.clone() }
    }
}

fn check_tensor(checkpoint: &Checkpoint, name: &str, shape: &[u64]) -> Result<()> {
    let tensor = checkpoint.tensor(name)?;
    if tensor.shape != shape {
        return Err(Error::WrongShape { tensor: name.into(), found: tensor.shape.clone(), expected: shape.into() });
    }
    readable_dtype(name, tensor).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_shared_tensor() {
        let whole = Projection::new(Role::Query, "q", [6, 4], true, Role::AttentionNorm);
        assert_eq!(whole.runs().collect::<Vec<_>>(), [(0, 6)]);
        assert_eq!(whole.part(18, 12, 6, 6).runs().collect::<Vec<_>>(), [(12, 6)]);
        // Keys of three heads of two channels each, query, key and value of a head side by side.
        assert_eq!(whole.part(18, 2, 2, 6).runs().collect::<Vec<_>>(), [(2, 2), (8, 2), (14, 2)]);
    }
}
