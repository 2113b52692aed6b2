/** What every depth costs: merges of one layer, of two, and so on, each by several methods, each measured. */
import type { Series } from "../charts/perplexity";
import { state, update } from "../state";
import { job, type Watch } from "./job";
import { presets } from "./load";
import { calibrateWithin } from "./measure";
import { comparedText } from "./merge";

/** The deepest that every method can go: both ends stay, and one layer to merge into. */
export function deepest(): number {
  return Math.max(1, (state.model?.summary.layers ?? state.example?.results.summary?.layers ?? 12) - 3);
}

export async function measureDepth(): Promise<void> {
  await job("depth", async (watch) => {
    if (!state.calibration) await calibrateWithin(watch);
    await depthWithin(watch);
  });
}

/** As a part of a job. The curves grow as they are measured. */
export async function depthWithin({ signal, onProgress }: Watch): Promise<void> {
  const { model, calibration, depth } = state;
  if (!model || !calibration) return;
  const text = await comparedText();
  const most = Math.min(depth.most, deepest());
  const methods = presets().filter(({ name }) => depth.methods.includes(name));
  const total = methods.length * most;
  const begun = performance.now();
  const done: Series[] = [];
  let count = 0;
  for (const { name, title } of methods) {
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
      state.series = [...done, { method: name, title, points: [...points] }];
      update();
    }
    done.push({ method: name, title, points });
  }
}
