//! One tensor of a merged model: which original tensors it is made of, what is folded into them,
//! and what a repair does to the result.

use super::change::ParentDistance;
use super::gather::{Gather, gather_of};
use super::parts::{Kind, Part, Repaired};
use super::weighted_sum::{Blend, CHUNK_VALUES, Fold, Parent, product, repaired_columns, repaired_rows};
use crate::architecture::{Description, Projection, Role};
use crate::checkpoint::read::{read_values, readable_dtype};
use crate::checkpoint::tensor_writer::TensorWriter;
use crate::checkpoint::{Checkpoint, StoredTensor};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::merge::choices::Norms;
use crate::merge::combine::ChannelOrigins;
use crate::merge::state::{Fitted, RepairMap, Survivor};
use crate::platform::off_heap::Meter;
use crate::task::Task;

/// Merges one tensor.
pub(super) struct Merger<'a> {
    pub(super) input: &'a Checkpoint,
    pub(super) description: &'a Description,
    pub(super) survivor: &'a Survivor,
    /// Where the survivor stands in the merged model.
    pub(super) index: usize,
    pub(super) part: &'a Part,
    pub(super) norms: Norms,
    /// What is written to the stream is divided by this: the product of the scales of the gaps
    /// before it.
    pub(super) scale: f64,
    pub(super) meter: &'a Meter,
}

impl Merger<'_> {
    /// The original block whose tensor is taken as it is; none where a new one must be computed.
    pub(super) fn source_layer(&self) -> Option<usize> {
        if self.repair().is_some() || self.fitted().is_some() || self.divides() {
            return None;
        }
        match &self.terms()[..] {
            [(layer, weight)] if *weight == 1.0 && self.query_factor(*layer).is_none() => Some(*layer),
            _ => None,
        }
    }

    /// What the queries in this part are multiplied by, so that the scores of block `layer` stay
    /// what they are in its new place.
    fn query_factor(&self, layer: usize) -> Option<(Projection, f32)> {
        let scale = |layer| self.description.attention_scale_of(layer);
        self.part
            .queries
            .map(|queries| (queries, scale(layer) / scale(self.index)))
            .filter(|(_, factor)| *factor != 1.0)
    }

    /// The repair that changes this part, if any.
    fn repair(&self) -> Option<&RepairMap> {
        self.survivor.repair.as_deref().filter(|_| self.part.repaired != Repaired::Not)
    }

    /// The weights that this part has in place of those that the parents give, if it was fitted
    /// anew.
    fn fitted(&self) -> Option<&Fitted> {
        let is_matrix = matches!(self.part.kind, Kind::Matrix(_));
        self.survivor.fitted.iter().find(|fitted| is_matrix && fitted.role == self.part.role).map(|fitted| &**fitted)
    }

    /// Whether a scale before it changes this part.
    fn divides(&self) -> bool {
        self.part.writes && self.scale != 1.0
    }

    /// The blocks that go into this part, with their weights.
    fn terms(&self) -> Vec<(usize, f64)> {
        let own = || vec![(self.survivor.layer, 1.0)];
        let terms = &self.survivor.terms;
        match (self.part.kind, &self.survivor.origins) {
            (Kind::Norm(_), _) if self.norms == Norms::Keep => own(),
            // What the blocks that gave parts add to the stream, they add together.
            (Kind::Bias(_), Some(origins)) if [Role::Output, Role::Down].contains(&self.part.role) => {
                let parts = if self.part.role == Role::Down { &origins.neurons } else { &origins.heads };
                let gave = |layer: &usize| parts.iter().any(|(from, _)| from == layer);
                terms.iter().filter(|(layer, _)| gave(layer)).map(|(layer, _)| (*layer, 1.0)).collect()
            }
            // A norm that stays one of its own goes with what it stands beside.
            (Kind::Norm(None), Some(origins)) => {
                ChannelOrigins::shares_of(if self.part.role.is_of_mlp() { &origins.neurons } else { &origins.heads })
            }
            (Kind::Bias(_), None) if self.norms == Norms::Keep => own(),
            _ => terms.clone(),
        }
    }

    /// The new tensor, and how far its parents are from it.
    pub(super) async fn merge(
        &self,
        name: &str,
        place: &StoredTensor,
        task: &Task,
    ) -> Result<(StoredTensor, Vec<ParentDistance>)> {
        let dtype = readable_dtype(name, place)?;
        let mut out = TensorWriter::new(name, place.bytes, self.meter)?;
        let parents = match self.part.kind {
            Kind::Norm(Some(folded)) if self.folds() => {
                let mut bytes = Vec::new();
                dtype.encode(&vec![folded; place.bytes as usize / dtype.size()], &mut bytes);
                out.push(&bytes)?;
                Vec::new()
            }
            _ => self.blend(name, place, dtype, &mut out, task).await?,
        };
        Ok((StoredTensor { source: out.finish()?, start: 0, ..place.clone() }, parents))
    }

    /// Writes what the parents give together, repaired where the gap was.
    async fn blend(
        &self,
        name: &str,
        place: &StoredTensor,
        dtype: Dtype,
        out: &mut TensorWriter,
        task: &Task,
    ) -> Result<Vec<ParentDistance>> {
        let rows = place.shape.first().copied().unwrap_or(1).max(1) as usize;
        let columns = place.bytes as usize / dtype.size() / rows;
        let rows_at_once = (CHUNK_VALUES / columns.max(1)).clamp(1, rows);
        let mut blend = self.sources(columns).await?;
        for first in (0..rows).step_by(rows_at_once) {
            let count = rows_at_once.min(rows - first);
            let mut total = match self.repair() {
                _ if self.fitted().is_some() => self.fitted_rows(dtype, columns, first, count)?,
                Some(map) if self.part.repaired == Repaired::Mapped && self.part.transposed => {
                    repaired_columns(&blend.rows(first, count).await?, map, columns)
                }
                Some(map) if self.part.repaired == Repaired::Mapped => {
                    repaired_rows(&blend, map, (rows, columns), first, count, task).await?
                }
                _ => blend.rows(first, count).await?,
            };
            self.settle(&mut total, first);
            if !total.iter().all(|value| value.is_finite()) {
                let what = format!("the merged tensor {name}");
                return Err(Error::NotFinite { what, found: "a value is out of range".into() });
            }
            let mut bytes = Vec::new();
            dtype.encode(&total, &mut bytes);
            dtype.decode(&bytes, &mut total);
            out.push(&bytes)?;
            blend.measure(&total, first, count).await?;
            task.check()?;
        }
        // A single block that only moved is no proof of a merge.
        let merged = blend.parents.len() > 1 || self.source_layer().is_none();
        Ok(blend.parents.iter().filter(|_| merged).map(Parent::distance).collect())
    }

    /// Rows of what was fitted anew.
    fn fitted_rows(&self, dtype: Dtype, columns: usize, first: usize, count: usize) -> Result<Vec<f32>> {
        let row = columns * dtype.size();
        let mut bytes = vec![0; count * row];
        let Some(fitted) = self.fitted().filter(|fitted| fitted.weights.len() >= (first + count) * row) else {
            let reason = "a projection that was fitted anew is smaller than the one of this model";
            return Err(Error::argument("repair", reason));
        };
        fitted.weights.read(first * row, &mut bytes);
        let mut values = vec![0.0; count * columns];
        dtype.decode(&bytes, &mut values);
        Ok(values)
    }

    /// What is left to do to values from row `first` on: the diagonal of a repair after a norm,
    /// and the scales before it.
    fn settle(&self, values: &mut [f32], first: usize) {
        let gain = matches!(self.part.kind, Kind::Norm(_)) && self.part.suffix == "weight";
        let offset = if gain { f64::from(self.description.gain_offset) } else { 0.0 };
        let change = |value: &mut f32, factor: f64| *value = ((f64::from(*value) + offset) * factor - offset) as f32;
        if let Some(map) = self.repair().filter(|_| self.part.repaired == Repaired::Scaled) {
            let mut diagonal = vec![0.0f32; values.len()];
            map.values.read(first * 4, bytemuck::cast_slice_mut(&mut diagonal));
            values.iter_mut().zip(&diagonal).for_each(|(value, factor)| change(value, f64::from(*factor)));
        }
        if self.divides() {
            values.iter_mut().for_each(|value| change(value, 1.0 / self.scale));
        }
    }

    /// The parents of this part, and how they are put together.
    async fn sources(&self, columns: usize) -> Result<Blend<'_>> {
        let mut parents = Vec::new();
        for (layer, weight) in self.terms() {
            let tensor_name = self.description.block_tensor(layer, self.part.name, self.part.suffix);
            let tensor = self.input.tensor(&tensor_name)?;
            let fold = self.fold(layer).await?;
            let queries = self.query_factor(layer);
            let (difference, size) = (0.0, 0.0);
            parents.push(Parent { layer, weight, tensor, tensor_name, columns, fold, queries, difference, size });
        }
        let layers: Vec<usize> = parents.iter().map(|parent| parent.layer).collect();
        let gather = match &self.survivor.origins {
            Some(origins) if layers.len() > 1 => gather_of(self.description, self.part, origins, &layers),
            _ => Gather::Nothing,
        };
        Ok(Blend { parents, gather, columns })
    }

    /// Whether norms are folded into this block at all: only where several are averaged.
    fn folds(&self) -> bool {
        self.norms == Norms::Fold && self.survivor.terms.len() > 1
    }

    /// What is folded into this part of block `layer`.
    async fn fold(&self, layer: usize) -> Result<Fold> {
        let read = async |name: &str, suffix: &str| {
            let name = self.description.block_tensor(layer, name, suffix);
            let tensor = self.input.tensor(&name)?;
            read_values(&name, tensor, 0, tensor.bytes as usize).await
        };
        match self.part.kind {
            _ if !self.folds() => Ok(Fold::Nothing),
            Kind::Matrix(Some(folded)) => {
                let mut gain = read(folded.norm, "weight").await?;
                gain.iter_mut().for_each(|g| *g += folded.offset);
                Ok(Fold::Gain { gain, transposed: folded.transposed })
            }
            Kind::Bias(Some(folded)) => {
                let shift = read(folded.norm, "bias").await?;
                let name = self.description.block_tensor(layer, self.part.name, "weight");
                product(&name, self.input.tensor(&name)?, folded, &shift).await.map(Fold::Shift)
            }
            _ => Ok(Fold::Nothing),
        }
    }
}
