/** Two texts that should be alike, with what only one of them says marked in it. */
import { diffWordsWithSpace } from "diff";
import type { Table } from "./table";

/** A piece of text that both say, or only one of them. */
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
