//! The choices of a merge, each an enum whose variants are the words of options, presets and
//! recipes (in kebab case). TypeScript's types are generated from here. Must not know what is done
//! about them.

use serde::{Deserialize, Serialize};
#[cfg(target_arch = "wasm32")]
use tsify::Tsify;

/// Which layers are removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub enum Selection {
    /// The last pair, again and again.
    Tail,
    /// The adjacent pair of largest similarity, on the current model (MKA, arXiv 2406.16330).
    #[default]
    Similarity,
    /// The block of least influence; its survivor is the one before it (ShortGPT, arXiv
    /// 2403.03853).
    BlockInfluence,
    /// The run of blocks over which the residual stream turns least (arXiv 2403.17887).
    Window,
    /// Of the most similar pairs, the one whose merge costs least on the calibration text (with all
    /// pairs: SLEB, arXiv 2402.09025).
    Loss,
    /// Pairs that the user names.
    Manual,
}

/// What the survivor of a pair becomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub enum Combination {
    /// It stays as it is.
    Drop,
    /// A weighted average of both.
    #[default]
    Average,
    /// Itself and what the other has beyond it (LaCo, arXiv 2402.11187).
    Difference,
    /// Neurons and heads of both, as many as one block has (CoMe, arXiv 2510.15304): those of most
    /// energy, or, where all blocks are fitted anew at the end, those of most saliency.
    Concatenate,
}

/// Where the weight of the earlier layer in an average comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub enum AlphaSource {
    /// The similarity of the pair on the current model.
    Similarity,
    /// The published code's sigmoid, 1 / (1 + exp(-s_l / (s_l + s_(l+1)))) with s the mean of a row
    /// of the similarity matrix: about 0.62 whatever the layers.
    Published,
    /// Of 0, 1/4, 1/2, 3/4 and 1, the one of least loss on the calibration text.
    Search,
    /// Equal weights of all layers that the survivor is made of.
    Equal,
    /// A number that the user gave.
    Fixed,
}

/// The weight of the earlier layer in an average: a number, 0 to 1, or where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub enum Alpha {
    /// A fixed weight.
    Weight(f64),
    /// Taken from a measurement.
    From(AlphaSource),
}

impl Alpha {
    /// What a recipe says of it.
    pub fn source(self) -> AlphaSource {
        match self {
            Self::Weight(_) => AlphaSource::Fixed,
            Self::From(source) => source,
        }
    }
}

/// What happens to norms when blocks are averaged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub enum Norms {
    /// Gains and biases are folded into the matrices and biases after them first, and are 1 and 0
    /// then; norms that cannot be folded are averaged.
    #[default]
    Fold,
    /// Norms and biases stay those of the first block; only matrices are averaged (the published
    /// code).
    Keep,
}

/// What is done about the gap that a removed layer leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub enum Repair {
    /// Nothing.
    #[default]
    None,
    /// What is written to the stream after the gap is divided by how much the stream grows over it
    /// (Prune&Comp, arXiv 2507.18212).
    Scale,
    /// A linear map, folded into the MLP before the gap, from what that adds to the stream to what
    /// the original model has after the gap (ReplaceMe, arXiv 2505.02819).
    Linear,
    /// When all layers are removed, what every block from the first gap on writes to the stream is
    /// fitted anew to the original model's states.
    Refit,
}

/// Which ends may neither be removed nor change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(Tsify))]
pub struct Protect {
    /// The first block.
    pub first: bool,
    /// The last block.
    pub last: bool,
}

impl Selection {
    /// What is protected unless the user says otherwise: both ends; the first for `tail`; nothing
    /// for `manual`.
    pub fn default_protect(self) -> Protect {
        match self {
            Self::Similarity | Self::BlockInfluence | Self::Window | Self::Loss => Protect { first: true, last: true },
            Self::Tail => Protect { first: true, last: false },
            Self::Manual => Protect { first: false, last: false },
        }
    }
}

impl Combination {
    /// Whether the survivor is another block afterwards.
    pub fn changes_survivor(self) -> bool {
        self != Self::Drop
    }
}

/// The word of a choice, as options and recipes have it.
pub fn word(choice: &impl Serialize) -> String {
    match serde_json::to_value(choice) {
        Ok(serde_json::Value::String(word)) => word,
        // Every choice above is a word; this is for the type checker.
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recipes that were written by earlier versions have these words.
    #[test]
    fn words_stay_what_they_are() {
        assert_eq!(word(&Selection::BlockInfluence), "block-influence");
        assert_eq!(word(&Combination::Concatenate), "concatenate");
        assert_eq!(word(&AlphaSource::Published), "published");
        assert_eq!(word(&Norms::Fold), "fold");
        assert_eq!(word(&Repair::None), "none");
        assert_eq!(serde_json::from_str::<Alpha>("0.5").unwrap(), Alpha::Weight(0.5));
        assert_eq!(serde_json::from_str::<Alpha>("\"search\"").unwrap(), Alpha::From(AlphaSource::Search));
        assert!(serde_json::from_str::<Selection>("\"blockInfluence\"").is_err());
    }
}
