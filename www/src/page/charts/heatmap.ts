/** The map of L x L layers: drawn by Observable Plot, read by pointer and keyboard. */
import type * as PlotModule from "@observablehq/plot";
import type { LayerMatrix, SimilarityName } from "#mka";
import { T } from "../texts";
import { darkTextOn, ramp } from "./colour";

/** Up to this many layers the values fit into the cells. */
const WRITTEN = 12;

interface Cell {
  a: number;
  b: number;
  value: number;
}

export interface MapInput {
  matrix: LayerMatrix;
  measure: SimilarityName;
  /** Pixels. */
  width: number;
  onCell: (cell: { a: number; b: number } | undefined) => void;
  /** The boundary between the layers i and i + 1 was chosen. */
  onPick: (boundary: number) => void;
}

export interface MapChart {
  element: Element;
  /** Marks the boundaries that are picked. */
  mark: (picked: readonly number[]) => void;
}

/** The values at the dark and at the bright end: the bright end is the likest, also for a distance. */
export function mapDomain(measure: SimilarityName, { values }: LayerMatrix): [number, number] {
  const least = Math.min(...values);
  const most = Math.max(...values);
  return measure === "angular" ? [most, least] : [least, most];
}

export function heatmap(Plot: typeof PlotModule, input: MapInput): MapChart {
  const { matrix, measure, width } = input;
  const { layers } = matrix;
  const [dark, bright] = mapDomain(measure, matrix);
  const share = (value: number): number => (bright === dark ? 1 : (value - dark) / (bright - dark));
  const data: Cell[] = Array.from(matrix.values, (value, at) => ({ a: Math.floor(at / layers), b: at % layers, value }));
  const indices = Array.from({ length: layers }, (_, layer) => layer);
  const every = layers <= 16 ? 1 : layers <= 40 ? 5 : 10;
  const written = layers <= WRITTEN && width / layers > 30;
  const axis = {
    type: "band",
    domain: indices,
    label: null,
    tickSize: 0,
    padding: 0,
    ticks: indices.filter((layer) => layer % every === 0),
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
  element.setAttribute("role", "group");
  element.setAttribute("aria-label", T.look.map(T.look.measures[measure], layers));
  const cells = [...element.querySelectorAll<SVGRectElement>('g[aria-label="cell"] rect')];
  const mark = listen(element, cells, data, layers, input);
  return { element, mark };
}

/** Lets each cell be pointed at, focused and chosen. One cell at a time can be reached by Tab, the arrows move on. */
function listen(
  element: Element,
  cells: SVGRectElement[],
  data: Cell[],
  layers: number,
  { onCell, onPick }: MapInput,
): MapChart["mark"] {
  const boundary = ({ a, b }: Pick<Cell, "a" | "b">): number | undefined => (Math.abs(a - b) === 1 ? Math.min(a, b) : undefined);
  const rings = element.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "g"));
  rings.setAttribute("class", "rings");
  let current = Math.min(1, layers - 1); // the first cell next to the diagonal

  const move = (to: number): void => {
    cells[current]?.setAttribute("tabindex", "-1");
    current = to;
    cells[current]?.setAttribute("tabindex", "0");
    cells[current]?.focus();
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

  cells.forEach((cell, at) => {
    const datum = data[at] as Cell;
    const pair = boundary(datum);
    cell.setAttribute("tabindex", at === current ? "0" : "-1");
    cell.setAttribute("role", pair === undefined ? "img" : "button");
    if (pair !== undefined) cell.classList.add("pair");
    cell.addEventListener("pointerenter", () => onCell(datum));
    cell.addEventListener("focus", () => onCell(datum));
    cell.addEventListener("click", () => {
      move(at);
      if (pair !== undefined) onPick(pair);
    });
  });
  element.addEventListener("pointerleave", () => onCell(cells.includes(document.activeElement as SVGRectElement) ? data[current] : undefined));
  element.addEventListener("keydown", (event) => onKey(event as KeyboardEvent));

  return (picked) => {
    rings.replaceChildren();
    cells.forEach((cell, at) => {
      const { a, b, value } = data[at] as Cell;
      const pair = boundary({ a, b });
      const isPicked = pair !== undefined && picked.includes(pair);
      const words = [`${T.look.cell(a, b)}: ${value.toFixed(4)}`];
      if (pair !== undefined) words.push(isPicked ? T.look.cellPicked : T.look.cellAction);
      cell.setAttribute("aria-label", words.join(", "));
      if (pair !== undefined) cell.setAttribute("aria-pressed", String(isPicked));
      if (isPicked) rings.append(ringAround(cell));
    });
  };
}

/** A frame that lies above all cells, where no neighbour covers it. */
function ringAround(cell: SVGRectElement): SVGRectElement {
  const ring = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const name of ["x", "y", "width", "height"]) ring.setAttribute(name, cell.getAttribute(name) ?? "0");
  return ring;
}
