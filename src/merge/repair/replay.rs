//! The state of a recipe whose matrices are not at hand: its repairs are fitted again.

use super::file::FILE;
use super::linear::repair_gap;
use super::refit::refit_blocks;
use crate::calibration::Calibration;
use crate::error::{Error, Result};
use crate::merge::context::MergeContext;
use crate::merge::plan::FitPlan;
use crate::merge::recipe::Recipe;
use crate::merge::select::scores::SelectionScores;
use crate::merge::state::MergeState;
use crate::task::Task;

/// A repair that a recipe has: it was accepted when it was made.
const REPLAYED: FitPlan = FitPlan { ridge: 1.0, ridge_is_given: true, holdout: 0.0 };

/// Follows the steps of a recipe and fits its repairs again, with the ridges that it has.
///
/// # Errors
/// [`Error::BadArgument`] without a calibration, or when a step is impossible; as the repairs.
pub async fn refit_from_recipe(
    context: &MergeContext,
    recipe: &Recipe,
    calibration: Option<&Calibration>,
    task: &Task,
) -> Result<MergeState> {
    let Some(calibration) = calibration else {
        let reason =
            format!("the recipe has repairs; pass the content of its {FILE}, or a calibration to fit them anew");
        return Err(Error::argument("repair", reason));
    };
    let scores = SelectionScores::for_replay(context, calibration);
    let mut state = MergeState::all(recipe.model.layers);
    for (number, step) in recipe.steps.iter().enumerate() {
        state.merge(step.keep, step.removed, &step.join()?)?;
        if let Some(scale) = step.scale {
            state.set_scale(state.index_of(step.keep)?, scale)?;
        }
        if let Some(ridge) = step.ridge {
            let plan = FitPlan { ridge, ..REPLAYED };
            repair_gap(&plan, &scores, &mut state, (number, step), &mut Vec::new(), task).await?;
        }
    }
    if !recipe.refits.is_empty() {
        let ridges = |layer| recipe.refits.iter().find(|refit| refit.layer == layer).map(|refit| refit.ridges);
        let windows = &calibration.sample.windows;
        (state, _) = refit_blocks(context, windows, None, &state, ridges, task).await?;
    }
    Ok(state)
}
