/**
 * The line-up: a line for each method against the layers removed, the spread over seeds as bars.
 */
import { figure } from "../format";
import { LINEUP } from "../texts/lineup";
import { type Chart, chart, plot, set } from "./chart";
import { legend, scales } from "./methods";
import type { Table } from "./table";

/** One method at one size: the mean over its seeds, and how far the seeds lie apart. */
export interface LineupMark {
  preset: string;
  title: string;
  removed: number;
  value: number;
  least: number;
  most: number;
}

export interface LineupInput {
  marks: readonly LineupMark[];
  /** What is drawn upwards. */
  label: string;
  log: boolean;
  onMark: (mark: LineupMark) => void;
}

const HEIGHT = 300;

export function lineupTable(marks: readonly LineupMark[], label: string): Table {
  const depths = [...new Set(marks.map(({ removed }) => removed))].sort((a, b) => a - b);
  const titles = [...new Set(marks.map(({ title }) => title))];
  const value = (title: string, removed: number) => marks.find((mark) => mark.title === title && mark.removed === removed)?.value;
  return {
    caption: label,
    head: [LINEUP.method, ...depths.map((removed) => LINEUP.removed(removed))],
    rows: titles.map((title) => [title, ...depths.map((removed) => value(title, removed))]),
  };
}

export function lineupChart(): Chart<LineupInput> {
  return chart<LineupInput>("lineup-chart", async (place, { marks, label, log, onMark }, width) => {
    const Plot = await plot();
    const methods = [...new Map(marks.map(({ preset, title }) => [preset, { method: preset, title }])).values()];
    const depths = [...new Set(marks.map(({ removed }) => removed))].sort((a, b) => a - b);
    const scale = { x: "removed", y: "value" } as const;
    const title = (mark: LineupMark): string => `${mark.title}\n${LINEUP.point(mark.removed, label, figure(mark.value))}`;
    const picture = Plot.plot({
      className: "plot",
      width,
      height: HEIGHT,
      marginTop: 12,
      marginRight: 8,
      marginBottom: 34,
      marginLeft: 46,
      x: { type: "point", domain: depths, label: LINEUP.axis, labelArrow: "none", labelAnchor: "center", tickSize: 0 },
      y: { type: log ? "log" : "linear", label: null, grid: true, ticks: 5, tickSize: 0, tickFormat: log ? "~s" : undefined, nice: !log },
      ...scales(methods),
      marks: [
        Plot.ruleX(marks.filter(({ least, most }) => most > least), { x: "removed", y1: "least", y2: "most", stroke: "title", strokeWidth: 1.4 }),
        Plot.line(marks, { ...scale, stroke: "title", strokeWidth: 1.6 }),
        Plot.dot(marks, { ...scale, stroke: "title", symbol: "title", r: 5, fill: "var(--plot-background)", strokeWidth: 1.8 }),
        Plot.tip(marks, Plot.pointer({ ...scale, title })),
      ],
    });
    for (const mark of picture.querySelectorAll("g[aria-label]")) mark.removeAttribute("aria-label");
    set(picture, { role: "img", "aria-label": `${label}. ${marks.map((mark) => title(mark).replace("\n", ": ")).join(", ")}` });
    // The table below has a button for each point, for those who use no pointer.
    picture.addEventListener("click", () => {
      const mark = (picture as { value?: LineupMark | null }).value;
      if (mark) onMark(mark);
    });
    place.replaceChildren(legend(Plot, methods), picture);
  });
}
