/** Everything that is measured of a model and of its merge: what the pictures show, computed here or earlier. */
import type { CalibrationInfo, Comparison, SimilarityName, Summary } from "#mka";
import type { Matrix } from "../../ui/charts/heatmap";
import { type Step, stepsOf } from "../../ui/charts/lineage";
import type { Series } from "../../ui/charts/perplexity";
import type { Cloud } from "../../ui/charts/procrustes";
import type { Rows } from "../../ui/charts/rows";
import { state } from "../state/state";

export interface Results {
  summary: Summary | undefined;
  info: CalibrationInfo | undefined;
  rows: Rows | undefined;
  matrices: ReadonlyMap<SimilarityName, Matrix>;
  influence: Float32Array | undefined;
  norms: Float32Array | undefined;
  /** The first coordinates of each layer's diffusion map, centred, as they came. */
  clouds: readonly Cloud[] | undefined;
  /** The median distance of two rows, the median over the layers: the usual width of the kernel. */
  width: number | undefined;
  merged: { summary: Summary; steps: readonly Step[] } | undefined;
  comparison: Comparison | undefined;
  series: readonly Series[];
  written: { before: string; after: string };
}

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
