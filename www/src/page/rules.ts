/** What a merge may take away, as the engine sees it: pure functions, for the page and for the element. */

/** Which ends may neither go nor change. */
export interface Protection {
  first: boolean;
  last: boolean;
}

/** The protection as the engine is told it: `tail` goes from the last block on, so it can't spare that one. */
export function protectionFor(selection: string, { first, last }: Protection = { first: true, last: true }): Protection {
  return { first, last: last && selection !== "tail" };
}

/**
 * How many of `layers` can go at most. One is always left to merge into. A protected last block never goes; a protected first
 * block may be what others are dropped behind, but not what others are merged into.
 */
export function mostRemovable(
  layers: number,
  { selection, combination }: { selection: string; combination: string },
  protect?: Protection,
): number {
  if (selection === "manual") return Math.max(0, layers - 1);
  const { first, last } = protectionFor(selection, protect);
  return Math.max(0, layers - 1 - (last ? 1 : 0) - (first && combination !== "drop" ? 1 : 0));
}

/** Picked boundaries as [keep, gone], in the original indices: a layer that is gone stands for the one it went into. */
export function pairsOf(picked: readonly number[]): [number, number][] {
  const into = new Map<number, number>();
  return picked.map((boundary) => {
    let keep = boundary;
    while (into.has(keep)) keep = into.get(keep) as number;
    into.set(boundary + 1, keep);
    return [keep, boundary + 1];
  });
}
