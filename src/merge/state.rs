//! The state of a merge: of which original blocks each block of the merged model is made, and what
//! repaired the gap after it. Must not know how pairs are chosen, nor values of tensors.

use std::rc::Rc;

use super::choices::Norms;
use super::combine::{ChannelOrigins, ChannelSelection, Source};
use crate::architecture::{BlockKind, Description, Role};
use crate::checkpoint::content_hash::ContentHash;
use crate::error::{Error, Result};
use crate::platform::off_heap::OffHeapBuffer;

/// A block of the merged model: where it stands, and of which original blocks it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Survivor {
    /// The original block whose place it has.
    pub layer: usize,
    /// Original blocks and their weights, in ascending order; a single one of weight 1 is the block
    /// unchanged. Of a concatenated block: the share of its neurons and heads that each has given.
    pub terms: Vec<(usize, f64)>,
    /// Where its neurons and heads come from, if it was concatenated.
    pub origins: Option<Rc<ChannelOrigins>>,
    /// What its down projection, or the norm after it, is multiplied by, if its gap was repaired
    /// by a map.
    pub repair: Option<Rc<RepairMap>>,
    /// Its projections that were fitted anew.
    pub fitted: Vec<Rc<Fitted>>,
    /// By how much the stream grows over the gap after it, if its gap was repaired by a scale; 1
    /// otherwise.
    pub scale: f64,
}

/// The matrix T of a linear repair, in f32: W_down becomes T' W_down. Where a norm stands between
/// the MLP and the stream, T is a diagonal, and the norm's gain g becomes T g.
#[derive(Debug)]
pub struct RepairMap {
    /// The step of the recipe that it belongs to.
    pub step: usize,
    /// T, row-major, in the shape [`RepairMap::shape`].
    pub values: OffHeapBuffer,
}

impl RepairMap {
    /// `[hidden, hidden]`, or `[hidden]` where T is a diagonal, for a gap after a block of this
    /// kind.
    pub fn shape(description: &Description, kind: &BlockKind) -> Vec<usize> {
        vec![description.hidden; if kind.mlp_post_norm().is_some() { 1 } else { 2 }]
    }
}

impl PartialEq for RepairMap {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// A projection that was fitted anew: its weights in the merged model, whatever the block was made
/// of.
#[derive(Debug)]
pub struct Fitted {
    /// Which; of several that share a tensor, the first.
    pub role: Role,
    /// In the element type and the shape that the projection is stored in.
    pub weights: OffHeapBuffer,
}

impl Fitted {
    /// What can be fitted anew.
    pub const ROLES: [Role; 4] = [Role::Output, Role::Gate, Role::Up, Role::Down];
    /// Of these what writes to the stream: all of it is fitted in a block that is fitted.
    pub const WRITE: [Role; 2] = [Role::Output, Role::Down];
}

impl PartialEq for Fitted {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// What one step makes of two blocks.
#[derive(Debug, Clone, PartialEq)]
pub enum Join {
    /// keep = alpha keep + (1 - alpha) removed; 1 drops `removed`.
    Average(f64),
    /// keep = keep + removed - the original block in the place of keep (LaCo, arXiv 2402.11187).
    Difference,
    /// Some neurons and heads of either, as many as a block has (CoMe, arXiv 2510.15304).
    Concatenate(ChannelSelection),
}

/// The blocks that are left, from the first to the last.
#[derive(Debug, Clone, PartialEq)]
pub struct MergeState(Vec<Survivor>);

impl MergeState {
    /// All blocks of a model of `layers` blocks.
    pub fn all(layers: usize) -> Self {
        Self((0..layers).map(Survivor::original).collect())
    }

    /// A model of some of these blocks, those that there are.
    pub fn part(&self, range: std::ops::Range<usize>) -> Self {
        Self(self.0.iter().take(range.end).skip(range.start).cloned().collect())
    }

    /// The blocks, from the first to the last.
    pub fn blocks(&self) -> &[Survivor] {
        &self.0
    }

    /// The original indices of the blocks that are left.
    pub fn layers(&self) -> Vec<usize> {
        self.0.iter().map(|survivor| survivor.layer).collect()
    }

    /// How many of the first blocks are those of the original model, unchanged.
    pub fn untouched(&self) -> usize {
        self.0.iter().enumerate().take_while(|(index, survivor)| **survivor == Survivor::original(*index)).count()
    }

    /// By how much smaller than the original the stream is that block `index` writes to: the
    /// product of the scales of the gaps before it.
    pub fn scale_before(&self, index: usize) -> f64 {
        self.0.iter().take(index).map(|survivor| survivor.scale).product()
    }

    /// The index of the first block that has changed or is followed by a gap; 0 if there is none.
    pub fn first_gap(&self) -> usize {
        let mut next = self.0.iter().skip(1).map(|survivor| survivor.layer);
        let alone = |survivor: &Survivor| survivor.terms == [(survivor.layer, 1.0)] && survivor.origins.is_none();
        let first = self.0.iter().position(|survivor| !alone(survivor) || next.next() != Some(survivor.layer + 1));
        first.unwrap_or(0)
    }

    /// How many of the first blocks are the same in both.
    pub fn common(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).take_while(|(a, b)| a == b).count()
    }

    /// The original block in whose place the survivor at `index` begins; after the last one, the
    /// number of all `layers`.
    pub fn begins(&self, index: usize, layers: usize) -> usize {
        self.0.get(index).map_or(layers, |survivor| survivor.layer)
    }

    /// The index of the survivor that stands for the original block `layer`.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when that block is removed.
    pub fn index_of(&self, layer: usize) -> Result<usize> {
        let index = self.0.iter().position(|survivor| survivor.layer == layer);
        index.ok_or_else(|| Error::argument("pairs", format!("{layer} is gone; left are {:?}", self.layers())))
    }

    /// Records that the stream grows by `scale` over the gap after the survivor at `index`.
    ///
    /// # Errors
    /// [`Error::BadArgument`] unless it is a positive number.
    pub fn set_scale(&mut self, index: usize, scale: f64) -> Result<()> {
        if !(scale.is_finite() && scale > 0.0) {
            return Err(Error::argument("scale", format!("is {scale}, expected a positive number")));
        }
        if let Some(survivor) = self.0.get_mut(index) {
            survivor.scale = scale;
        }
        Ok(())
    }

    /// Records a repair of the survivor at `index`; none takes it away.
    pub fn set_repair(&mut self, index: usize, repair: Option<Rc<RepairMap>>) {
        if let Some(survivor) = self.0.get_mut(index) {
            survivor.repair = repair;
        }
    }

    /// Forgets what repaired the gap after the survivor at `index`.
    pub fn forget_repair(&mut self, index: usize) {
        if let Some(survivor) = self.0.get_mut(index) {
            *survivor = survivor.without_repair();
        }
    }

    /// Records a projection of the survivor at `index` that was fitted anew, in the place of an
    /// earlier one.
    pub fn set_fitted(&mut self, index: usize, fitted: Rc<Fitted>) {
        if let Some(survivor) = self.0.get_mut(index) {
            survivor.fitted.retain(|earlier| earlier.role != fitted.role);
            survivor.fitted.push(fitted);
            survivor.fitted.sort_by_key(|fitted| Fitted::ROLES.iter().position(|role| *role == fitted.role));
        }
    }

    /// What tells the model that these blocks make of the original with the fingerprint `original`
    /// apart from every other: a [`ContentHash`] of each field, in the order below.
    pub fn content_hash(&self, original: &str, norms: Norms) -> String {
        let norms = match norms {
            Norms::Fold => "fold",
            Norms::Keep => "keep",
        };
        let mut hash = ContentHash::new("merge-state/1").text(original).text(norms).number(self.0.len());
        for survivor in &self.0 {
            hash = hash.number(survivor.layer).real(survivor.scale).number(survivor.terms.len());
            for (layer, weight) in &survivor.terms {
                hash = hash.number(*layer).real(*weight);
            }
            let channels = survivor.origins.iter().flat_map(|origins| [&origins.neurons, &origins.heads]);
            hash = hash.number(channels.clone().count());
            for channels in channels {
                hash = hash.number(channels.len());
                hash = channels.iter().fold(hash, |hash, (layer, index)| hash.number(*layer).number(*index as usize));
            }
            hash = hash.number(usize::from(survivor.repair.is_some())).number(survivor.fitted.len());
            if let Some(map) = &survivor.repair {
                hash = hash.bytes(&map.values.digest());
            }
            for fitted in &survivor.fitted {
                hash = hash.text(fitted.role.name()).bytes(&fitted.weights.digest());
            }
        }
        hash.finish()
    }

    /// Merges block `removed` into `keep`. An average of weight 1 drops `removed`, one of weight 0
    /// puts it in the place of `keep`. What repaired the gaps after the two is forgotten: it was
    /// fitted to what the blocks were before.
    ///
    /// # Errors
    /// [`Error::BadArgument`] unless both are left, `removed` is the next survivor after `keep`,
    /// and they can be joined in this way.
    pub fn merge(&mut self, keep: usize, removed: usize, join: &Join) -> Result<()> {
        let index = self.0.iter().position(|survivor| survivor.layer == keep);
        let Some(index) = index.filter(|index| self.0.get(index + 1).is_some_and(|next| next.layer == removed)) else {
            let reason = format!(
                "[{keep}, {removed}]: {removed} is not the next survivor after {keep}; left are {:?}",
                self.layers()
            );
            return Err(Error::argument("pairs", reason));
        };
        let joined = self.0[index].joined(&self.0[index + 1], join)?;
        self.0.remove(index + 1);
        self.0[index] = joined;
        Ok(())
    }
}

impl Survivor {
    /// The original block `layer`, unchanged.
    fn original(layer: usize) -> Self {
        Self { layer, terms: vec![(layer, 1.0)], origins: None, repair: None, fitted: Vec::new(), scale: 1.0 }
    }

    /// It, without what repaired the gap after it.
    fn without_repair(&self) -> Self {
        Self { repair: None, fitted: Vec::new(), scale: 1.0, ..self.clone() }
    }

    /// What a step makes of this block and the next one.
    fn joined(&self, removed: &Self, join: &Join) -> Result<Self> {
        let pair = || format!("[{}, {}]", self.layer, removed.layer);
        let (earlier, later) = match join {
            Join::Average(alpha) if !alpha.is_finite() => {
                return Err(Error::argument("alpha", format!("is {alpha} for the pair {}", pair())));
            }
            // The drops work on any block.
            Join::Average(1.0) => return Ok(self.without_repair()),
            Join::Average(0.0) => return Ok(Self { layer: self.layer, ..removed.without_repair() }),
            Join::Average(alpha) => (*alpha, 1.0 - alpha),
            Join::Difference => (1.0, 1.0),
            Join::Concatenate(selection) => return self.concatenated(removed, selection),
        };
        if self.origins.is_some() || removed.origins.is_some() {
            let reason = format!("{}: a block that was concatenated cannot be averaged", pair());
            return Err(Error::argument("combination", reason));
        }
        let mut weights = std::collections::BTreeMap::new();
        let less = (*join == Join::Difference).then_some((self.layer, -1.0));
        let scaled = |survivor: &Self, by: f64| {
            survivor.terms.iter().map(|(layer, weight)| (*layer, weight * by)).collect::<Vec<_>>()
        };
        for (layer, weight) in scaled(self, earlier).into_iter().chain(scaled(removed, later)).chain(less) {
            *weights.entry(layer).or_insert(0.0) += weight;
        }
        weights.retain(|_, weight| *weight != 0.0);
        Ok(Self { terms: weights.into_iter().collect(), ..Self::original(self.layer) })
    }

    /// The strongest parts of this block and the next one.
    fn concatenated(&self, removed: &Self, selection: &ChannelSelection) -> Result<Self> {
        let averaged = |survivor: &Self| survivor.origins.is_none() && survivor.terms.len() > 1;
        if averaged(self) || averaged(removed) {
            let reason =
                format!("[{}, {}]: a block that was averaged cannot be concatenated", self.layer, removed.layer);
            return Err(Error::argument("combination", reason));
        }
        let origins = selection.of(&self.source(), &removed.source())?;
        Ok(match origins.only_layer() {
            Some(layer) => Self { terms: vec![(layer, 1.0)], ..Self::original(self.layer) },
            None => Self { terms: origins.shares(), origins: Some(Rc::new(origins)), ..Self::original(self.layer) },
        })
    }

    /// Where its neurons and heads come from.
    fn source(&self) -> Source {
        match (&self.origins, self.terms.first()) {
            (Some(origins), _) => Source::Concatenated(origins.clone()),
            (None, term) => Source::Whole(term.map_or(self.layer, |(layer, _)| *layer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_is_recorded() {
        let mut state = MergeState::all(5);
        state.merge(2, 3, &Join::Average(0.75)).unwrap();
        assert_eq!(state.layers(), [0, 1, 2, 4]);
        assert_eq!(state.untouched(), 2);
        state.merge(1, 2, &Join::Average(0.5)).unwrap();
        assert_eq!(state.blocks()[1].terms, [(1, 0.5), (2, 0.375), (3, 0.125)]);
        state.merge(1, 4, &Join::Average(1.0)).unwrap();
        assert_eq!(state.layers(), [0, 1]);
        state.merge(0, 1, &Join::Average(0.0)).unwrap();
        assert_eq!(state.layers(), [0]);
        assert_eq!(state.blocks()[0].terms, [(1, 0.5), (2, 0.375), (3, 0.125)]);
        assert_eq!(state.untouched(), 0);
    }

    /// Recipes and results may name a state by its hash: this value must never change.
    #[test]
    fn a_state_has_the_same_hash_in_every_version_and_another_one_has_not() {
        let mut state = MergeState::all(4);
        let untouched = state.content_hash("a model", Norms::Fold);
        state.merge(1, 2, &Join::Average(0.75)).unwrap();
        let hash = state.content_hash("a model", Norms::Fold);
        assert_eq!(hash, "001c79b215cc975dc3693492dbb3eae4823d5feec61b1d428f8a13173618d89e");
        let mut others = vec![untouched, state.content_hash("a model", Norms::Keep)];
        others.push(state.content_hash("another model", Norms::Fold));
        state.set_scale(1, 1.5).unwrap();
        others.push(state.content_hash("a model", Norms::Fold));
        let meter = crate::platform::off_heap::Meter::default();
        for values in [[1.0f32, 2.0], [1.0, 3.0]] {
            let weights = OffHeapBuffer::from_f32(&values, &meter).unwrap();
            state.set_fitted(1, Rc::new(Fitted { role: Role::Down, weights }));
            others.push(state.content_hash("a model", Norms::Fold));
        }
        others.push(hash);
        others.sort();
        others.dedup();
        assert_eq!(others.len(), 7);
    }

    #[test]
    fn a_difference_adds_what_the_others_have_beyond_the_first() {
        let mut state = MergeState::all(5);
        state.merge(1, 2, &Join::Difference).unwrap();
        assert_eq!(state.blocks()[1].terms, [(2, 1.0)], "1 + (2 - 1)");
        state.merge(1, 3, &Join::Difference).unwrap();
        assert_eq!(state.blocks()[1].terms, [(1, -1.0), (2, 1.0), (3, 1.0)], "1 + (2 - 1) + (3 - 1)");
    }

    #[test]
    fn a_concatenation_records_where_neurons_and_heads_come_from() {
        let kept = |neurons: [&[u32]; 2], heads: [&[u32]; 2]| {
            Join::Concatenate(ChannelSelection {
                neurons: neurons.map(<[u32]>::to_vec),
                heads: heads.map(<[u32]>::to_vec),
            })
        };
        let mut state = MergeState::all(4);
        state.merge(1, 2, &kept([&[0, 3], &[1, 2]], [&[], &[0, 1]])).unwrap();
        let origins = state.blocks()[1].origins.clone().unwrap();
        assert_eq!(origins.neurons, [(1, 0), (1, 3), (2, 1), (2, 2)]);
        assert_eq!(origins.heads, [(2, 0), (2, 1)]);
        assert_eq!(state.blocks()[1].terms, [(1, 0.25), (2, 0.75)]);
        state.merge(1, 3, &kept([&[1, 2], &[0, 1]], [&[1], &[0]])).unwrap();
        let origins = state.blocks()[1].origins.clone().unwrap();
        assert_eq!(origins.neurons, [(1, 3), (2, 1), (3, 0), (3, 1)]);
        assert_eq!(origins.heads, [(2, 1), (3, 0)]);
        assert!(state.clone().merge(0, 1, &Join::Average(0.5)).is_err());
        state.merge(0, 1, &Join::Average(1.0)).unwrap();

        let mut state = MergeState::all(3);
        state.merge(0, 1, &kept([&[], &[0, 1]], [&[], &[0]])).unwrap();
        assert_eq!(state.blocks()[0].terms, [(1, 1.0)], "all of one block is that block");
        assert!(state.blocks()[0].origins.is_none());
        state.merge(0, 2, &Join::Average(0.5)).unwrap();
    }

    #[test]
    fn scales_multiply_and_a_later_merge_forgets_them() {
        let mut state = MergeState::all(6);
        state.merge(1, 2, &Join::Average(1.0)).unwrap();
        state.set_scale(1, 2.0).unwrap();
        state.merge(3, 4, &Join::Average(1.0)).unwrap();
        state.set_scale(2, 1.5).unwrap();
        assert_eq!([0, 1, 2, 3].map(|index| state.scale_before(index)), [1.0, 1.0, 2.0, 3.0]);
        assert_eq!((state.untouched(), state.first_gap()), (1, 1));
        state.merge(1, 3, &Join::Average(1.0)).unwrap();
        assert_eq!(state.scale_before(2), 1.0);
        assert!(state.set_scale(0, 0.0).is_err());
    }

    #[test]
    fn pairs_that_are_not_neighbours_are_refused() {
        let mut state = MergeState::all(4);
        for (keep, removed) in [(0, 2), (1, 0), (3, 4), (2, 2)] {
            assert_eq!(state.merge(keep, removed, &Join::Average(1.0)).unwrap_err().code(), "bad-argument");
        }
        assert!(state.merge(0, 1, &Join::Average(f64::NAN)).is_err());
        state.merge(1, 2, &Join::Average(1.0)).unwrap();
        state.merge(1, 3, &Join::Average(1.0)).unwrap();
    }
}
