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

/**
 * The pairs that one-shot `similarity` takes, by the likeness of the original layers, most alike first, the deeper of equals. `alike(gone)` is that of a layer and
 * the one in front of it.
 */
export function mostAlike(
  layers: number,
  remove: number,
  { first, last }: Protection,
  changes: boolean,
  alike: (gone: number) => number,
): { keep: number; gone: number; alike: number }[] {
  const left = Array.from({ length: layers }, (_, layer) => layer);
  const taken = [];
  while (taken.length < remove) {
    const pairs = left.slice(1).map((gone, at) => ({ keep: left[at] as number, gone, alike: alike(gone) }));
    const allowed = pairs.filter(({ keep, gone }) => !(last && gone === layers - 1) && !(first && changes && keep === 0));
    const next = allowed.reduce<(typeof pairs)[0] | undefined>((best, pair) => (best && best.alike > pair.alike ? best : pair), undefined);
    if (!next) break;
    taken.push(next);
    left.splice(left.indexOf(next.gone), 1);
  }
  return taken;
}
