/** Which results are on the screen: those of this tab, of a run that was listed, or precomputed. */
import { stepsOf } from "../../ui/charts/lineage";
import { FINISHED, type Run } from "../run/run";
import type { Results } from "../run/results";
import { state } from "./state";

/** What is on the screen: the precomputed run until a model is opened. */
export function shown(): Results {
  if (precomputed()) return state.example?.results ?? here();
  return listed()?.results ?? here();
}

/** The run of the list that is on the screen, unless it is the precomputed one. */
export function listed(): Run | undefined {
  const { chosen, runs } = state;
  return chosen === undefined ? undefined : runs.find(({ id }) => id === chosen);
}

/** Whether the precomputed run is on the screen. */
export function precomputed(): boolean {
  const { example, model, chosen } = state;
  return example !== undefined && (chosen === FINISHED || (!model && !listed()));
}

/** Whether what is on the screen is not what this tab has open: it cannot be computed further. */
export function earlier(): boolean {
  return precomputed() || listed() !== undefined;
}

/** What was measured in this tab. */
export function here(): Results {
  const { model, calibration, merged } = state;
  const { rows, matrices, influence, streamNorms, clouds, width, comparison, measuredOn, series, written } = state;
  return {
    summary: model?.summary,
    info: calibration?.info,
    rows,
    matrices,
    influence,
    norms: streamNorms,
    clouds,
    width,
    merged: merged && { summary: merged.summary, steps: stepsOf(merged.recipe), method: merged.recipe.preset ?? "" },
    comparison,
    measuredOn,
    series,
    written,
  };
}
