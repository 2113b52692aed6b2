//! Concatenation (after CoMe): of two blocks, the strongest neurons of both MLPs and the strongest
//! head groups of both attentions make one block of the same shape.
//!
//! A *neuron* is one inner channel of the MLP, with its rows of gate and up and its column of down.
//! A *head group* is one key-value head with the query heads that share it. Strength is the energy
//! that a part brings into the stream: for a neuron E[h^2] |W_down column|^2, h its activation over
//! the calibration tokens; for a head group the same summed over its channels of W_o. Parts keep
//! their order, those of the earlier block first. This module must not know tensors.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Which parts of two neighbours make the new block: indices in the earlier and in the later one,
/// ascending. In a recipe, runs of indices: `"0-3,7"`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ChannelSelectionText", into = "ChannelSelectionText")]
pub struct ChannelSelection {
    /// Neurons of the MLP.
    pub neurons: [Vec<u32>; 2],
    /// Head groups of the attention.
    pub heads: [Vec<u32>; 2],
}

/// [`ChannelSelection`] as a recipe has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct ChannelSelectionText {
    /// Neurons of the MLP, of the earlier and of the later block: `"0-3,7"`.
    pub neurons: [String; 2],
    /// Key-value heads with their query heads, of the earlier and of the later block.
    pub heads: [String; 2],
}

/// Where the parts of a concatenated block come from: `(original block, index)` each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelOrigins {
    /// Neurons of the MLP.
    pub neurons: Vec<(usize, u32)>,
    /// Head groups of the attention.
    pub heads: Vec<(usize, u32)>,
}

/// Where the parts of a block come from.
pub enum Source {
    /// All of this original block, in order.
    Whole(usize),
    /// Parts of several.
    Concatenated(Rc<ChannelOrigins>),
}

impl Source {
    fn part(&self, of: fn(&ChannelOrigins) -> &[(usize, u32)], index: u32) -> Result<(usize, u32)> {
        match self {
            Self::Whole(layer) => Ok((*layer, index)),
            Self::Concatenated(origins) => of(origins).get(index as usize).copied().ok_or_else(|| {
                Error::argument("recipe", format!("it keeps part {index} of a block that has {}", of(origins).len()))
            }),
        }
    }
}

impl ChannelSelection {
    /// The strongest of two blocks' parts, as many as one block has; the earlier one's of equals.
    pub fn strongest(neurons: [&[f64]; 2], heads: [&[f64]; 2]) -> Self {
        Self { neurons: strongest(neurons, neurons[0].len()), heads: strongest(heads, heads[0].len()) }
    }

    /// The strongest neurons of two blocks, and all `heads` head groups of the earlier one.
    pub fn neurons(neurons: [&[f64]; 2], heads: usize) -> Self {
        Self { neurons: strongest(neurons, neurons[0].len()), heads: [(0..heads as u32).collect(), Vec::new()] }
    }

    /// The parts of the new block, `keep` and `gone` being where those of the two come from.
    pub fn of(&self, keep: &Source, gone: &Source) -> Result<ChannelOrigins> {
        let parts = |kept: &[Vec<u32>; 2], of: fn(&ChannelOrigins) -> &[(usize, u32)]| {
            let earlier = kept[0].iter().map(|index| keep.part(of, *index));
            earlier.chain(kept[1].iter().map(|index| gone.part(of, *index))).collect::<Result<Vec<_>>>()
        };
        Ok(ChannelOrigins { neurons: parts(&self.neurons, |p| &p.neurons)?, heads: parts(&self.heads, |p| &p.heads)? })
    }
}

impl ChannelOrigins {
    /// The one block that all parts are from, if there is one: then they are all of it.
    pub fn only_layer(&self) -> Option<usize> {
        let shares = self.shares();
        if let [(layer, _)] = shares[..] { Some(layer) } else { None }
    }

    /// The original blocks, ascending, each with its share: the mean of its shares of neurons and
    /// of head groups.
    pub fn shares(&self) -> Vec<(usize, f64)> {
        let mut shares = BTreeMap::new();
        for (layer, share) in [&self.neurons, &self.heads].into_iter().flat_map(|parts| Self::shares_of(parts)) {
            *shares.entry(layer).or_insert(0.0) += share / 2.0;
        }
        shares.into_iter().collect()
    }

    /// The original blocks of some parts, ascending, each with its share of them.
    pub fn shares_of(parts: &[(usize, u32)]) -> Vec<(usize, f64)> {
        let mut counts = BTreeMap::new();
        parts.iter().for_each(|(layer, _)| *counts.entry(*layer).or_insert(0u32) += 1);
        counts.into_iter().map(|(layer, count)| (layer, f64::from(count) / parts.len() as f64)).collect()
    }
}

/// The indices of the `count` largest of both lists, ascending; the first one's of equals.
pub fn strongest(importance: [&[f64]; 2], count: usize) -> [Vec<u32>; 2] {
    let mut ranked: Vec<(f64, usize, u32)> = Vec::new();
    for (block, values) in importance.iter().enumerate() {
        ranked.extend(values.iter().enumerate().map(|(index, value)| (*value, block, index as u32)));
    }
    // Stable, so the earlier block's come first among equals.
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut kept = [Vec::new(), Vec::new()];
    ranked.iter().take(count).for_each(|(_, block, index)| kept[*block].push(*index));
    kept.iter_mut().for_each(|indices| indices.sort_unstable());
    kept
}

impl From<ChannelSelection> for ChannelSelectionText {
    fn from(kept: ChannelSelection) -> Self {
        Self { neurons: kept.neurons.map(|list| runs(&list)), heads: kept.heads.map(|list| runs(&list)) }
    }
}

impl TryFrom<ChannelSelectionText> for ChannelSelection {
    type Error = String;

    fn try_from(text: ChannelSelectionText) -> std::result::Result<Self, String> {
        let both = |[earlier, later]: &[String; 2]| Ok::<_, String>([indices(earlier)?, indices(later)?]);
        Ok(Self { neurons: both(&text.neurons)?, heads: both(&text.heads)? })
    }
}

/// `[0, 1, 2, 3, 7]` as `"0-3,7"`.
fn runs(indices: &[u32]) -> String {
    let runs = indices.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [only] => only.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    });
    runs.collect::<Vec<_>>().join(",")
}

/// The reverse of [`runs`]; ascending, and not absurdly many.
fn indices(text: &str) -> std::result::Result<Vec<u32>, String> {
    let bad = || format!("{text:?} is no ascending list such as \"0-3,7\"");
    let mut list: Vec<u32> = Vec::new();
    for run in text.split(',').filter(|run| !run.is_empty()) {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n < 1 << 20).ok_or_else(bad);
        let (first, last) = (number(first)?, number(last)?);
        if last < first || list.last().is_some_and(|before| first <= *before) {
            return Err(bad());
        }
        list.extend(first..=last);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_of_both_the_earlier_of_equals() {
        let kept = ChannelSelection::strongest([&[1.0, 5.0, 3.0], &[4.0, 1.0, 3.0]], [&[1.0], &[2.0]]);
        assert_eq!(kept.neurons, [vec![1, 2], vec![0]]);
        assert_eq!(kept.heads, [vec![], vec![0]]);
    }

    #[test]
    fn lists_are_written_as_runs_and_read_back() {
        for (list, text) in [(vec![], ""), (vec![4], "4"), (vec![0, 1, 2, 5, 7, 8], "0-2,5,7-8")] {
            assert_eq!(runs(&list), text);
            assert_eq!(indices(text), Ok(list));
        }
        for bad in ["3-1", "a", "1,1", "5,2", "1-2-3", "0-99999999"] {
            assert!(indices(bad).is_err(), "{bad}");
        }
    }
}
