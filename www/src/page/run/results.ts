/** Everything that is measured of a model and of its merge, computed here or earlier. Data only. */
import type { CalibrationInfo, Comparison, Measure, Summary } from "#mka";
import type { Matrix } from "../../ui/charts/heatmap";
import type { Step } from "../../ui/charts/lineage";
import type { Series } from "../../ui/charts/perplexity";
import type { Cloud } from "../../ui/charts/procrustes";
import type { Rows } from "../../ui/charts/rows";

/** A text of the user's own or the built-in one, in so many windows of so many tokens at most. */
export interface MeasuredOn {
  own: boolean;
  sequences: number;
  window: number;
}

export interface Results {
  summary: Summary | undefined;
  info: CalibrationInfo | undefined;
  rows: Rows | undefined;
  matrices: ReadonlyMap<Measure, Matrix>;
  influence: Float32Array | undefined;
  norms: Float32Array | undefined;
  /** The first coordinates of each layer's diffusion map, centred, as they came. */
  clouds: readonly Cloud[] | undefined;
  /** The median distance of two rows, the median over the layers: the usual width of the kernel. */
  width: number | undefined;
  /** `method`: a preset's name, or "" for one's own choice. */
  merged: { summary: Summary; steps: readonly Step[]; method: string } | undefined;
  comparison: Comparison | undefined;
  /** What the comparison was measured on. */
  measuredOn: MeasuredOn | undefined;
  series: readonly Series[];
  written: { before: string; after: string };
}
