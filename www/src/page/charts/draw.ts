/** Draws the charts into their places when what they show, or their width, has changed. The library comes when it is needed. */
import { pick } from "../actions/merge";
import { show } from "../actions/job";
import { state, update } from "../state";
import { heatmap, type MapChart } from "./heatmap";
import { influenceChart } from "./influence";

let library: Promise<typeof import("@observablehq/plot")> | undefined;
let map: MapChart | undefined;
/** What each place was last drawn from. */
const drawn = new Map<string, unknown[]>();

export async function drawCharts(): Promise<void> {
  const matrix = state.matrices.get(state.measure);
  if (!matrix && !state.influence) {
    clear("map");
    clear("influence");
    return;
  }
  try {
    library ??= import("@observablehq/plot");
    const Plot = await library;
    if (matrix) {
      into("map", [matrix, state.measure], (width) => {
        map = heatmap(Plot, { matrix, measure: state.measure, width, onCell, onPick });
        return map.element;
      });
      map?.mark(state.picked);
    }
    const { influence } = state;
    if (influence) into("influence", [influence], (width) => influenceChart(Plot, influence, width));
  } catch (error) {
    library = undefined;
    show(error, "look");
  }
}

function onCell(cell: typeof state.cell): void {
  state.cell = cell;
  update();
}

function onPick(boundary: number): void {
  void pick(boundary);
}

function into(id: string, inputs: unknown[], make: (width: number) => Element): void {
  const place = document.getElementById(id);
  if (!place || place.clientWidth === 0) return;
  const key = [...inputs, place.clientWidth];
  const before = drawn.get(id);
  if (before && key.every((value, at) => value === before[at])) return;
  drawn.set(id, key);
  place.replaceChildren(make(place.clientWidth));
}

function clear(id: string): void {
  if (!drawn.delete(id)) return;
  if (id === "map") map = undefined;
  document.getElementById(id)?.replaceChildren();
}
