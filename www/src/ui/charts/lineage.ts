/** What the layers of a merged model are made of, from the steps of its recipe. */

/** A step of a recipe: `gone` went into `keep`, which weighs `alpha`. Indices are those of the original layers. */
export interface Step {
  keep: number;
  gone: number;
  /** Absent where the two were not averaged: a concatenation where `kept` is there, otherwise a difference. */
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

/** The steps of a recipe; a gap in front of which the layer was fitted anew counts as repaired. The same list each time, so that nothing is drawn twice. */
export function stepsOf(recipe: Merges): readonly Step[] {
  let steps = known.get(recipe);
  if (!steps) {
    const ridges = new Map(recipe.refits?.map(({ layer, ridges: [, down] }) => [layer, down]));
    steps = recipe.steps.map((step) => ({ ...step, ridge: step.ridge ?? ridges.get(step.keep) }));
    known.set(recipe, steps);
  }
  return steps;
}

export interface Survivor {
  /** The original layers that it stands for, from the front, each with its weight in the sum, or its share of neurons and heads; 0: it was dropped. */
  parts: { layer: number; weight: number }[];
  repaired: boolean;
}

/** A survivor on its way: the original layer of each of its neurons and heads, once it was concatenated. */
interface Growing extends Survivor {
  origins?: { neurons: number[]; heads: number[] } | undefined;
}

/** The survivors, from the front. */
export function lineage(layers: number, steps: readonly Step[]): Survivor[] {
  const survivors = new Map<number, Growing>(
    Array.from({ length: layers }, (_, layer) => [layer, { parts: [{ layer, weight: 1 }], repaired: false }]),
  );
  for (const step of steps) {
    const [front, back] = [survivors.get(step.keep), survivors.get(step.gone)];
    if (!front || !back) continue;
    // A later merge of the same layer makes its repair void; it is fitted anew.
    survivors.set(step.keep, { ...joined(step, front, back), repaired: (step.ridge ?? step.scale) !== undefined });
    survivors.delete(step.gone);
  }
  return [...survivors.values()].map(({ parts, repaired }) => ({ parts, repaired }));
}

/** What a step makes of two survivors. */
function joined({ keep, alpha, kept }: Step, front: Growing, back: Growing): Omit<Growing, "repaired"> {
  const scaled = ({ parts }: Survivor, factor: number) => parts.map(({ layer, weight }) => ({ layer, weight: weight * factor }));
  if (alpha === 1) return { parts: summed([...front.parts, ...scaled(back, 0)]), origins: front.origins };
  if (alpha === 0) return { parts: summed([...scaled(front, 0), ...back.parts]), origins: back.origins };
  if (alpha !== undefined) return { parts: summed([...scaled(front, alpha), ...scaled(back, 1 - alpha)]) };
  if (!kept) return { parts: summed([...front.parts, ...back.parts, { layer: keep, weight: -1 }]) };
  const of = (unit: "neurons" | "heads"): number[] =>
    [front, back].flatMap((survivor, side) => indices(kept[unit][side] ?? "").map((index) => survivor.origins?.[unit][index] ?? whole(survivor)));
  const origins = { neurons: of("neurons"), heads: of("heads") };
  const shares = Object.values(origins).flatMap((list) => list.map((layer) => ({ layer, weight: 0.5 / list.length })));
  return { parts: summed([...scaled(front, 0), ...scaled(back, 0), ...shares]), origins };
}

/** The one layer that a survivor is. */
function whole({ parts }: Survivor): number {
  return parts.find(({ weight }) => weight === 1)?.layer ?? parts[0]?.layer ?? 0;
}

/** One weight for each layer. */
function summed(parts: Survivor["parts"]): Survivor["parts"] {
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
