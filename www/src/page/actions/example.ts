/** The precomputed run: loading it, and computing the same here. */
import type { SimilarityName } from "#mka";
import { differences } from "../example/agree";
import { type Example, fromFile, type Settings, toFile } from "../example/format";
import { here } from "../results";
import { state, update } from "../state";
import { T } from "../texts";
import { depthWithin } from "./depth";
import { job, nextStep } from "./job";
import { choosePreset, openBuiltInWithin, presets } from "./load";
import { calibrateWithin, measureWithin } from "./measure";
import { choices, mergeWithin } from "./merge";

/** What a run has where there is none to compare with yet: the built-in text, one seed, three draws of rows. */
const MODEL = "demo";
const STANDARD: Settings = {
  calibrate: { sequences: 32, window: 256, rows: 512, seed: 0, skip: 8 },
  map: { dimensions: 8, sigma: undefined, power: 2 },
  seeds: 3,
  measure: "npib",
  preset: "loss-guided",
  remove: 2,
  compare: { sequences: 16, window: 256 },
  write: { prompt: T.compare.promptDefault, tokens: 60, temperature: 0, seed: 0 },
  depth: { methods: ["published-code", "mka", "shortgpt", "replaceme"], most: 5 },
};

/** A page that lacks the file works without. */
export async function loadExample(): Promise<void> {
  try {
    const response = await fetch(new URL("precomputed/demo.json", document.baseURI));
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    state.example = fromFile(await response.text());
  } catch {
    state.exampleMissing = true;
  }
  update();
}

/** Computes the precomputed run's numbers here, with its settings, and says how far they are from one another. */
export async function runHere(): Promise<void> {
  const settings = state.example?.settings ?? STANDARD;
  await job("example", async (watch) => {
    await openBuiltInWithin(state.example?.made.model ?? MODEL, watch);
    take(settings);
    nextStep("calibrate", watch);
    await calibrateWithin(watch);
    nextStep("look", watch);
    for (const measure of Object.keys(T.look.measures) as SimilarityName[]) {
      if (!state.matrices.has(measure)) await measureWithin(measure, watch);
    }
    nextStep("merge", watch);
    await mergeWithin(choices(), watch);
    nextStep("depth", watch);
    await depthWithin(watch);
    state.agreement = state.example ? differences(state.example.results, here()) : [];
  });
}

/** Sets everything that decides the numbers. */
function take(settings: Settings): void {
  const { calibrate, map, seeds, measure, compare, write, depth } = structuredClone(settings);
  Object.assign(state, { calibrate, map, seeds, measure, compare, write, depth, measureAfter: true });
  state.calibrateText.own = false;
  state.compareText.own = false;
  state.protect = { first: true, last: true };
  state.remove = settings.remove;
  choosePreset(settings.preset);
}

/** What was computed here, as a file like the precomputed one. */
export function runFile(): Blob | undefined {
  const { lab, source, merged, calibrate, map, seeds, measure, preset, remove, compare, write, depth } = state;
  const results = here();
  if (!lab || !merged || !results.clouds || !results.rows || !results.norms || !results.influence) return undefined;
  const run: Example = {
    made: {
      model: MODEL,
      name: source?.name ?? "",
      tool: merged.recipe.tool,
      engine: lab.adapter,
      when: new Date().toISOString().slice(0, 10),
    },
    settings: { calibrate, map, seeds, measure, preset, remove, compare, write, depth },
    presets: presets(),
    results,
  };
  return new Blob([toFile(run)], { type: "application/json" });
}
