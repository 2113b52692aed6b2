/** What the layers of a merged model are made of, from the steps of its recipe. */

/**
 * A step of a recipe, in its own spelling: `gone` was merged into `keep`, whose weight is `alpha`.
 * Indices are those of the original layers.
 */
export interface Step {
  keep: number;
  gone: number;
  /**
   * Absent where the two were not averaged: a concatenation where `kept` is there, otherwise a
   * difference.
   */
  alpha?: number | undefined;
  /** The neurons and heads of the two that make the new layer, as runs of indices: `"0-3,7"`. */
  kept?: { neurons: readonly string[]; heads: readonly string[] } | undefined;
  /** One of the two is present where the gap was repaired. */
  ridge?: number | undefined;
  scale?: number | undefined;
}

/** The parts of a recipe that matter here. */
interface Merges {
  steps: readonly Step[];
  /** Layers that were fitted anew at the end. */
  refits?: readonly { layer: number; ridges: readonly [number, number] }[] | undefined;
}

const known = new WeakMap<Merges, readonly Step[]>();

/**
 * The steps of a recipe; a gap counts as repaired where the layer before it was fitted anew. The
 * same list each time, so that nothing is drawn twice.
 */
export function stepsOf(recipe: Merges): readonly Step[] {
  let steps = known.get(recipe);
  if (!steps) {
    const ridges = new Map(recipe.refits?.map(({ layer, ridges: [, down] }) => [layer, down]));
    steps = recipe.steps.map((step) => ({ ...step, ridge: step.ridge ?? ridges.get(step.keep) }));
    known.set(recipe, steps);
  }
  return steps;
}

/** A layer of the merged model. */
export interface MergedLayer {
  /**
   * The original layers that it is made of, in order, each with its weight in the sum, or its share
   * of neurons and heads; 0: it was dropped.
   */
  parts: { layer: number; weight: number }[];
  repaired: boolean;
}

/**
 * A layer while steps are applied: once it was concatenated, with the original layer of each neuron
 * and head.
 */
interface Growing extends MergedLayer {
  origins?: { neurons: number[]; heads: number[] } | undefined;
}

/** The layers of the merged model, in order. */
export function lineage(layers: number, steps: readonly Step[]): MergedLayer[] {
  const merged = new Map<number, Growing>(
    Array.from({ length: layers }, (_, layer) => [layer, { parts: [{ layer, weight: 1 }], repaired: false }]),
  );
  for (const step of steps) {
    const [earlier, later] = [merged.get(step.keep), merged.get(step.gone)];
    if (!earlier || !later) continue;
    // A later merge of the same layer makes its repair void; it is fitted anew.
    merged.set(step.keep, { ...joined(step, earlier, later), repaired: (step.ridge ?? step.scale) !== undefined });
    merged.delete(step.gone);
  }
  return [...merged.values()].map(({ parts, repaired }) => ({ parts, repaired }));
}

/** The layer that a step makes of two. */
function joined({ keep, alpha, kept }: Step, earlier: Growing, later: Growing): Omit<Growing, "repaired"> {
  const scaled = ({ parts }: MergedLayer, factor: number) => parts.map(({ layer, weight }) => ({ layer, weight: weight * factor }));
  if (alpha === 1) return { parts: summed([...earlier.parts, ...scaled(later, 0)]), origins: earlier.origins };
  if (alpha === 0) return { parts: summed([...scaled(earlier, 0), ...later.parts]), origins: later.origins };
  if (alpha !== undefined) return { parts: summed([...scaled(earlier, alpha), ...scaled(later, 1 - alpha)]) };
  if (!kept) return { parts: summed([...earlier.parts, ...later.parts, { layer: keep, weight: -1 }]) };
  const of = (unit: "neurons" | "heads"): number[] =>
    [earlier, later].flatMap((merged, side) => indices(kept[unit][side] ?? "").map((index) => merged.origins?.[unit][index] ?? whole(merged)));
  const origins = { neurons: of("neurons"), heads: of("heads") };
  const shares = Object.values(origins).flatMap((list) => list.map((layer) => ({ layer, weight: 0.5 / list.length })));
  return { parts: summed([...scaled(earlier, 0), ...scaled(later, 0), ...shares]), origins };
}

/** The one original layer that a merged one is. */
function whole({ parts }: MergedLayer): number {
  return parts.find(({ weight }) => weight === 1)?.layer ?? parts[0]?.layer ?? 0;
}

/** One weight for each layer. */
function summed(parts: MergedLayer["parts"]): MergedLayer["parts"] {
  const weights = new Map<number, number>();
  for (const { layer, weight } of parts) weights.set(layer, (weights.get(layer) ?? 0) + weight);
  return [...weights].map(([layer, weight]) => ({ layer, weight })).sort((a, b) => a.layer - b.layer);
}

/** `"0-3,7"` as `[0, 1, 2, 3, 7]`. */
function indices(runs: string): number[] {
  return runs.split(",").filter(Boolean).flatMap((run) => {
    const [first = 0, last = first] = run.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, at) => first + at);
  });
}
