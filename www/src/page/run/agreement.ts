/** How far two runs of the same settings are from each other, quantity by quantity. */
import type { Cloud } from "../../ui/charts/procrustes";
import { misfit } from "../../ui/charts/procrustes";
import type { Results } from "./results";

export type Quantity =
  | "similarity"
  | "influence"
  | "norms"
  | "manifold"
  | "layers"
  | "alpha"
  | "perplexity"
  | "divergence"
  | "depth"
  | "texts";

export interface Difference {
  quantity: Quantity;
  /** The largest difference; relative where a quantity has no scale of its own. */
  largest: number;
  relative: boolean;
  /** Whether two engines may differ by that much. */
  agrees: boolean;
}

/**
 * What two engines may differ by: sums of float32 in another order, and merges computed from them.
 */
const TOLERANCES: Record<Quantity, number> = {
  similarity: 0.002,
  influence: 0.001,
  norms: 0.001,
  manifold: 0.01,
  layers: 0,
  alpha: 0.002,
  perplexity: 0.005,
  divergence: 0.01,
  depth: 0.01,
  texts: 0,
};

export function differences(a: Results, b: Results): Difference[] {
  const difference = (quantity: Quantity, relative: boolean, largest: number): Difference => ({
    quantity,
    relative,
    largest,
    agrees: largest <= TOLERANCES[quantity],
  });
  const steps = [a.merged?.steps ?? [], b.merged?.steps ?? []] as const;
  const same = steps[0].length === steps[1].length && steps[0].every(({ keep, gone }, at) => keep === steps[1][at]?.keep && gone === steps[1][at]?.gone);
  return [
    difference("similarity", false, Math.max(...[...a.matrices].map(([name, { values }]) => apart(values, b.matrices.get(name)?.values)))),
    difference("influence", false, apart(a.influence, b.influence)),
    difference("norms", true, apart(a.norms, b.norms, true)),
    difference("manifold", true, cloudsApart(a.clouds, b.clouds)),
    difference("layers", false, same ? 0 : 1),
    difference("alpha", false, apart(steps[0].map(({ alpha }) => alpha ?? 0), steps[1].map(({ alpha }) => alpha ?? 0))),
    difference("perplexity", true, apart(perplexities(a), perplexities(b), true)),
    difference("divergence", false, apart(a.comparison && [a.comparison.kl], b.comparison && [b.comparison.kl])),
    difference("depth", true, apart(depths(a), depths(b), true)),
    difference("texts", false, a.written.before === b.written.before && a.written.after === b.written.after ? 0 : 1),
  ];
}

function perplexities({ comparison }: Results): number[] | undefined {
  return comparison && [comparison.dense.perplexity, comparison.merged.perplexity];
}

function depths({ series }: Results): number[] {
  return series.flatMap(({ points }) => points.map(({ perplexity }) => perplexity));
}

/** Infinity where one has what the other lacks. */
function apart(a: ArrayLike<number> | undefined, b: ArrayLike<number> | undefined, relative = false): number {
  if (a === undefined && b === undefined) return 0;
  if (a === undefined || b === undefined || a.length !== b.length) return Infinity;
  let largest = 0;
  for (let at = 0; at < a.length; at += 1) {
    const difference = Math.abs(a[at]! - b[at]!);
    largest = Math.max(largest, relative ? difference / Math.abs(a[at]!) : difference);
  }
  return largest;
}

/**
 * Of the clouds of two runs, each pair turned to fit: the largest root mean square distance, in
 * sizes of the cloud.
 */
function cloudsApart(a: readonly Cloud[] | undefined, b: readonly Cloud[] | undefined): number {
  if (!a || !b || a.length !== b.length) return a === b ? 0 : Infinity;
  return Math.max(...a.map((cloud, layer) => misfit(b[layer]!, cloud)));
}
