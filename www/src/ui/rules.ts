/**
 * Which layers a merge may remove, by the rules of the crate: pure functions, for the page and the
 * element.
 */
import type { Combination, Selection } from "../api/choices";

/** Which ends may neither be removed nor changed. */
export interface Protection {
  first: boolean;
  last: boolean;
}

/**
 * The protection as the engine takes it: `tail` begins with the last block, so it can't spare it.
 */
export function protectionFor(selection: Selection, { first, last }: Protection = { first: true, last: true }): Protection {
  return { first, last: last && selection !== "tail" };
}

/**
 * How many of `layers` can be removed at most. One is always left to merge into. A protected last
 * block is never removed; a protected first block may be the one that others are dropped after, but
 * not one that others are merged into. Blocks of different `kinds` (a number for each; none where
 * all are alike) are not merged into each other.
 */
export function mostRemovable(
  layers: number,
  { selection, combination }: { selection: Selection; combination: Combination },
  protect?: Protection,
  kinds: readonly number[] = [],
): number {
  if (selection === "manual") return Math.max(0, layers - 1);
  const { first, last } = protectionFor(selection, protect);
  const changes = combination !== "drop";
  const removable = (removed: number): boolean =>
    !(last && removed === layers - 1) && !(first && changes && removed === 1) && !(changes && kinds[removed] !== kinds[removed - 1]);
  return Array.from({ length: Math.max(0, layers - 1) }, (_, before) => before + 1).filter(removable).length;
}

/**
 * Picked boundaries as [keep, removed], in the original indices: a removed layer stands for the one
 * that it was merged into.
 */
export function pairsOf(picked: readonly number[]): [number, number][] {
  const into = new Map<number, number>();
  return picked.map((boundary) => {
    let keep = boundary;
    while (into.has(keep)) keep = into.get(keep) as number;
    into.set(boundary + 1, keep);
    return [keep, boundary + 1];
  });
}

/** A pair that would be merged, in the original indices. */
export interface PreviewPair {
  keep: number;
  removed: number;
  similarity: number;
}

/**
 * The pairs that one-shot `similarity` takes, by the similarities of the original layers, the most
 * similar first, the deeper of equals. `similarityOf(layer)` is that of a layer and the one before.
 * `changes`: the combination changes the layer that is kept. `kinds` as in `mostRemovable`.
 */
export function mostSimilar(
  layers: number,
  remove: number,
  { first, last }: Protection,
  changes: boolean,
  similarityOf: (layer: number) => number,
  kinds: readonly number[] = [],
): PreviewPair[] {
  const left = Array.from({ length: layers }, (_, layer) => layer);
  const taken: PreviewPair[] = [];
  while (taken.length < remove) {
    const pairs = left.slice(1).map((removed, at) => ({ keep: left[at] as number, removed, similarity: similarityOf(removed) }));
    const joins = ({ keep, removed }: PreviewPair): boolean => !changes || (!(first && keep === 0) && kinds[keep] === kinds[removed]);
    const allowed = pairs.filter((pair) => !(last && pair.removed === layers - 1) && joins(pair));
    const next = allowed.reduce<PreviewPair | undefined>((best, pair) => (best && best.similarity > pair.similarity ? best : pair), undefined);
    if (!next) break;
    taken.push(next);
    left.splice(left.indexOf(next.removed), 1);
  }
  return taken;
}
