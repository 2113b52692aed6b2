//! A decoder described without naming its family. Must not know `config.json`.

use indexmap::IndexMap;

use super::activation::NeuronActivation;
use super::assume::Assume;
use super::block_kind::BlockKind;
use super::layers::{LayerList, LayerOptions};
use super::role::Role;
use super::rope::Rope;
use super::wrapping::Wrapping;
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

/// The kind of a block that a description does not have.
static NO_TENSORS: BlockKind = BlockKind { norms: Vec::new(), projections: Vec::new() };

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
    /// The model of images and text around it, if there is one.
    pub wrapping: Option<Wrapping>,
    /// The keys of its configuration that count the blocks: the family's own, or synonyms, or both.
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
    /// What its configuration may list for every block.
    pub lists: Vec<LayerList>,
    /// What comes before a block's number.
    pub block_prefix: String,
    /// The kinds of blocks that there are, by what tensors they have. Blocks that differ in their
    /// options only, such as local and global ones, are of one kind.
    pub kinds: Vec<BlockKind>,
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
            wrapping: None,
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
            kinds: Vec::new(),
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

    /// The first kind of block: in most families the only one.
    pub fn block(&self) -> &BlockKind {
        self.kinds.first().unwrap_or(&NO_TENSORS)
    }

    /// The kind of a block with these options.
    pub fn kind(&self, options: &LayerOptions) -> &BlockKind {
        self.kinds.get(options.block).unwrap_or(&NO_TENSORS)
    }

    /// The kind of block `layer`.
    pub fn kind_of(&self, layer: usize) -> &BlockKind {
        self.layer_options.get(layer).map_or(self.block(), |options| self.kind(options))
    }

    /// A number for each block, the same for those of the same kind.
    pub fn block_kinds(&self) -> Vec<usize> {
        let first = |kind: &BlockKind| self.kinds.iter().position(|found| found == kind).unwrap_or(0);
        (0..self.layers).map(|layer| first(self.kind_of(layer))).collect()
    }

    /// In what the tensors of two blocks differ, in words, where the blocks are of different kinds:
    /// such a pair has no average and no concatenation.
    pub fn difference(&self, one: usize, other: usize) -> Option<String> {
        if self.kind_of(one) == self.kind_of(other) {
            return None;
        }
        let own = |layer: usize| {
            let prefix = format!("{}.{layer}.", self.block_prefix);
            let named = self.block_tensors(layer).into_iter();
            named.map(move |(name, shape)| (name.strip_prefix(&prefix).unwrap_or(&name).to_string(), shape))
        };
        let shapes = [own(one).collect::<IndexMap<_, _>>(), own(other).collect()];
        let names = shapes.iter().flat_map(IndexMap::keys);
        let differ = names.into_iter().find_map(|name| match (shapes[0].get(name), shapes[1].get(name)) {
            (Some(a), Some(b)) => {
                (a != b).then(|| format!("{name} is {a:?} in block {one} and {b:?} in block {other}"))
            }
            (Some(_), None) => Some(format!("block {one} has {name}, block {other} has not")),
            _ => Some(format!("block {other} has {name}, block {one} has not")),
        });
        Some(differ.unwrap_or_else(|| format!("blocks {one} and {other} use their tensors differently")))
    }

    /// What the user should know of a model whose blocks are of several kinds.
    pub fn note_on_kinds(&self) -> Option<String> {
        let difference = (1..self.layers).find_map(|layer| self.difference(layer - 1, layer))?;
        Some(format!(
            "The blocks are of {} kinds, with different tensors ({difference}): only neighbours of one kind are averaged or concatenated, others can be dropped.",
            self.kinds.len()
        ))
    }

    /// The name of the weights of a projection of block `layer`.
    ///
    /// # Errors
    /// As [`BlockKind::projection`].
    pub fn weight_of(&self, layer: usize, role: Role) -> Result<String> {
        Ok(self.block_tensor(layer, self.kind_of(layer).projection(role)?.name, "weight"))
    }

    /// Inner channels of the widest MLP of all blocks.
    pub fn neurons(&self) -> usize {
        self.kinds.iter().map(BlockKind::neurons).max().unwrap_or(0)
    }

    /// Whether attention, MLP and head read the stream through a norm, which does not see a common
    /// factor of all channels.
    pub fn reads_through_norms(&self) -> bool {
        let writes = |role: Role| [Role::Output, Role::Down].contains(&role);
        let mut projections = self.kinds.iter().flat_map(|kind| &kind.projections);
        self.final_norm.is_some() && projections.all(|p| writes(p.role) || p.reads.is_some())
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

    /// The names and shapes of all tensors of block `layer`.
    pub fn block_tensors(&self, layer: usize) -> Vec<(String, Vec<u64>)> {
        let kind = self.kind_of(layer);
        let norms = kind.norms.iter().flat_map(|norm| {
            let suffixes = self.norm_suffixes().iter();
            suffixes.map(move |suffix| (self.block_tensor(layer, norm.name, suffix), vec![norm.size as u64]))
        });
        let projections = kind.stored_projections().flat_map(|p| {
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
        // Block by block: of those that a configuration counts, most may not be there.
        let blocks = (0..self.layers).flat_map(|layer| self.block_tensors(layer));
        blocks.chain(self.outer_tensors()).try_for_each(|(name, shape)| check_tensor(checkpoint, &name, &shape))
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
