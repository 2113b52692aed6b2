/** The cost of every depth: merges of one layer, of two, and so on, each by several methods. */
import { MkaError } from "#mka";
import type { Series } from "../../ui/charts/perplexity";
import { mostRemovable } from "../../ui/rules";
import { state, update } from "../state/state";
import { T } from "../../ui/texts";
import { job, type Watch } from "./job";
import { presets } from "./load";
import { calibrateWithin } from "./measure";
import { comparedText } from "./merge";

/** The deepest that is measured: both ends stay, and one layer to merge into. */
export function deepest(): number {
  return Math.max(1, (state.model?.summary.layers ?? state.example?.results.summary?.layers ?? 12) - 3);
}

/**
 * The chosen methods that can remove a layer of a model of `layers`, each with how many at most.
 */
function descents(layers: number): { name: string; title: string; most: number }[] {
  const { depth } = state;
  const most = Math.min(depth.most, deepest());
  const kinds = state.model?.summary.blockKinds;
  return presets()
    .filter(({ name }) => depth.methods.includes(name))
    .map(({ name, title, options }) => ({ name, title, most: Math.min(most, mostRemovable(layers, options, undefined, kinds)) }))
    .filter(({ most }) => most > 0);
}

export async function measureDepth(): Promise<void> {
  await job("depth", async (watch) => {
    if (descents(state.model?.summary.layers ?? 0).length === 0) throw new MkaError("bad-argument", T.depth.none, T.depth.noneHint);
    if (!state.calibration) await calibrateWithin(watch);
    await depthWithin(watch);
  });
}

/** As a part of a job. The curves grow as they are measured. */
export async function depthWithin({ signal, onProgress }: Watch): Promise<void> {
  const { model, calibration } = state;
  if (!model || !calibration) return;
  const text = await comparedText();
  const methods = descents(model.summary.layers);
  const total = methods.reduce((sum, { most }) => sum + most, 0);
  const begun = performance.now();
  const done: Series[] = [];
  // Curves of methods that are not measured now stay, where they are of the same text.
  const before = state.series.filter(({ method }) => !methods.some(({ name }) => name === method));
  let count = 0;
  for (const { name, title, most } of methods) {
    const points: { removed: number; perplexity: number }[] = [];
    for (let removed = 1; removed <= most; removed += 1) {
      const merged = await model.merge({ preset: name, calibration, remove: removed, signal });
      try {
        const { dense, merged: after } = await merged.evaluate({ text, ...state.compare, signal });
        if (points.length === 0) points.push({ removed: 0, perplexity: dense.perplexity });
        points.push({ removed, perplexity: after.perplexity });
      } finally {
        merged.close();
      }
      count += 1;
      const secondsLeft = ((performance.now() - begun) / 1000 / count) * (total - count);
      onProgress({ step: "depth", done: count, total, unit: "merges", secondsLeft });
      const others = before.filter((other) => Math.abs((other.points[0]?.perplexity ?? 0) / (points[0]?.perplexity ?? 1) - 1) < 1e-6);
      state.series = [...others, ...done, { method: name, title, points: [...points] }];
      state.chosen = undefined;
      update();
    }
    done.push({ method: name, title, points });
  }
}
