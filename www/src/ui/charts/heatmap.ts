/** The map of L x L layers: drawn by Observable Plot, read by pointer and keyboard. */
import type { LayerMatrix, Measure } from "#mka";
import { T } from "../texts";
import { type Chart, chart, focusNear, plot, set, svg, ticks } from "./chart";
import { darkTextOn, ramp } from "./colour";
import type { Table } from "./table";

/** Up to this many layers the values fit into the cells. */
const WRITTEN = 12;

/**
 * A matrix of similarities; `deviation` is the standard deviation of each over several draws of
 * rows, where that was measured.
 */
export type Matrix = Pick<LayerMatrix, "layers" | "values"> & { deviation?: Float32Array };

interface Cell {
  a: number;
  b: number;
  value: number;
}

export interface HeatmapInput {
  matrix: Matrix;
  measure: Measure;
  /** Boundaries that are marked: i stands for the one between the layers i and i + 1. */
  picked: readonly number[];
  /** What the pointer or the focus is on. */
  onCell: (cell: { a: number; b: number } | undefined) => void;
  /** The boundary between the layers i and i + 1 was chosen. */
  onPick: (boundary: number) => void;
}

/**
 * The values at the dark and at the bright end: bright is the most similar, also for a distance.
 */
export function mapDomain(measure: Measure, { values }: Matrix): [number, number] {
  const least = Math.min(...values);
  const most = Math.max(...values);
  return measure === "angular" ? [most, least] : [least, most];
}

/** A value with its error bar: "0.8712 ± 0.0031". */
export function cellValue({ layers, values, deviation }: Matrix, a: number, b: number): string {
  const at = a * layers + b;
  const bar = deviation ? ` ± ${(deviation[at] ?? Number.NaN).toFixed(4)}` : "";
  return `${(values[at] ?? Number.NaN).toFixed(deviation ? 4 : 5)}${bar}`;
}

/** One row per pair of layers. */
export function pairsTable(matrix: Matrix, measure: Measure): Table {
  const { layers, values, deviation } = matrix;
  const name = T.look.measures[measure];
  const head = [T.look.layer, T.look.layer, name, ...(deviation ? [T.look.deviation] : [])];
  const rows = Array.from(values, (value, at) => [Math.floor(at / layers), at % layers, value, ...(deviation ? [deviation[at]] : [])]);
  return { caption: name, head, rows };
}

export function heatmap(): Chart<HeatmapInput> {
  let drawn: { input: HeatmapInput; width: number; element: Element; map: Reader } | undefined;
  return chart<HeatmapInput>("heatmap", async (place, input, width) => {
    const Plot = await plot();
    const old = drawn;
    if (old?.element.parentNode !== place || old.input.matrix !== input.matrix || old.input.measure !== input.measure || old.width !== width) {
      const element = picture(Plot, input, width);
      const map = listen(element, input, old?.map.current());
      const focused = old?.map.focused() ?? false;
      place.replaceChildren(element);
      drawn = { input, width, element, map };
      if (focused) map.focus();
    }
    drawn?.map.mark(input.picked);
  });
}

function picture(Plot: Awaited<ReturnType<typeof plot>>, { matrix, measure }: HeatmapInput, width: number): Element {
  const { layers } = matrix;
  const [dark, bright] = mapDomain(measure, matrix);
  const share = (value: number): number => (bright === dark ? 1 : (value - dark) / (bright - dark));
  const data = cells(matrix);
  const written = layers <= WRITTEN && width / layers > 30;
  const axis = {
    type: "band",
    domain: Array.from({ length: layers }, (_, layer) => layer),
    label: null,
    tickSize: 0,
    padding: 0,
    ticks: ticks(layers),
  } as const;
  const element = Plot.plot({
    className: "plot",
    width,
    height: width,
    marginTop: 4,
    marginRight: 4,
    marginBottom: 24,
    marginLeft: 40,
    x: axis,
    y: axis,
    marks: [
      Plot.cell(data, { x: "b", y: "a", fill: ({ value }: Cell) => ramp(share(value)), inset: 0.5 }),
      written
        ? Plot.text(data, {
            x: "b",
            y: "a",
            text: ({ value }: Cell) => value.toFixed(2).replace(/^0/, ""),
            fill: ({ value }: Cell) => (darkTextOn(share(value)) ? "#10202a" : "#f2f7f7"),
            pointerEvents: "none",
          })
        : null,
    ],
  });
  set(element, { role: "group", "aria-label": T.look.map(T.look.measures[measure], layers) });
  return element;
}

function cells({ layers, values }: Matrix): Cell[] {
  return Array.from(values, (value, at) => ({ a: Math.floor(at / layers), b: at % layers, value }));
}

/** The map for pointer and keyboard. */
interface Reader {
  /** The cell that Tab leads to. */
  current: () => number;
  focused: () => boolean;
  focus: () => void;
  /** Marks the boundaries that are picked. */
  mark: (picked: readonly number[]) => void;
}

/**
 * Lets each cell be pointed at, focused and chosen. One cell at a time can be reached by Tab, the
 * arrows move on.
 */
function listen(element: Element, { matrix, onCell, onPick }: HeatmapInput, begin: number | undefined): Reader {
  const { layers } = matrix;
  const data = cells(matrix);
  const rects = [...element.querySelectorAll<SVGRectElement>('g[aria-label="cell"] rect')];
  const boundary = ({ a, b }: Pick<Cell, "a" | "b">): number | undefined => (Math.abs(a - b) === 1 ? Math.min(a, b) : undefined);
  const rings = element.appendChild(svg("g", { class: "rings" }));
  // The first cell next to the diagonal.
  let current = begin !== undefined && begin < rects.length ? begin : Math.min(1, layers - 1);

  const settle = (at: number): void => {
    rects[current]?.setAttribute("tabindex", "-1");
    current = at;
    rects[current]?.setAttribute("tabindex", "0");
  };
  const move = (to: number): void => {
    settle(to);
    rects[current]?.focus();
  };
  const onKey = (event: KeyboardEvent): void => {
    const a = Math.floor(current / layers);
    const b = current % layers;
    const steps: Record<string, number> = {
      ArrowLeft: b > 0 ? current - 1 : current,
      ArrowRight: b < layers - 1 ? current + 1 : current,
      ArrowUp: a > 0 ? current - layers : current,
      ArrowDown: a < layers - 1 ? current + layers : current,
      Home: a * layers,
      End: a * layers + layers - 1,
    };
    const next = steps[event.key];
    const chosen = boundary({ a, b });
    if (next !== undefined) move(next);
    else if ((event.key === "Enter" || event.key === " ") && chosen !== undefined) onPick(chosen);
    else return;
    event.preventDefault();
  };

  rects.forEach((cell, at) => {
    const datum = data[at] as Cell;
    const pair = boundary(datum);
    cell.setAttribute("tabindex", at === current ? "0" : "-1");
    cell.setAttribute("role", pair === undefined ? "img" : "button");
    if (pair !== undefined) cell.classList.add("pair");
    cell.addEventListener("pointerenter", () => onCell(datum));
    cell.addEventListener("focus", () => {
      settle(at); // however the focus came here
      onCell(datum);
    });
    cell.addEventListener("click", () => {
      move(at);
      if (pair !== undefined) onPick(pair);
    });
  });
  element.addEventListener("pointerleave", () => onCell(rects.includes(focusNear(element) as SVGRectElement) ? data[current] : undefined));
  element.addEventListener("keydown", (event) => onKey(event as KeyboardEvent));

  const mark = (picked: readonly number[]): void => {
    rings.replaceChildren();
    rects.forEach((cell, at) => {
      const { a, b } = data[at] as Cell;
      const pair = boundary({ a, b });
      const isPicked = pair !== undefined && picked.includes(pair);
      const words = [`${T.look.cell(a, b)}: ${cellValue(matrix, a, b)}`];
      if (pair !== undefined) words.push(isPicked ? T.look.cellPicked : T.look.cellAction);
      cell.setAttribute("aria-label", words.join(", "));
      if (pair !== undefined) cell.setAttribute("aria-pressed", String(isPicked));
      if (isPicked) rings.append(ringAround(cell));
    });
  };
  return {
    current: () => current,
    focused: () => rects.includes(focusNear(element) as SVGRectElement),
    focus: () => rects[current]?.focus(),
    mark,
  };
}

/** A frame that lies above all cells, where no neighbour covers it. */
function ringAround(cell: SVGRectElement): SVGRectElement {
  const ring = svg("rect");
  for (const name of ["x", "y", "width", "height"]) ring.setAttribute(name, cell.getAttribute(name) ?? "0");
  return ring;
}
