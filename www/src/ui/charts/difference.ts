/** Two texts that should be alike, with what is in only one of them marked. */
import { diffWordsWithSpace } from "diff";
import { svg } from "./chart";
import type { Table } from "./table";

/** A piece of text that is in both, or in only one of them. */
export interface Piece {
  text: string;
  side: "both" | "before" | "after";
}

/** The shortest way from one text to the other, word by word (Myers 1986). */
export function pieces(before: string, after: string): Piece[] {
  return diffWordsWithSpace(before, after).map(({ value, added, removed }) => ({
    text: value,
    side: added ? "after" : removed ? "before" : "both",
  }));
}

/** The share of the words of both texts that are the same, and in the same order. */
export function sameShare(list: readonly Piece[]): number {
  const words = (text: string): number => text.split(/\s+/).filter(Boolean).length;
  const count = (side: Piece["side"]): number => list.filter((piece) => piece.side === side).reduce((sum, { text }) => sum + words(text), 0);
  const same = 2 * count("both");
  const all = same + count("before") + count("after");
  return all === 0 ? 1 : same / all;
}

export function differenceTable(list: readonly Piece[], caption: string, head: readonly [string, string, string]): Table {
  return {
    caption,
    head,
    rows: list.map(({ text, side }, at) => [at + 1, side === "after" ? "" : text, side === "before" ? "" : text]),
  };
}

const COLUMN = 46;
const CHARACTER = 7.3;
const LINE = 18;

/** Both texts beside one another as a drawing, for files: on a page they are text. */
export function textsPicture(list: readonly Piece[], prompt: string, heads: readonly [string, string]): SVGSVGElement {
  const columns = (["before", "after"] as const).map((side) => {
    const own = list.filter((piece) => piece.side === "both" || piece.side === side);
    return lines([{ text: prompt, side: "both" as const }, ...own]);
  });
  const width = (COLUMN + 3) * CHARACTER;
  const height = (Math.max(...columns.map(({ length }) => length)) + 2) * LINE;
  const columnAt = (column: Piece[][], at: number): SVGElement[] => [
    svg("text", { x: at * width, y: LINE - 4, class: "head" }, heads[at] ?? ""),
    ...column.map((line, row) =>
      svg(
        "text",
        { x: at * width, y: (row + 2) * LINE, "xml:space": "preserve" },
        ...line.map(({ text, side }) => svg("tspan", side === "both" ? {} : { class: "other" }, text)),
      ),
    ),
  ];
  return svg("svg", { class: "plot texts", width: 2 * width, height, viewBox: `0 0 ${2 * width} ${height}` }, ...columns.flatMap(columnAt));
}

/** Broken into lines at spaces. */
function lines(list: readonly Piece[]): Piece[][] {
  const all: Piece[][] = [[]];
  let used = 0;
  for (const { text, side } of list) {
    for (const word of text.split(/(\n|[^\S\n]+)/)) {
      if (word === "\n" || (used > 0 && used + word.length > COLUMN && word.trim())) {
        all.push([]);
        used = 0;
      }
      if (word === "\n" || (used === 0 && !word.trim())) continue;
      all.at(-1)?.push({ text: word, side });
      used += word.length;
    }
  }
  return all;
}
