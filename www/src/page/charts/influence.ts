/** Block influence along the depth, on a logarithmic scale: the first block does ten times what the others do. */
import type * as PlotModule from "@observablehq/plot";
import { T } from "../texts";

/** Below this, a block does nothing that could be drawn. */
const FLOOR = 1e-4;

interface Block {
  layer: number;
  value: number;
}

export function influenceChart(Plot: typeof PlotModule, values: Float32Array, width: number): Element {
  const data: Block[] = Array.from(values, (value, layer) => ({ layer, value }));
  const layers = data.map(({ layer }) => layer);
  const every = layers.length <= 16 ? 1 : layers.length <= 40 ? 5 : 10;
  const height = ({ value }: Block): number => Math.max(FLOOR, value);
  const title = ({ layer, value }: Block): string => `${T.look.layer} ${layer}: ${value.toFixed(4)}`;
  const least = Math.min(...data.map(height)) / 1.5;
  const most = Math.max(...data.map(height)) * 1.3;
  const element = Plot.plot({
    className: "plot",
    width,
    height: 150,
    marginTop: 8,
    marginRight: 4,
    marginBottom: 24,
    marginLeft: 40, // as the map's, so that the layers lie below its columns
    x: { type: "band", domain: layers, label: null, tickSize: 0, padding: 0, ticks: layers.filter((layer) => layer % every === 0) },
    y: { type: "log", domain: [least, most], label: null, grid: true, ticks: 4, tickSize: 0, tickFormat: "~g" },
    marks: [
      Plot.ruleX(data, { x: "layer", y1: least, y2: height, strokeOpacity: 0.45 }),
      Plot.dot(data, { x: "layer", y: height, r: 4, fill: "currentColor" }),
      Plot.tip(data, Plot.pointerX({ x: "layer", y: height, title })),
    ],
  });
  // Plot names the kinds of its marks; in a picture that is told as a whole they have nothing to say.
  for (const mark of element.querySelectorAll("g[aria-label]")) mark.removeAttribute("aria-label");
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", `${T.look.influence}. ${data.map(title).join(", ")}`);
  return element;
}
