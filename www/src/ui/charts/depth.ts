/**
 * One quantity along the depth, a value per layer, on a logarithmic scale: the ends differ from the
 * middle by factors.
 */
import { type Chart, chart, plot, set, ticks } from "./chart";

export interface DepthInput {
  values: Float32Array;
  /** What the values are; the first part of the text alternative. */
  label: string;
  /** What a place along the depth is called. */
  nameOf: (at: number) => string;
  /** The quantity's own colour: a variable of the pictures' style sheet. */
  colour: "influence" | "norm";
}

/** Below this, there is nothing that could be drawn. */
const FLOOR = 1e-4;
const HEIGHT = 150;

interface Point {
  at: number;
  value: number;
}

export function depthChart(): Chart<DepthInput> {
  return chart<DepthInput>("strip", async (place, { values, label, nameOf, colour }, width) => {
    const Plot = await plot();
    const data: Point[] = Array.from(values, (value, at) => ({ at, value }));
    const height = ({ value }: Point): number => Math.max(FLOOR, value);
    const title = ({ at, value }: Point): string => `${nameOf(at)}: ${short(value)}`;
    const least = Math.min(...data.map(height)) / 1.5;
    const most = Math.max(...data.map(height)) * 1.3;
    const element = Plot.plot({
      className: "plot",
      width,
      height: HEIGHT,
      marginTop: 8,
      marginRight: 4,
      marginBottom: 24,
      marginLeft: 40, // as the map's, so that the layers lie below its columns
      x: { type: "band", domain: data.map(({ at }) => at), label: null, tickSize: 0, padding: 0, ticks: ticks(data.length) },
      y: { type: "log", domain: [least, most], label: null, grid: true, ticks: 4, tickSize: 0, tickFormat: "~g" },
      marks: [
        Plot.ruleX(data, { x: "at", y1: least, y2: height, stroke: `var(--${colour})`, strokeOpacity: 0.55 }),
        Plot.dot(data, { x: "at", y: height, r: 4, fill: `var(--${colour})` }),
        Plot.tip(data, Plot.pointerX({ x: "at", y: height, title })),
      ],
    });
    // Plot names the kinds of its marks; this picture has one text alternative as a whole.
    for (const mark of element.querySelectorAll("g[aria-label]")) mark.removeAttribute("aria-label");
    set(element, { role: "img", "aria-label": `${label}. ${data.map(title).join(", ")}` });
    place.replaceChildren(element);
  });
}

function short(value: number): string {
  return value >= 10 ? value.toFixed(1) : value.toFixed(4);
}
