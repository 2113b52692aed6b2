//! The user's choices of a merge, checked before anything is computed.

use super::calibration::Calibration;
use crate::architecture::{Description, Role};
use crate::error::{Error, Result};
use crate::interface::{AlphaOption, MergeOptions};
use crate::merge::combine::Norms;
use crate::merge::presets::{PRESETS, Preset, PresetOptions};
use crate::merge::recipe::norms_from;
use crate::merge::selection::{Pair, Protect, Selection, flattest_window};
use crate::similarity::Measure;
use crate::task::Task;

/// How many pairs `loss` tries, unless the user says otherwise.
const DEFAULT_CANDIDATES: usize = 4;
/// How strongly a linear repair is drawn to the identity, unless the user says otherwise.
const DEFAULT_RIDGE: f64 = 0.3;
/// The share of calibration windows that decides whether a repair is accepted, unless the user says otherwise.
pub(super) const DEFAULT_HOLDOUT: f64 = 0.2;

/// The most inputs of a fit: it keeps a square of them in f64, of so many 128 MiB.
pub(super) const MOST_NEURONS: usize = 4096;

/// What the survivor becomes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Combination {
    /// It stays as it is.
    Drop,
    /// A weighted average.
    Average(Alpha),
    /// Itself and what the others have beyond it.
    Difference,
    /// The strongest neurons and heads of both.
    Concatenate,
}

/// Where the weight of the front layer comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Alpha {
    /// The similarity of the pair on the current model.
    Similarity,
    /// 1 / (1 + exp(-s_l / (s_l + s_(l+1)))), s the mean of a row of the similarity matrix: about 0.62 whatever the layers.
    Published,
    /// The weight of least loss on the calibration text.
    Search,
    /// Equal weights of all that went into the survivor.
    Equal,
    /// A number.
    Fixed(f64),
}

/// The user's choices.
pub(super) struct Plan {
    pub preset: Option<String>,
    pub selection: Selection,
    pub measure: Measure,
    /// Whether similarities are measured once.
    pub one_shot: bool,
    pub combination: Combination,
    pub norms: Norms,
    pub protect: Protect,
    pub remove: usize,
    pub repair: Repair,
    /// How many pairs `loss` tries.
    pub candidates: usize,
    /// What the user should know about these choices.
    pub notes: Vec<String>,
    pairs: Vec<(usize, usize)>,
}

/// What is done about a gap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Repair {
    /// Nothing.
    Nothing,
    /// One factor, folded into what is written behind it.
    Scale,
    /// A map, folded into the MLP in front of it.
    Linear(FitPlan),
    /// At the end, all that blocks write to the stream from the first gap on is fitted anew.
    Refit(FitPlan),
}

/// How a repair is fitted and accepted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FitPlan {
    /// The ridge to begin with.
    pub ridge: f64,
    /// Whether the user named the ridge: it is not raised for want of rows then.
    pub ridge_is_given: bool,
    /// The share of windows that decides; 0 accepts always and fits on all.
    pub holdout: f64,
}

impl Combination {
    /// What a recipe calls it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Average(_) => "average",
            Self::Difference => "difference",
            Self::Concatenate => "concatenate",
        }
    }

    /// What a recipe says of its alpha.
    pub(super) fn alpha(self) -> Option<&'static str> {
        let Self::Average(alpha) = self else {
            return None;
        };
        Some(match alpha {
            Alpha::Similarity => "similarity",
            Alpha::Published => "published",
            Alpha::Search => "search",
            Alpha::Equal => "equal",
            Alpha::Fixed(_) => "fixed",
        })
    }

    /// Whether its weights hang on how alike the layers are.
    pub(super) fn needs_similarity(self) -> bool {
        matches!(self, Self::Average(Alpha::Similarity | Alpha::Published))
    }

    /// Whether the survivor is another one afterwards.
    pub(super) fn changes_survivor(self) -> bool {
        self != Self::Drop
    }
}

impl Repair {
    /// What a recipe calls it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Scale => "scale",
            Self::Linear(_) => "linear",
            Self::Refit(_) => "refit",
        }
    }
}

impl Plan {
    /// The named method.
    pub(super) fn preset(name: &str) -> Result<&'static Preset> {
        PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
            let names = PRESETS.map(|preset| preset.name).join(", ");
            Error::argument("preset", format!("{name:?} is not one of {names}"))
        })
    }

    /// Checks the choices against the model.
    pub(super) fn new(options: &MergeOptions, description: &Description) -> Result<Self> {
        let preset = options.preset.as_deref().map(Self::preset).transpose()?;
        let word = |given: &Option<String>, of_preset: fn(&PresetOptions) -> &'static str, default: &str| {
            given.clone().unwrap_or_else(|| preset.map_or(default, |preset| of_preset(&preset.options)).into())
        };
        let selection = word(&options.selection, |preset| preset.selection, "similarity");
        let selection =
            Selection::NAMES.iter().find(|(name, _)| *name == selection).map(|(_, s)| *s).ok_or_else(|| {
                let names = Selection::NAMES.map(|(name, _)| name).join(", ");
                Error::argument("selection", format!("{selection:?} is not one of {names}"))
            })?;
        let combination = word(&options.combination, |preset| preset.combination, "average");
        let preset_alpha = preset.and_then(|preset| preset.options.alpha).map(|word| AlphaOption::Word(word.into()));
        let mut combination =
            combination_from(&combination, options.alpha.as_ref().or(preset_alpha.as_ref()), selection)?;
        let measure = options.measure.as_deref().unwrap_or(Measure::NpibGaussian.name()).parse()?;
        let mut repair = repair_from(&word(&options.repair, |preset| preset.repair, "none"), options)?;
        let of_preset = preset.and_then(|preset| preset.options.candidates);
        let mut candidates = options.candidates.or(of_preset).unwrap_or(DEFAULT_CANDIDATES);
        if candidates == 0 {
            return Err(Error::argument("candidates", "is 0, expected 1 or more"));
        }
        let mut notes = Vec::new();
        if let (Repair::Refit(fit), Err(reason)) = (repair, refits(description)) {
            // The page names the choices of a preset beside it.
            if preset.is_none_or(|preset| preset.options.repair != "refit") {
                return Err(Error::argument("repair", format!("is \"refit\", but {reason}; take \"linear\"")));
            }
            notes.push(format!("Gaps are repaired by a linear map instead of fitting all blocks anew: {reason}."));
            repair = Repair::Linear(fit);
            if combination == Combination::Concatenate {
                notes.push("Pairs are averaged or dropped, as no fit says which of their neurons are of use.".into());
                (combination, candidates) = (Combination::Average(Alpha::Search), DEFAULT_CANDIDATES);
            }
        }
        if repair == Repair::Scale && !description.norms_in_front() {
            let reason = "is \"scale\", but blocks of this family read the stream without a norm in front, so a common factor would change what they compute; take \"linear\"";
            return Err(Error::argument("repair", reason));
        }
        let default = selection.default_protect();
        let protect = options.protect.clone().unwrap_or_default();
        let protect =
            Protect { first: protect.first.unwrap_or(default.first), last: protect.last.unwrap_or(default.last) };
        let pairs = options.pairs.clone().unwrap_or_default();
        if (selection == Selection::Manual) == pairs.is_empty() {
            return Err(Error::argument("pairs", "they go with the selection \"manual\", which needs at least one"));
        }
        let remove = if selection == Selection::Manual { pairs.len() } else { options.remove.unwrap_or(1) };
        if remove == 0 || remove >= description.layers {
            let reason =
                format!("is {remove}, expected 1 to {} of {} layers", description.layers - 1, description.layers);
            return Err(Error::argument("remove", reason));
        }
        let norms = norms_from(&word(&options.norms, |preset| preset.norms, "fold"))?;
        // Trials of merges that are fitted anew at the end are made on the original model; what it becomes before that fit is like nothing.
        let on_original = selection == Selection::Loss && matches!(repair, Repair::Refit(_));
        let (preset, one_shot) = (options.preset.clone(), on_original || options.one_shot.unwrap_or(false));
        Ok(Self {
            preset,
            selection,
            measure,
            one_shot,
            combination,
            norms,
            protect,
            remove,
            repair,
            candidates,
            notes,
            pairs,
        })
    }

    /// Whether similarities of layers decide anything.
    pub(super) fn compares_layers(&self) -> bool {
        matches!(self.selection, Selection::Similarity | Selection::Loss)
            || matches!(self.combination, Combination::Average(Alpha::Similarity | Alpha::Published))
    }

    /// Whether anything is measured on a calibration.
    pub(super) fn measures(&self) -> bool {
        self.compares_layers()
            || !matches!(self.selection, Selection::Manual | Selection::Tail)
            || self.repair != Repair::Nothing
            || matches!(self.combination, Combination::Average(Alpha::Search) | Combination::Concatenate)
    }

    /// The pairs that are known before anything is merged.
    pub(super) async fn queue(
        &self,
        calibration: Option<&Calibration>,
        layers: usize,
        task: &Task,
    ) -> Result<Vec<Pair>> {
        match self.selection {
            Selection::Manual => {
                Ok(self.pairs.iter().map(|(keep, gone)| Pair { keep: *keep, gone: *gone, score: None }).collect())
            }
            Selection::Window => {
                let calibration = calibration
                    .ok_or_else(|| Error::argument("calibration", "a window is chosen by measured angles"))?;
                let mut distances = Vec::new();
                for start in 0..=layers - self.remove {
                    distances.push(calibration.angular_distance(start, start + self.remove)?);
                    calibration.yield_now().await?;
                    task.check()?;
                }
                let changes = self.combination.changes_survivor();
                flattest_window(layers, self.remove, self.protect, changes, |start| distances[start])
            }
            _ => Ok(Vec::new()),
        }
    }
}

fn combination_from(combination: &str, alpha: Option<&AlphaOption>, selection: Selection) -> Result<Combination> {
    match combination {
        "drop" => Ok(Combination::Drop),
        "average" => alpha_from(alpha, selection).map(Combination::Average),
        "difference" => Ok(Combination::Difference),
        "concatenate" => Ok(Combination::Concatenate),
        other => {
            let known = "\"average\", \"drop\", \"difference\" or \"concatenate\"";
            Err(Error::argument("combination", format!("is {other:?}, expected {known}")))
        }
    }
}

fn alpha_from(alpha: Option<&AlphaOption>, selection: Selection) -> Result<Alpha> {
    match alpha {
        None if selection == Selection::Window => Ok(Alpha::Equal),
        None => Ok(Alpha::Similarity),
        Some(AlphaOption::Fixed(alpha)) if (0.0..=1.0).contains(alpha) => Ok(Alpha::Fixed(*alpha)),
        Some(AlphaOption::Fixed(alpha)) => Err(Error::argument("alpha", format!("is {alpha}, expected 0 to 1"))),
        Some(AlphaOption::Word(word)) => match word.as_str() {
            "similarity" => Ok(Alpha::Similarity),
            "published" => Ok(Alpha::Published),
            "search" => Ok(Alpha::Search),
            other => {
                let reason = format!("is {other:?}, expected \"similarity\", \"search\", \"published\" or a number");
                Err(Error::argument("alpha", reason))
            }
        },
    }
}

/// Whether what blocks write to the stream can be fitted anew; if not, why.
pub(super) fn refits(description: &Description) -> std::result::Result<(), String> {
    let behind = [Role::AttentionPostNorm, Role::AttentionStreamNorm, Role::MlpPostNorm, Role::MlpStreamNorm];
    if description.norms.iter().any(|norm| behind.contains(&norm.role)) {
        return Err("blocks of this family have a norm between their projections and the stream".into());
    }
    match description.neurons() {
        neurons if neurons > MOST_NEURONS => Err(format!(
            "blocks of this model have {neurons} neurons, and a fit of more than {MOST_NEURONS} takes too much memory"
        )),
        _ => Ok(()),
    }
}

/// Bytes that choosing neurons and fitting blocks anew takes at most: the sums, half a square of their inputs; its factor with its inverse, a square and a half;
/// what is read from both, the solution; and a chunk of rows, as channels, and twice for their products. 0 where it cannot be.
pub(super) fn fit_bytes(description: &Description, chunk: u64) -> u64 {
    let (inputs, hidden) = ((2 * description.neurons()).min(MOST_NEURONS) as u64, description.hidden as u64);
    let values = inputs * (2 * inputs + 3 * hidden) + 3 * chunk * (inputs + hidden);
    if refits(description).is_ok() { 4 * values } else { 0 }
}

fn repair_from(word: &str, options: &MergeOptions) -> Result<Repair> {
    let repair = match word {
        "none" => return Ok(Repair::Nothing),
        "scale" => return Ok(Repair::Scale),
        "linear" => Repair::Linear,
        "refit" => Repair::Refit,
        other => {
            let reason = format!("is {other:?}, expected \"none\", \"scale\", \"linear\" or \"refit\"");
            return Err(Error::argument("repair", reason));
        }
    };
    let ridge = options.ridge.unwrap_or(DEFAULT_RIDGE);
    if !(ridge.is_finite() && ridge > 0.0) {
        return Err(Error::argument("ridge", format!("is {ridge}, expected a positive number")));
    }
    let holdout = options.holdout.unwrap_or(DEFAULT_HOLDOUT);
    if !(0.0..=0.9).contains(&holdout) {
        return Err(Error::argument("holdout", format!("is {holdout}, expected 0 to 0.9")));
    }
    Ok(repair(FitPlan { ridge, ridge_is_given: options.ridge.is_some(), holdout }))
}
