//! The options of a merge, checked against the model before anything is computed.

use super::choices::{Alpha, AlphaSource, Combination, Norms, Protect, Repair, Selection};
use super::options::{MergeOptions, PresetOptions};
use super::presets::Preset;
use crate::architecture::{Description, Role};
use crate::error::{Error, Result};
use crate::similarity::Measure;

/// How many pairs `loss` tries, unless the user says otherwise.
const DEFAULT_CANDIDATES: usize = 4;
/// How strongly a repair is drawn to doing nothing, unless the user says otherwise.
const DEFAULT_RIDGE: f64 = 0.3;
/// The share of calibration windows that decides whether a repair is accepted, unless the user says
/// otherwise.
pub const DEFAULT_HOLDOUT: f64 = 0.2;
/// The most inputs of a fit: it keeps a square of them, in f32, of so many 64 MiB.
pub const MOST_NEURONS: usize = 4096;
/// A fit wants so many rows for each channel.
const ROWS_PER_CHANNEL: f64 = 10.0;

/// The choices of a merge, all of them made.
#[derive(Debug, Clone)]
pub struct MergePlan {
    /// The named method, if one was asked for.
    pub preset: Option<String>,
    /// Which layers are removed.
    pub selection: Selection,
    /// The measure of similarity, where one decides.
    pub measure: Measure,
    /// Whether similarities are measured once.
    pub one_shot: bool,
    /// What the survivor becomes.
    pub combination: Combination,
    /// The weight of the earlier layer, where blocks are averaged.
    pub alpha: Alpha,
    /// What happens to norms.
    pub norms: Norms,
    /// Which ends are protected.
    pub protect: Protect,
    /// How many layers are removed.
    pub remove: usize,
    /// What is done about a gap.
    pub repair: Repair,
    /// How repairs are fitted and accepted.
    pub fit: FitPlan,
    /// How many pairs `loss` tries.
    pub candidates: usize,
    /// The pairs of `manual`.
    pub pairs: Vec<(usize, usize)>,
    /// What the user should know about these choices.
    pub notes: Vec<String>,
}

/// How a repair is fitted and accepted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitPlan {
    /// The ridge to begin with, as a share of the mean of the diagonal.
    pub ridge: f64,
    /// Whether the user named the ridge: it is not raised for want of rows then.
    pub ridge_is_given: bool,
    /// The share of windows that decides; 0 accepts always and fits on all.
    pub holdout: f64,
}

impl FitPlan {
    /// How many of some windows are fitted on, and how many after them are held out.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when none is left to fit on.
    pub fn split(&self, windows: usize) -> Result<(usize, usize)> {
        let held_out = (self.holdout * windows as f64).ceil() as usize;
        match windows.saturating_sub(held_out) {
            0 => {
                let reason = format!("of {windows} windows, {held_out} are held out; none is left to fit on");
                Err(Error::argument("holdout", reason))
            }
            fitted => Ok((fitted, held_out)),
        }
    }

    /// The ridge for a fit of so many channels on so many rows, with a warning where they are few.
    pub fn ridge_for(&self, rows: usize, channels: usize, warnings: &mut Vec<String>) -> f64 {
        let wanted = ROWS_PER_CHANNEL * channels as f64;
        if rows as f64 >= wanted {
            return self.ridge;
        }
        let raised = !self.ridge_is_given && self.holdout > 0.0;
        let mut warning = format!("A repair was fitted on {rows} rows; {wanted} or more are better.");
        if raised {
            warning += " It is held back more strongly for that.";
        }
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
        if raised { self.ridge * wanted / rows as f64 } else { self.ridge }
    }
}

impl MergePlan {
    /// Checks the options against the model.
    ///
    /// # Errors
    /// [`Error::BadArgument`] naming the option that cannot be followed.
    pub fn new(options: &MergeOptions, description: &Description) -> Result<Self> {
        let preset = options.preset.as_deref().map(Preset::named).transpose()?;
        let of_preset = preset.map(|preset| preset.options);
        let selection = choice(options.selection, of_preset, |preset| preset.selection);
        let mut combination = choice(options.combination, of_preset, |preset| preset.combination);
        let mut repair = choice(options.repair, of_preset, |preset| preset.repair);
        let norms = choice(options.norms, of_preset, |preset| preset.norms);
        let mut alpha = alpha(options.alpha, of_preset, selection)?;
        let fit = fit_plan(options)?;
        let candidates = options.candidates.or(of_preset.and_then(|preset| preset.candidates));
        let mut candidates = candidates.unwrap_or(DEFAULT_CANDIDATES);
        if candidates == 0 {
            return Err(Error::argument("candidates", "is 0, expected 1 or more"));
        }
        let mut notes = Vec::new();
        if let (Repair::Refit, Err(reason)) = (repair, can_refit(description)) {
            // The page names the choices of a preset beside it.
            if of_preset.is_none_or(|preset| preset.repair != Repair::Refit) {
                return Err(Error::argument("repair", format!("is \"refit\", but {reason}; take \"linear\"")));
            }
            notes.push(format!("Gaps are repaired by a linear map instead of fitting all blocks anew: {reason}."));
            repair = Repair::Linear;
            if combination == Combination::Concatenate {
                notes.push("Pairs are averaged or dropped, as no fit says which of their neurons are of use.".into());
                (combination, candidates) = (Combination::Average, DEFAULT_CANDIDATES);
                alpha = Alpha::From(AlphaSource::Search);
            }
        }
        if let (Combination::Concatenate, Err(reason)) = (combination, can_concatenate(description)) {
            if of_preset.is_none_or(|preset| preset.combination != Combination::Concatenate) {
                let reason = format!("is \"concatenate\", but {reason}; take \"average\" or \"drop\"");
                return Err(Error::argument("combination", reason));
            }
            notes.push(format!("Pairs are averaged or dropped instead of concatenated: {reason}."));
            (combination, candidates) = (Combination::Average, DEFAULT_CANDIDATES);
            alpha = Alpha::From(AlphaSource::Search);
        }
        if repair == Repair::Scale && !description.reads_through_norms() {
            let reason = "is \"scale\", but blocks of this family read the stream without a norm, so a common factor would change what they compute; take \"linear\"";
            return Err(Error::argument("repair", reason));
        }
        let default = selection.default_protect();
        let given = options.protect.clone().unwrap_or_default();
        let protect = Protect { first: given.first.unwrap_or(default.first), last: given.last.unwrap_or(default.last) };
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
        // Trials of merges that are fitted anew at the end are made on the original model; what it
        // becomes before that fit is similar to nothing.
        let on_original = selection == Selection::Loss && repair == Repair::Refit;
        Ok(Self {
            preset: options.preset.clone(),
            selection,
            measure: options.measure.unwrap_or_default(),
            one_shot: on_original || options.one_shot.unwrap_or(false),
            combination,
            alpha,
            norms,
            protect,
            remove,
            repair,
            fit,
            candidates,
            pairs,
            notes,
        })
    }

    /// Whether the weights of an average are taken from similarities.
    pub fn alpha_needs_similarity(&self) -> bool {
        self.combination == Combination::Average
            && matches!(self.alpha, Alpha::From(AlphaSource::Similarity | AlphaSource::Published))
    }

    /// Whether similarities of layers decide anything.
    pub fn compares_layers(&self) -> bool {
        matches!(self.selection, Selection::Similarity | Selection::Loss) || self.alpha_needs_similarity()
    }

    /// Whether anything is measured on a calibration.
    pub fn measures(&self) -> bool {
        self.compares_layers()
            || !matches!(self.selection, Selection::Manual | Selection::Tail)
            || self.repair != Repair::None
            || self.combination == Combination::Concatenate
            || self.combination == Combination::Average && self.alpha == Alpha::From(AlphaSource::Search)
    }
}

/// What the user chose, else what the preset has, else the default.
fn choice<T: Default>(given: Option<T>, preset: Option<PresetOptions>, of: fn(&PresetOptions) -> T) -> T {
    given.or(preset.as_ref().map(of)).unwrap_or_default()
}

fn alpha(given: Option<Alpha>, preset: Option<PresetOptions>, selection: Selection) -> Result<Alpha> {
    let of_preset = preset.and_then(|preset| preset.alpha).map(Alpha::From);
    match given.or(of_preset) {
        None if selection == Selection::Window => Ok(Alpha::From(AlphaSource::Equal)),
        None => Ok(Alpha::From(AlphaSource::Similarity)),
        Some(Alpha::Weight(weight)) if !(0.0..=1.0).contains(&weight) => {
            Err(Error::argument("alpha", format!("is {weight}, expected 0 to 1")))
        }
        Some(Alpha::From(AlphaSource::Fixed)) => Err(Error::argument("alpha", "is \"fixed\"; give the number")),
        Some(alpha) => Ok(alpha),
    }
}

fn fit_plan(options: &MergeOptions) -> Result<FitPlan> {
    let ridge = options.ridge.unwrap_or(DEFAULT_RIDGE);
    if !(ridge.is_finite() && ridge > 0.0) {
        return Err(Error::argument("ridge", format!("is {ridge}, expected a positive number")));
    }
    let holdout = options.holdout.unwrap_or(DEFAULT_HOLDOUT);
    if !(0.0..=0.9).contains(&holdout) {
        return Err(Error::argument("holdout", format!("is {holdout}, expected 0 to 0.9")));
    }
    Ok(FitPlan { ridge, ridge_is_given: options.ridge.is_some(), holdout })
}

/// Whether what blocks write to the stream can be fitted anew; if not, why.
///
/// # Errors
/// The reason, for the user.
pub fn can_refit(description: &Description) -> std::result::Result<(), String> {
    let after = [Role::AttentionPostNorm, Role::AttentionStreamNorm, Role::MlpPostNorm, Role::MlpStreamNorm];
    if description.norms.iter().any(|norm| after.contains(&norm.role)) {
        return Err("blocks of this family have a norm between their projections and the stream".into());
    }
    match description.neurons() {
        neurons if neurons > MOST_NEURONS => Err(format!(
            "blocks of this model have {neurons} neurons, and a fit of more than {MOST_NEURONS} takes too much memory"
        )),
        _ => Ok(()),
    }
}

/// Whether neurons of different blocks may stand side by side in one; if not, why.
///
/// # Errors
/// The reason, for the user.
pub fn can_concatenate(description: &Description) -> std::result::Result<(), String> {
    match description.activation.learned() {
        Some(_) => {
            let reason = "the activation of this family has numbers that each block has learned for all of its neurons, and neurons of two blocks would need both";
            Err(reason.into())
        }
        None => Ok(()),
    }
}

/// Bytes that choosing neurons and fitting blocks anew takes at most, with `chunk` rows at once:
/// the normal equations, half a square of their inputs; the factor with its inverse, a square and a
/// half; what is read from both, the solution; and a chunk of rows, as channels, and twice for
/// their products. 0 where blocks cannot be fitted.
pub fn fit_bytes(description: &Description, chunk: u64) -> u64 {
    let (inputs, hidden) = ((2 * description.neurons()).min(MOST_NEURONS) as u64, description.hidden as u64);
    let values = inputs * (2 * inputs + 3 * hidden) + 3 * chunk * (inputs + hidden);
    if can_refit(description).is_ok() { 4 * values } else { 0 }
}
