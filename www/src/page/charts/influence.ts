/** Block influence along the depth. */
import type * as PlotModule from "@observablehq/plot";
import { T } from "../texts";

export function influenceChart(Plot: typeof PlotModule, values: Float32Array, width: number): Element {
  const data = Array.from(values, (value, layer) => ({ layer, value }));
  const every = values.length <= 16 ? 1 : values.length <= 40 ? 5 : 10;
  const element = Plot.plot({
    className: "plot",
    width,
    height: 150,
    marginTop: 12,
    marginRight: 4,
    marginBottom: 24,
    marginLeft: 40,
    x: { type: "band", domain: data.map(({ layer }) => layer), label: null, tickSize: 0, padding: 0.4, ticks: data.map(({ layer }) => layer).filter((layer) => layer % every === 0) },
    y: { label: null, grid: true, ticks: 3, tickSize: 0, zero: true },
    marks: [
      Plot.barY(data, { x: "layer", y: "value", fill: "currentColor", fillOpacity: 0.75 }),
      Plot.ruleY([0]),
      Plot.tip(data, Plot.pointerX({ x: "layer", y: "value", title: ({ layer, value }: { layer: number; value: number }) => `${T.look.layer} ${layer}: ${value.toFixed(4)}` })),
    ],
  });
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", `${T.look.influence}: ${data.map(({ layer, value }) => `${layer}: ${value.toFixed(3)}`).join(", ")}`);
  return element;
}
