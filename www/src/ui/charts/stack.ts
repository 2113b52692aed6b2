/**
 * The layers before and after: which went into which, with which weight, and where a gap was
 * repaired.
 */
import { figure } from "../format";
import { T } from "../texts";
import { type Chart, chart, set, svg } from "./chart";
import { lineage, type Step, type MergedLayer } from "./lineage";
import type { Table } from "./table";

export interface StackInput {
  /** Of the model before. */
  layers: number;
  steps: readonly Step[];
}

const BOX = 26;
const FLOW = 78;
const TOP = 20;
/** Room for the words at the left, which are above their row where it is narrow. */
const HEIGHT = TOP + BOX + FLOW + TOP + BOX + 8;
/** A box that is narrower than this has no number in it. */
const NUMBERED = 15;

/** A line per layer of the merged model. */
export function stackTable({ layers, steps }: StackInput): Table {
  const words = T.stack;
  return {
    caption: words.title,
    head: words.head,
    rows: lineage(layers, steps).map((layer, at) => [
      at,
      layer.parts.map(({ layer }) => layer).join(" + "),
      layer.parts.map(({ weight }) => figure(weight)).join(" + "),
      kind(layer),
      layer.repaired ? T.merge.repaired : "",
    ]),
  };
}

function kind({ parts }: MergedLayer): string {
  if (parts.length === 1) return T.stack.kept;
  return parts.filter(({ weight }) => weight > 0).length > 1 ? T.stack.averaged : T.stack.dropped;
}

export function stackChart(): Chart<StackInput> {
  return chart<StackInput>("stack-chart", (place, input, width) => {
    const merged = lineage(input.layers, input.steps);
    const gap = input.layers > 20 ? 2 : 4;
    const box = Math.min(64, (width - gap * (input.layers - 1)) / input.layers);
    const left = (count: number): number => (width - count * box - (count - 1) * gap) / 2;
    const xOf = (at: number, count: number): number => left(count) + at * (box + gap);
    const [top, bottom] = [TOP + BOX, TOP + BOX + FLOW];
    const numbered = box >= NUMBERED;

    const before: SVGElement[] = [];
    const flows: SVGElement[] = [];
    const after: SVGElement[] = [];
    const weights: SVGElement[] = [];
    merged.forEach(({ parts, repaired }, at) => {
      const x = xOf(at, merged.length);
      const averaged = parts.filter(({ weight }) => weight > 0).length > 1;
      const total = parts.reduce((sum, { weight }) => sum + Math.max(0, weight), 0);
      let used = 0;
      for (const { layer, weight } of parts) {
        const from = xOf(layer, input.layers);
        const state = weight <= 0 ? "gone" : averaged ? "part" : "whole";
        before.push(cell(from, TOP, box, state, numbered ? String(layer) : ""));
        if (weight > 0) {
          const thick = (box * weight) / total;
          flows.push(svg("path", { class: `flow ${state}`, d: ribbon(from, top, from + box, x + used, bottom, x + used + thick) }));
          used += thick;
          if (averaged && weight >= 0.005 && numbered) weights.push(text(from + box / 2, top + 13, String(Number(weight.toFixed(2))), "weight"));
        } else {
          const middle = from + box / 2;
          flows.push(svg("path", { class: "end", d: `M${middle} ${top}v16m-4 -4l8 8m0 -8l-8 8` }));
        }
      }
      after.push(cell(x, bottom, box, averaged || repaired ? "new" : "whole", numbered ? String(at) : ""));
      if (repaired) after.push(svg("path", { class: "stitch", d: stitches(x, bottom + BOX + 5, box) }));
    });
    const picture = svg(
      "svg",
      { class: "plot", width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img" },
      ...flows,
      ...before,
      ...after,
      ...weights,
      text(left(input.layers), TOP - 7, T.stack.before(input.layers), "row-name"),
      text(left(merged.length), bottom + BOX + 20, T.stack.after(merged.length), "row-name"),
    );
    set(picture, { "aria-label": describe(input, merged) });
    place.replaceChildren(picture);
  });
}

/** "Layers 3 and 4 become layer 3, …" */
function describe({ layers }: StackInput, merged: readonly MergedLayer[]): string {
  const changed = merged.flatMap((layer, at) =>
    layer.parts.length > 1
      ? [T.stack.became(layer.parts.map(({ layer, weight }) => T.stack.weighed(layer, figure(weight))).join(" + "), at, layer.repaired)]
      : [],
  );
  return `${T.stack.label(layers, merged.length)} ${changed.join(" ")}`;
}

function cell(x: number, y: number, width: number, state: string, label: string): SVGElement {
  return svg(
    "g",
    { class: `block ${state}` },
    svg("rect", { x, y, width, height: BOX, rx: 2 }),
    ...(label ? [text(x + width / 2, y + BOX / 2 + 4, label, "")] : []),
  );
}

function text(x: number, y: number, content: string, name: string): SVGElement {
  return svg("text", { x, y, class: name, "text-anchor": name === "row-name" ? "start" : "middle" }, content);
}

/** A band from one edge to another, bent like an S. */
function ribbon(a0: number, y0: number, a1: number, b0: number, y1: number, b1: number): string {
  const middle = (y0 + y1) / 2;
  return `M${a0} ${y0}C${a0} ${middle} ${b0} ${middle} ${b0} ${y1}H${b1}C${b1} ${middle} ${a1} ${middle} ${a1} ${y0}Z`;
}

/** A row of small crosses below a box. */
function stitches(x: number, y: number, width: number): string {
  const count = Math.max(1, Math.floor(width / 9));
  const step = width / count;
  return Array.from({ length: count }, (_, at) => {
    const left = x + at * step + step / 2 - 3;
    return `M${left} ${y - 3}l6 6m0 -6l-6 6`;
  }).join("");
}
