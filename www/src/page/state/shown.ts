/** Which results are on the screen: those of this tab, or the precomputed run's. */
import { stepsOf } from "../../ui/charts/lineage";
import type { Results } from "../run/results";
import { state } from "./state";

/** What is on the screen: the precomputed run until a model is opened. */
export function shown(): Results {
  return state.example && !state.model ? state.example.results : here();
}

/** Whether that is the precomputed run. */
export function precomputed(): boolean {
  return state.example !== undefined && !state.model;
}

/** What was measured in this tab. */
export function here(): Results {
  const { model, calibration, merged } = state;
  const { rows, matrices, influence, streamNorms, clouds, width, comparison, series, written } = state;
  return {
    summary: model?.summary,
    info: calibration?.info,
    rows,
    matrices,
    influence,
    norms: streamNorms,
    clouds,
    width,
    merged: merged && { summary: merged.summary, steps: stepsOf(merged.recipe) },
    comparison,
    series,
    written,
  };
}
