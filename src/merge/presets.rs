//! Published methods by name: points of selection x combination x repair.

use serde::Serialize;

use super::choices::{AlphaSource, Combination, Norms, Repair, Selection};
use super::options::PresetOptions;
use crate::error::{Error, Result};

/// A named method.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Preset {
    /// What the options of a merge call it.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Where it was published.
    pub source: &'static str,
    /// What it does, and what to know about it.
    pub note: &'static str,
    /// Its choices.
    pub options: PresetOptions,
}

/// How many pairs this tool's own method tries at first.
pub const LOSS_GUIDED_CANDIDATES: usize = 12;

/// All named methods, the paper's own first.
pub const PRESETS: [Preset; 11] = [
    Preset {
        name: "mka",
        title: "MKA, the paper",
        source: "arXiv 2406.16330",
        note: "Again and again, the adjacent pair that shares the most information is averaged, with its similarity as the weight of the earlier layer.",
        options: PresetOptions {
            selection: Selection::Similarity,
            combination: Combination::Average,
            alpha: Some(AlphaSource::Similarity),
            norms: Norms::Fold,
            repair: Repair::None,
            candidates: None,
        },
    },
    Preset {
        name: "published-code",
        title: "MKA, what the published code does",
        source: "the code beside arXiv 2406.16330",
        note: "The published program writes the averages into a copy that never reaches the model, so in effect it drops the last layers.",
        options: PresetOptions {
            selection: Selection::Tail,
            combination: Combination::Drop,
            alpha: None,
            norms: Norms::Fold,
            repair: Repair::None,
            candidates: None,
        },
    },
    Preset {
        name: "published-code-written",
        title: "MKA, what the published code meant to do",
        source: "the code beside arXiv 2406.16330",
        note: "The last pair is averaged again and again, with a weight of about 0.62 whatever the layers; norms and biases stay those of the front layer.",
        options: PresetOptions {
            selection: Selection::Tail,
            combination: Combination::Average,
            alpha: Some(AlphaSource::Published),
            norms: Norms::Keep,
            repair: Repair::None,
            candidates: None,
        },
    },
    Preset {
        name: "shortgpt",
        title: "ShortGPT",
        source: "arXiv 2403.03853",
        note: "The layers that turn the residual stream least are dropped.",
        options: PresetOptions {
            selection: Selection::BlockInfluence,
            combination: Combination::Drop,
            alpha: None,
            norms: Norms::Fold,
            repair: Repair::None,
            candidates: None,
        },
    },
    Preset {
        name: "window-drop",
        title: "Window drop (PruneMe)",
        source: "arXiv 2403.17887",
        note: "The run of neighbouring layers over which the stream turns least is dropped as a whole.",
        options: PresetOptions {
            selection: Selection::Window,
            combination: Combination::Drop,
            alpha: None,
            norms: Norms::Fold,
            repair: Repair::None,
            candidates: None,
        },
    },
    Preset {
        name: "replaceme",
        title: "ReplaceMe",
        source: "arXiv 2505.02819",
        note: "The run of neighbouring layers over which the stream turns least is dropped, and the layer before it learns in closed form to do their work.",
        options: PresetOptions {
            selection: Selection::Window,
            combination: Combination::Drop,
            alpha: None,
            norms: Norms::Fold,
            repair: Repair::Linear,
            candidates: None,
        },
    },
    Preset {
        name: "loss-guided",
        title: "This tool's own",
        source: "method of this tool",
        note: "Each of the most similar pairs is tried as one block, made of the neurons of both that a fit can least do without, and the pair that costs least on held-out text is merged; in the end all blocks from the first gap on are fitted anew, in closed form, to the original model.",
        options: PresetOptions {
            selection: Selection::Loss,
            combination: Combination::Concatenate,
            alpha: None,
            norms: Norms::Fold,
            repair: Repair::Refit,
            candidates: Some(LOSS_GUIDED_CANDIDATES),
        },
    },
    Preset {
        name: "sleb",
        title: "SLEB",
        source: "arXiv 2402.09025",
        note: "Every layer is tried: the one whose loss hurts least on the calibration text is dropped, again and again.",
        options: PresetOptions {
            selection: Selection::Loss,
            combination: Combination::Drop,
            alpha: None,
            norms: Norms::Fold,
            repair: Repair::None,
            candidates: Some(4096),
        },
    },
    Preset {
        name: "laco",
        title: "LaCo",
        source: "arXiv 2402.11187",
        note: "What the layers of the flattest run have beyond the layer before them is added to it; norms stay those of the earlier layer.",
        options: PresetOptions {
            selection: Selection::Window,
            combination: Combination::Difference,
            alpha: None,
            norms: Norms::Keep,
            repair: Repair::None,
            candidates: None,
        },
    },
    Preset {
        name: "prune-comp",
        title: "Prune&Comp",
        source: "arXiv 2507.18212",
        note: "The layers that turn the residual stream least are dropped, and what is written after each gap is divided by how much the stream grows over it.",
        options: PresetOptions {
            selection: Selection::BlockInfluence,
            combination: Combination::Drop,
            alpha: None,
            norms: Norms::Fold,
            repair: Repair::Scale,
            candidates: None,
        },
    },
    Preset {
        name: "come",
        title: "CoMe",
        source: "arXiv 2510.15304",
        note: "The last two layers become one of the same shape: the strongest neurons and head groups of both, by what they bring into the stream.",
        options: PresetOptions {
            selection: Selection::Tail,
            combination: Combination::Concatenate,
            alpha: None,
            norms: Norms::Fold,
            repair: Repair::None,
            candidates: None,
        },
    },
];

impl Preset {
    /// The named method.
    ///
    /// # Errors
    /// [`Error::BadArgument`] for a name that there is not.
    pub fn named(name: &str) -> Result<&'static Self> {
        PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
            let names = PRESETS.map(|preset| preset.name).join(", ");
            Error::argument("preset", format!("{name:?} is not one of {names}"))
        })
    }
}
