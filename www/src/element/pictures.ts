/** Draws the charts of <mka-lab> into their places, when what they show, or their width, has changed. Loaded with the first one. */
import * as Plot from "@observablehq/plot";
import { heatmap, type MapChart } from "../page/charts/heatmap";
import { influenceChart } from "../page/charts/influence";
import type { Shown } from "./view";

export interface Actions {
  onCell: (cell: Shown["cell"]) => void;
  /** The boundary between the layers i and i + 1 was chosen. */
  onPick: (boundary: number) => void;
}

/** What each place was last drawn from, and the map that is drawn there. */
const drawn = new WeakMap<Element, { inputs: unknown[]; map?: MapChart }>();

export function draw(root: ShadowRoot, { findings, picked }: Shown, { onCell, onPick }: Actions): void {
  const { similarity, influence } = findings;
  into(root, "similarity", similarity && [similarity], (width) =>
    similarity && heatmap(Plot, { matrix: similarity, measure: "npib", width, onCell, onPick }),
  )?.mark(picked);
  into(root, "influence", influence && [influence], (width) => influence && { element: influenceChart(Plot, influence, width) });
}

/** Draws where that is due; returns the map that stands there. */
function into(
  root: ShadowRoot,
  name: string,
  inputs: unknown[] | undefined,
  make: (width: number) => MapChart | { element: Element } | undefined,
): MapChart | undefined {
  const place = root.querySelector(`[data-chart="${name}"]`);
  if (!place) return undefined;
  if (!inputs) {
    if (drawn.delete(place)) place.replaceChildren();
    return undefined;
  }
  if (place.clientWidth === 0) return undefined;
  const before = drawn.get(place);
  const now = [...inputs, place.clientWidth];
  if (before && now.every((input, at) => input === before.inputs[at])) return before.map;
  const chart = make(place.clientWidth);
  if (!chart) return undefined;
  place.replaceChildren(chart.element);
  const map = "mark" in chart ? chart : undefined;
  drawn.set(place, { inputs: now, ...(map && { map }) });
  return map;
}
