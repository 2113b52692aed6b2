/**
 * One colour and one glyph for each method, in every picture, and legends that show both. Must not
 * know what is drawn of a method.
 */
import type { plot } from "./chart";

type Library = Awaited<ReturnType<typeof plot>>;

/** More lines can't be distinguished. */
export const COLOURS = 6;
/** Names of Plot's, which draws each as an outline. */
const GLYPHS = ["circle", "square", "triangle", "diamond", "star", "hexagon"] as const;
/** In a fixed order: the six that are compared most often have a colour each. */
const METHODS = [
  "loss-guided",
  "mka",
  "shortgpt",
  "published-code",
  "replaceme",
  "sleb",
  "window-drop",
  "laco",
  "prune-comp",
  "come",
  "published-code-written",
];

export interface Look {
  colour: string;
  symbol: (typeof GLYPHS)[number];
}

/** "" is one's own choice. */
export function lookOf(method: string): Look {
  const known = METHODS.indexOf(method);
  const at = known < 0 ? METHODS.length : known;
  // Beyond the sixth a colour comes again, with another glyph.
  const symbol = GLYPHS[(at + Math.floor(at / COLOURS)) % GLYPHS.length] ?? "circle";
  return { colour: `var(--series-${at % COLOURS})`, symbol };
}

/** The scales of a plot whose lines are named by these titles. */
export function scales(methods: readonly { method: string; title: string }[]): object {
  const domain = methods.map(({ title }) => title);
  const looks = methods.map(({ method }) => lookOf(method));
  return {
    color: { type: "ordinal", domain, range: looks.map(({ colour }) => colour) },
    symbol: { domain, range: looks.map(({ symbol }) => symbol) },
  };
}

/** The names, each after its glyph as the plot draws it. */
export function legend(Plot: Library, methods: readonly { method: string; title: string }[]): HTMLElement {
  const list = document.createElement("ul");
  list.className = "series-legend";
  for (const { method, title } of methods) {
    const { colour, symbol } = lookOf(method);
    const mark = Plot.dot([0], { x: 0, y: 0, r: 4.5, symbol, stroke: colour, fill: "var(--plot-background)", strokeWidth: 1.8 });
    const glyph = Plot.plot({ className: "plot", width: 18, height: 14, margin: 0, axis: null, x: { domain: [-1, 1] }, y: { domain: [-1, 1] }, marks: [mark] });
    glyph.setAttribute("aria-hidden", "true");
    const item = document.createElement("li");
    item.append(glyph, title);
    list.append(item);
  }
  return list;
}
