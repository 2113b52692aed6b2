//! One decoder block on an engine: attention and MLP as its description says, in slices short
//! enough to be cancelled between.

use std::rc::Rc;

use super::norm::NormWeights;
use super::weights::WeightStore;
use crate::architecture::{Description, LayerOptions, NeuronActivation, Role};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::read::read_values;
use crate::compute::sliced::product;
use crate::compute::{Activation, Attention, Compute, Matrix, RotatedHeads, Tensor};
use crate::error::{Error, Result};
use crate::task::Task;

/// A projection with its weights: `x weight^T + bias`.
pub struct Linear {
    /// `[outputs, inputs]`.
    pub weight: Rc<Matrix>,
    /// `[1, outputs]`.
    pub bias: Option<Rc<Tensor>>,
}

/// The weights of a block on an engine.
pub struct Block {
    options: LayerOptions,
    /// Factor of the scores.
    scale: f32,
    /// Non-linearity of its neurons.
    activation: Activation,
    norms: Vec<(Role, NormWeights)>,
    linears: Vec<(Role, Linear)>,
    /// True when all its matrices are zero, so that it passes the stream on.
    pub empty: bool,
}

/// What the parts of a block give on `tokens` rows of its input, on the engine.
pub struct Parts {
    /// The heads, before the output projection: `[tokens, heads * head_size]`.
    pub attended: Tensor,
    /// The post-attention stream, `[tokens, hidden]`.
    pub stream: Tensor,
    /// The neurons, before the down projection: `[tokens, neurons]`.
    pub inner: Tensor,
    /// What the MLP adds to the stream, `[tokens, hidden]`: the sum of the two is the block's
    /// output.
    pub added: Tensor,
}

/// Keys and values of the positions that one layer has seen: `[capacity, kv_heads * head_size]`
/// each.
pub struct LayerCache {
    keys: Tensor,
    values: Tensor,
}

/// Which positions the rows of a stream stand for.
#[derive(Debug, Clone, Copy)]
pub struct Positions {
    /// Sequences that lie one after the other.
    pub sequences: usize,
    /// Rows of each.
    pub length: usize,
    /// Positions before the first row, all of them in the cache.
    pub past: usize,
}

/// What a pass through blocks needs beside their weights.
pub struct Pass<'a> {
    /// Where it computes.
    pub engine: &'a dyn Compute,
    /// The shapes of the model.
    pub description: &'a Description,
    /// The rotation tables, long enough for all positions.
    pub ropes: &'a [Tensor],
    /// Whom to ask whether to go on.
    pub task: &'a Task,
}

impl LayerCache {
    /// An empty cache for `capacity` positions.
    ///
    /// # Errors
    /// What the engine's allocation fails with.
    pub fn new(engine: &dyn Compute, description: &Description, capacity: usize) -> Result<Self> {
        let columns = description.kv_heads * description.head_size;
        Ok(Self { keys: engine.zeros(capacity, columns)?, values: engine.zeros(capacity, columns)? })
    }
}

impl Block {
    /// Loads block `layer`.
    ///
    /// # Errors
    /// What reading, checking and uploading fail with.
    pub async fn load(
        weights: &WeightStore,
        checkpoint: &Checkpoint,
        description: &Description,
        layer: usize,
    ) -> Result<Self> {
        let mut norms = Vec::new();
        let kind = description.kind_of(layer);
        for norm in &kind.norms {
            let name = format!("{}.{layer}.{}", description.block_prefix, norm.name);
            norms.push((norm.role, NormWeights::load(weights, checkpoint, description, &name).await?));
        }
        let mut linears = Vec::new();
        let (mut zeros, mut some) = (None, false);
        for projection in &kind.projections {
            let name = description.block_tensor(layer, projection.name, "weight");
            let loaded = weights.projection(&name, checkpoint.tensor(&name)?, projection).await?;
            match loaded.zeros {
                true => zeros = Some(name.clone()),
                false => some = true,
            }
            let weight = loaded.matrix;
            let mut bias = None;
            if projection.bias {
                let name = description.block_tensor(layer, projection.name, "bias");
                bias = Some(weights.part_of_vector(&name, checkpoint.tensor(&name)?, projection.runs(), 0.0).await?);
            }
            linears.push((projection.role, Linear { weight, bias }));
        }
        // A block of zeros is one that somebody emptied; a single matrix of zeros is a download
        // that stopped half-way.
        if let Some(name) = zeros.as_ref().filter(|_| some) {
            let found = "all its values are zero, others of its block are not".into();
            return Err(Error::NotFinite { what: format!("the tensor {name}"), found });
        }
        let options = description.layer_options.get(layer).copied().unwrap_or(LayerOptions::GLOBAL);
        let activation = match description.activation {
            NeuronActivation::Fixed(activation) => activation,
            NeuronActivation::Learned(name) => learned(checkpoint, description, layer, name).await?,
        };
        let scale = description.attention_scale_of(layer);
        Ok(Self { options, scale, activation, norms, linears, empty: zeros.is_some() })
    }

    /// Runs the stream x `[sequences * length, hidden]` through the block, in place.
    ///
    /// With a cache there is one sequence, whose earlier keys and values are in it; the new ones
    /// are added.
    ///
    /// # Errors
    /// [`Error::Cancelled`], or what the engine fails with.
    pub async fn run(
        &self,
        pass: &Pass<'_>,
        x: &mut Tensor,
        positions: Positions,
        cache: Option<&mut LayerCache>,
    ) -> Result<()> {
        let [_, _, added] = self.compute(pass, x, positions, cache).await?;
        pass.engine.add(x, 1.0, &added)
    }

    /// As [`Block::run`], and returns the post-attention stream on the way. Where a norm stands
    /// after the sums of the stream, that is lost.
    ///
    /// # Errors
    /// As [`Block::run`].
    pub async fn run_traced(&self, pass: &Pass<'_>, x: &mut Tensor, positions: Positions) -> Result<Tensor> {
        let [_, _, added] = self.compute(pass, x, positions, None).await?;
        let stream = pass.engine.copy_to_engine(x)?;
        pass.engine.add(x, 1.0, &added)?;
        Ok(stream)
    }

    /// What the parts of the block give on the stream x.
    ///
    /// # Errors
    /// As [`Block::run`].
    pub async fn parts(&self, pass: &Pass<'_>, mut x: Tensor, positions: Positions) -> Result<Parts> {
        let [attended, inner, added] = self.compute(pass, &mut x, positions, None).await?;
        Ok(Parts { attended, stream: x, inner, added })
    }

    /// What the heads give on the stream x.
    ///
    /// # Errors
    /// As [`Block::run`].
    pub async fn heads(&self, pass: &Pass<'_>, x: &Tensor, positions: Positions) -> Result<Tensor> {
        self.attended(pass, x, positions, None).await
    }

    /// Adds to the stream x what the MLP makes of what its neurons give.
    ///
    /// # Errors
    /// As [`Block::run`].
    pub async fn add_inner(&self, pass: &Pass<'_>, x: &mut Tensor, inner: &Tensor) -> Result<()> {
        let added = self.added(pass, x, inner).await?;
        pass.engine.add(x, 1.0, &added)
    }

    /// [`Block::run`] without its last sum: x becomes the post-attention stream; returns what the
    /// heads and the neurons give, and what the MLP adds to the stream. Where the stream itself
    /// goes through a norm after that sum, x becomes 0, and the norm's output is returned.
    async fn compute(
        &self,
        pass: &Pass<'_>,
        x: &mut Tensor,
        positions: Positions,
        cache: Option<&mut LayerCache>,
    ) -> Result<[Tensor; 3]> {
        // Side by side both read the stream as it comes; one after the other the MLP reads what
        // attention has made of it.
        let beside = if pass.description.parallel { Some(self.inner(pass, x).await?) } else { None };
        let attended = self.attended(pass, x, positions, cache).await?;
        self.add_attended(pass, x, &attended).await?;
        let inner = match beside {
            Some(inner) => inner,
            None => self.inner(pass, x).await?,
        };
        let added = self.added(pass, x, &inner).await?;
        Ok([attended, inner, added])
    }

    /// What is to be added to the stream x for what the neurons give; where the stream itself goes
    /// through a norm after that sum, x becomes 0.
    async fn added(&self, pass: &Pass<'_>, x: &mut Tensor, inner: &Tensor) -> Result<Tensor> {
        let added = self.project(pass, Role::Down, inner).await?;
        let added = self.normed(pass, Role::MlpPostNorm, added)?;
        let added = scaled(pass.engine, added, pass.description.residual_scale)?;
        if !self.norms.iter().any(|(role, _)| *role == Role::MlpStreamNorm) {
            return Ok(added);
        }
        pass.engine.add(x, 1.0, &added)?;
        let nothing = pass.engine.zeros(x.rows, x.columns)?;
        self.normed(pass, Role::MlpStreamNorm, std::mem::replace(x, nothing))
    }

    /// Adds what the heads give, `[n, heads * head_size]`, to the stream x.
    ///
    /// # Errors
    /// As [`Block::run`].
    pub async fn add_attended(&self, pass: &Pass<'_>, x: &mut Tensor, attended: &Tensor) -> Result<()> {
        let added = self.project(pass, Role::Output, attended).await?;
        let added = self.normed(pass, Role::AttentionPostNorm, added)?;
        pass.engine.add(x, pass.description.residual_scale, &added)?;
        if self.norms.iter().any(|(role, _)| *role == Role::AttentionStreamNorm) {
            let summed = std::mem::replace(x, pass.engine.zeros(0, 0)?);
            *x = self.normed(pass, Role::AttentionStreamNorm, summed)?;
        }
        Ok(())
    }

    /// What the heads give on the stream x, before the output projection.
    async fn attended(
        &self,
        pass: &Pass<'_>,
        x: &Tensor,
        positions: Positions,
        cache: Option<&mut LayerCache>,
    ) -> Result<Tensor> {
        let (engine, d) = (pass.engine, pass.description);
        let normed = self.input_of(pass, Role::Query, x)?;
        let input = normed.as_ref().unwrap_or(x);
        let mut q = self.project(pass, Role::Query, input).await?;
        let mut k = self.project(pass, Role::Key, input).await?;
        let v = self.project(pass, Role::Value, input).await?;
        if !d.normed_after_rotation {
            (q, k) = (self.normed(pass, Role::QueryNorm, q)?, self.normed(pass, Role::KeyNorm, k)?);
        }
        if let Some(rope) = self.options.rope.and_then(|rope| pass.ropes.get(rope)) {
            let heads = RotatedHeads { size: d.head_size, pairs: d.pairs };
            engine.rotate(&mut q, heads, rope, positions.past, positions.length)?;
            engine.rotate(&mut k, heads, rope, positions.past, positions.length)?;
        }
        if d.normed_after_rotation {
            (q, k) = (self.normed(pass, Role::QueryNorm, q)?, self.normed(pass, Role::KeyNorm, k)?);
        }
        match cache {
            None => self.attention(pass, [&q, &k, &v], positions).await,
            Some(cache) => {
                engine.copy_rows(&mut cache.keys, positions.past, &k)?;
                engine.copy_rows(&mut cache.values, positions.past, &v)?;
                self.attention(pass, [&q, &cache.keys, &cache.values], positions).await
            }
        }
    }

    /// The inner activations of the MLP `[n, neurons]` on the stream x.
    pub async fn inner(&self, pass: &Pass<'_>, x: &Tensor) -> Result<Tensor> {
        let (engine, activation) = (pass.engine, self.activation);
        let normed = self.input_of(pass, Role::Up, x)?;
        let input = normed.as_ref().unwrap_or(x);
        let up = self.project(pass, Role::Up, input).await?;
        match self.linears.iter().any(|(role, _)| *role == Role::Gate) {
            true => {
                let mut gate = self.project(pass, Role::Gate, input).await?;
                engine.gated(&mut gate, &up, activation)?;
                Ok(gate)
            }
            false => {
                let mut inner = up;
                engine.activate(&mut inner, activation)?;
                Ok(inner)
            }
        }
    }

    /// The stream as the projection `role` reads it: normalised, or none where it reads the stream
    /// itself.
    ///
    /// # Errors
    /// What the engine fails with.
    pub fn input_of(&self, pass: &Pass<'_>, role: Role, x: &Tensor) -> Result<Option<Tensor>> {
        let projection = pass.description.kind(&self.options).projection(role)?;
        let Some(norm) = projection.reads else {
            return Ok(None);
        };
        let (_, weights) = self.norms.iter().find(|(r, _)| *r == norm).ok_or_else(|| missing(norm))?;
        weights.apply(pass.engine, x, pass.description.epsilon).map(Some)
    }

    /// x `[n, channels]` through the norm `role`, in groups of as many channels as that has; as it
    /// is where the block has no such norm.
    fn normed(&self, pass: &Pass<'_>, role: Role, x: Tensor) -> Result<Tensor> {
        let Some((_, weights)) = self.norms.iter().find(|(r, _)| *r == role) else {
            return Ok(x);
        };
        let (rows, columns, size) = (x.rows, x.columns, weights.channels().max(1));
        let groups = x.reshaped(rows * columns / size, size)?;
        weights.apply(pass.engine, &groups, pass.description.epsilon)?.reshaped(rows, columns)
    }

    /// Attention in slices of key-value heads.
    async fn attention(&self, pass: &Pass<'_>, [q, k, v]: [&Tensor; 3], positions: Positions) -> Result<Tensor> {
        let d = pass.description;
        let shape = Attention {
            heads: d.heads,
            kv_heads: d.kv_heads,
            head_size: d.head_size,
            scale: self.scale,
            sequences: positions.sequences,
            past: positions.past,
            window: self.options.window,
            cap: d.attention_cap,
        };
        let mut out = pass.engine.zeros(q.rows, q.columns)?;
        let seen = (positions.past + positions.length) as f64;
        let head_flops = 4.0 * q.rows as f64 * seen * (d.head_size * d.heads / d.kv_heads) as f64;
        let slice = ((pass.engine.info().slice_flops / head_flops.max(1.0)) as usize).clamp(1, d.kv_heads);
        for first in (0..d.kv_heads).step_by(slice) {
            pass.engine.attention(q, k, v, &shape, first..(first + slice).min(d.kv_heads), &mut out)?;
            pass.engine.yield_now().await?;
            pass.task.check()?;
        }
        Ok(out)
    }

    async fn project(&self, pass: &Pass<'_>, role: Role, x: &Tensor) -> Result<Tensor> {
        let (_, linear) = self.linears.iter().find(|(r, _)| *r == role).ok_or_else(|| missing(role))?;
        product(pass.engine, pass.task, x, &linear.weight, linear.bias.as_deref()).await
    }
}

/// The activation whose numbers block `layer` has learned, in the tensors `name`.
async fn learned(checkpoint: &Checkpoint, description: &Description, layer: usize, name: &str) -> Result<Activation> {
    let mut numbers = [0.0; 4];
    for (number, (suffix, _)) in numbers.iter_mut().zip(NeuronActivation::LEARNED) {
        let name = description.block_tensor(layer, name, suffix);
        let tensor = checkpoint.tensor(&name)?;
        *number = read_values(&name, tensor, 0, tensor.bytes as usize).await?.first().copied().unwrap_or(0.0);
    }
    let [p, n, beta, eps] = numbers;
    // log(1 + exp(x)), with which transformers keeps both positive.
    let softplus = |x: f32| if x > 20.0 { x } else { x.exp().ln_1p() };
    Ok(Activation::Xielu { p: softplus(p), n: beta + softplus(n), beta, eps })
}

/// A tensor times a number.
///
/// # Errors
/// What the engine fails with.
pub fn scaled(engine: &dyn Compute, x: Tensor, factor: f32) -> Result<Tensor> {
    if factor == 1.0 {
        return Ok(x);
    }
    let mut out = engine.zeros(x.rows, x.columns)?;
    engine.add(&mut out, factor, &x)?;
    Ok(out)
}

fn missing(role: Role) -> Error {
    Error::MissingTensor { tensor: format!("{role:?} of a block") }
}
