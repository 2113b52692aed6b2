/** What the layers of a merged model are made of, from the steps of its recipe. */

/** A step of a recipe: `gone` went into `keep`, which weighs `alpha`. Indices are those of the original layers. */
export interface Step {
  keep: number;
  gone: number;
  /** Absent where the two were not averaged: a difference or a concatenation counts as halves. */
  alpha?: number | undefined;
  /** Present where the two were concatenated. */
  kept?: object | undefined;
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
  /** The original layers that it stands for, from the front, each with its weight in the sum; 0: it was dropped. */
  parts: { layer: number; weight: number }[];
  repaired: boolean;
}

/** The survivors, from the front. A layer that took up several is one weighted sum of original layers. */
export function lineage(layers: number, steps: readonly Step[]): Survivor[] {
  const survivors = new Map<number, Survivor>(
    Array.from({ length: layers }, (_, layer) => [layer, { parts: [{ layer, weight: 1 }], repaired: false }]),
  );
  for (const { keep, gone, alpha = 0.5, ridge, scale } of steps) {
    const [front, back] = [survivors.get(keep), survivors.get(gone)];
    if (!front || !back) continue;
    const scaled = ({ parts }: Survivor, factor: number) => parts.map(({ layer, weight }) => ({ layer, weight: weight * factor }));
    // A later merge of the same layer makes its repair void; it is fitted anew.
    survivors.set(keep, { parts: [...scaled(front, alpha), ...scaled(back, 1 - alpha)], repaired: (ridge ?? scale) !== undefined });
    survivors.delete(gone);
  }
  return [...survivors.values()];
}
