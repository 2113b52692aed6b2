/**
 * What each depth costs: perplexity against the number of layers removed, a line for each method.
 */
import { figure } from "../format";
import { T } from "../texts";
import { type Chart, chart, plot, set } from "./chart";
import { legend, scales } from "./methods";
import type { Table } from "./table";

/** Perplexities of one method; 0 removed is the model as it was. */
export interface Series {
  /** What the method is called by the engine, or "" for one's own choice. */
  method: string;
  title: string;
  points: readonly { removed: number; perplexity: number }[];
}

export interface PerplexityInput {
  series: readonly Series[];
  /** The number of layers that is looked at. */
  removed: number | undefined;
  onRemoved: (removed: number) => void;
}

const HEIGHT = 260;

export function perplexityTable(series: readonly Series[]): Table {
  const depths = depthsOf(series);
  return {
    caption: T.depth.title,
    head: [T.depth.removed, ...series.map(({ title }) => title)],
    rows: depths.map((removed) => [
      removed,
      ...series.map(({ points }) => points.find((point) => point.removed === removed)?.perplexity),
    ]),
  };
}

function depthsOf(series: readonly Series[]): number[] {
  return [...new Set(series.flatMap(({ points }) => points.map(({ removed }) => removed)))].sort((a, b) => a - b);
}

interface Point {
  title: string;
  removed: number;
  perplexity: number;
}

export function perplexityChart(): Chart<PerplexityInput> {
  return chart<PerplexityInput>("perplexity-chart", async (place, { series, removed, onRemoved }, width) => {
    const Plot = await plot();
    const data: Point[] = series.flatMap(({ title, points }) => points.map((point) => ({ title, ...point })));
    const depths = depthsOf(series);
    const title = ({ title, removed, perplexity }: Point): string => `${title}\n${T.depth.point(removed, figure(perplexity))}`;
    const values = data.map(({ perplexity }) => perplexity);
    const domain = [Math.min(...values) / 1.1, Math.max(...values) * 1.15];
    const scale = { x: "removed", y: "perplexity" } as const;
    const picture = Plot.plot({
      className: "plot",
      width,
      height: HEIGHT,
      marginTop: 10,
      marginRight: 8,
      marginBottom: 34,
      marginLeft: 46,
      x: { type: "point", domain: depths, label: T.depth.removed, labelArrow: "none", labelAnchor: "center", tickSize: 0 },
      y: { type: "log", domain, label: null, grid: true, ticks: 5, tickSize: 0, tickFormat: "~s" },
      ...scales(series),
      marks: [
        removed !== undefined && depths.includes(removed) ? Plot.ruleX([removed], { stroke: "var(--accent)", strokeWidth: 2 }) : null,
        Plot.line(data, { ...scale, stroke: "title", strokeWidth: 1.6 }),
        Plot.dot(data, { ...scale, stroke: "title", symbol: "title", r: 4, fill: "var(--plot-background)", strokeWidth: 1.8 }),
        Plot.tip(data, Plot.pointer({ ...scale, title })),
      ],
    });
    for (const mark of picture.querySelectorAll("g[aria-label]")) mark.removeAttribute("aria-label");
    const lines = series.map(({ title, points }) => {
      const ends = [points[0], points.at(-1)].flatMap((point) => (point ? [T.depth.point(point.removed, figure(point.perplexity))] : []));
      return `${title}: ${ends.join("; ")}.`;
    });
    set(picture, { role: "img", "aria-label": `${T.depth.title}. ${lines.join(" ")}` });
    picture.addEventListener("click", (event) => {
      const { left, width: wide } = picture.getBoundingClientRect();
      const share = (((event as MouseEvent).clientX - left) * (width / wide) - 46) / (width - 46 - 8);
      const step = 1 / Math.max(1, depths.length);
      const chosen = depths[Math.min(depths.length - 1, Math.max(0, Math.floor(share / step)))];
      if (chosen !== undefined && chosen > 0) onRemoved(chosen);
    });
    place.replaceChildren(legend(Plot, series), picture);
  });
}
