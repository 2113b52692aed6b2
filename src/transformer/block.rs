//! One decoder block on an engine: pre-norm attention and MLP, in slices short enough to be cancelled between.

use std::rc::Rc;

use super::weights::WeightStore;
use crate::architecture::{Description, Role};
use crate::checkpoint::Checkpoint;
use crate::compute::{Attention, Compute, Matrix, Tensor};
use crate::error::{Error, Result};
use crate::task::Task;

/// A projection with its weights.
pub struct Linear {
    weight: Rc<Matrix>,
    bias: Option<Rc<Tensor>>,
}

/// The weights of a block on an engine.
pub struct Block {
    norms: Vec<(Role, Rc<Tensor>)>,
    linears: Vec<(Role, Linear)>,
}

/// Keys and values of the positions that one layer has seen: `[capacity, kv_heads * head_size]` each.
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
    /// Positions in front of the first row, all of them in the cache.
    pub past: usize,
}

/// What a pass through blocks needs beside their weights.
pub struct Pass<'a> {
    /// Where it computes.
    pub engine: &'a dyn Compute,
    /// The shapes of the model.
    pub description: &'a Description,
    /// The rotation table, long enough for all positions.
    pub rope: &'a Tensor,
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
        for norm in &description.norms {
            let name = description.block_tensor(layer, norm.name, "weight");
            norms.push((norm.role, weights.vector(&name, checkpoint.tensor(&name)?).await?));
        }
        let mut linears = Vec::new();
        for projection in &description.projections {
            let name = description.block_tensor(layer, projection.name, "weight");
            let weight = weights.matrix(&name, checkpoint.tensor(&name)?, 0..projection.rows, true).await?;
            let mut bias = None;
            if projection.bias {
                let name = description.block_tensor(layer, projection.name, "bias");
                bias = Some(weights.vector(&name, checkpoint.tensor(&name)?).await?);
            }
            linears.push((projection.role, Linear { weight, bias }));
        }
        Ok(Self { norms, linears })
    }

    /// Runs the stream x `[sequences * length, hidden]` through the block, in place.
    ///
    /// With a cache there is one sequence, whose earlier keys and values are in it; the new ones are added.
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
        self.attend(pass, x, positions, cache).await?;
        let added = self.mlp(pass, x).await?;
        pass.engine.add(x, &added)
    }

    /// The attention half of [`Block::run`]: x becomes the post-attention stream.
    ///
    /// # Errors
    /// As [`Block::run`].
    pub async fn attend(
        &self,
        pass: &Pass<'_>,
        x: &mut Tensor,
        positions: Positions,
        cache: Option<&mut LayerCache>,
    ) -> Result<()> {
        let (engine, d) = (pass.engine, pass.description);
        let normed = engine.rms_norm(x, self.norm(Role::AttentionNorm)?, d.epsilon)?;
        let mut q = self.project(pass, Role::Query, &normed).await?;
        let mut k = self.project(pass, Role::Key, &normed).await?;
        let v = self.project(pass, Role::Value, &normed).await?;
        engine.rotate(&mut q, d.head_size, pass.rope, positions.past, positions.length)?;
        engine.rotate(&mut k, d.head_size, pass.rope, positions.past, positions.length)?;
        let attended = match cache {
            None => attention(pass, &q, &k, &v, positions).await?,
            Some(cache) => {
                engine.copy_rows(&mut cache.keys, positions.past, &k)?;
                engine.copy_rows(&mut cache.values, positions.past, &v)?;
                attention(pass, &q, &cache.keys, &cache.values, positions).await?
            }
        };
        engine.add(x, &self.project(pass, Role::Output, &attended).await?)
    }

    /// What the MLP adds to the post-attention stream x `[n, hidden]`.
    ///
    /// # Errors
    /// As [`Block::run`].
    pub async fn mlp(&self, pass: &Pass<'_>, x: &Tensor) -> Result<Tensor> {
        let (engine, d) = (pass.engine, pass.description);
        let normed = engine.rms_norm(x, self.norm(Role::MlpNorm)?, d.epsilon)?;
        let mut gate = self.project(pass, Role::Gate, &normed).await?;
        let up = self.project(pass, Role::Up, &normed).await?;
        engine.gated(&mut gate, &up, d.activation)?;
        self.project(pass, Role::Down, &gate).await
    }

    fn norm(&self, role: Role) -> Result<&Tensor> {
        let found = self.norms.iter().find(|(r, _)| *r == role);
        found.map(|(_, gain)| gain.as_ref()).ok_or_else(|| missing(role))
    }

    async fn project(&self, pass: &Pass<'_>, role: Role, x: &Tensor) -> Result<Tensor> {
        let (_, linear) = self.linears.iter().find(|(r, _)| *r == role).ok_or_else(|| missing(role))?;
        product(pass.engine, pass.task, x, &linear.weight, linear.bias.as_deref()).await
    }
}

fn missing(role: Role) -> Error {
    Error::MissingTensor { tensor: format!("{role:?} of a block") }
}

/// `x w^T + bias` in slices of the weights' rows, with a breath after each.
///
/// # Errors
/// [`Error::Cancelled`], or what the engine fails with.
pub async fn product(
    engine: &dyn Compute,
    task: &Task,
    x: &Tensor,
    w: &Matrix,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let mut out = engine.zeros(x.rows, w.rows)?;
    let row_flops = 2.0 * x.rows as f64 * w.columns as f64;
    let slice = ((engine.info().slice_flops / row_flops.max(1.0)) as usize).max(1);
    for first in (0..w.rows).step_by(slice) {
        engine.matmul(x, w, first..(first + slice).min(w.rows), bias, &mut out)?;
        engine.pace().await?;
        task.check()?;
    }
    Ok(out)
}

/// Attention in slices of key-value heads.
async fn attention(pass: &Pass<'_>, q: &Tensor, k: &Tensor, v: &Tensor, positions: Positions) -> Result<Tensor> {
    let d = pass.description;
    let shape = Attention {
        heads: d.heads,
        kv_heads: d.kv_heads,
        head_size: d.head_size,
        scale: (d.head_size as f32).sqrt().recip(),
        sequences: positions.sequences,
        past: positions.past,
    };
    let mut out = pass.engine.zeros(q.rows, q.columns)?;
    let seen = (positions.past + positions.length) as f64;
    let head_flops = 4.0 * q.rows as f64 * seen * (d.head_size * d.heads / d.kv_heads) as f64;
    let slice = ((pass.engine.info().slice_flops / head_flops.max(1.0)) as usize).clamp(1, d.kv_heads);
    for first in (0..d.kv_heads).step_by(slice) {
        pass.engine.attention(q, k, v, &shape, first..(first + slice).min(d.kv_heads), &mut out)?;
        pass.engine.pace().await?;
        pass.task.check()?;
    }
    Ok(out)
}
