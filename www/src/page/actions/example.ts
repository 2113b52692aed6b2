/** The precomputed run: loading it, and computing the same here. */
import type { Measure } from "#mka";
import { type Example, EXAMPLE_MODEL, fromFile, toFile } from "../run/file";
import type { Settings } from "../run/settings";
import type { Steps } from "../state/plan";
import { here } from "../state/shown";
import { state, update } from "../state/state";
import { T } from "../../ui/texts";
import { depthWithin } from "./depth";
import { expectSteps } from "./forecast";
import { expect, job, nextStep, stepsTook } from "./job";
import { choosePreset, openBuiltInWithin, presets } from "./load";
import { calibrateWithin, measureWithin } from "./measure";
import { choices, mergeWithin } from "./merge";

/** A built-in model and text, one seed, three draws of rows. */
const SETTINGS: Settings = {
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

let loading: Promise<void> | undefined;

/** Loads it once. Without the file the page works as well. */
export function loadExample(): Promise<void> {
  return (loading ??= load());
}

async function load(): Promise<void> {
  try {
    const response = await fetch(new URL("precomputed/demo.json", document.baseURI));
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    state.example = fromFile(await response.text());
  } catch {
    state.exampleMissing = true;
  }
  update();
}

/** What the steps of the run here took. */
let took: Steps | undefined;

/** Computes the run here, and how far its numbers are from the precomputed ones. */
export async function runHere(): Promise<void> {
  await job("example", async (watch) => {
    await openBuiltInWithin(EXAMPLE_MODEL, watch);
    take(SETTINGS);
    const usual = state.example?.made.took;
    if (usual) expect(usual, watch);
    else await expectSteps(["calibrate", "look", "merge", "compare", "write", "depth"], watch);
    nextStep("calibrate", watch);
    await calibrateWithin(watch);
    nextStep("look", watch);
    for (const measure of Object.keys(T.look.measures) as Measure[]) {
      if (!state.matrices.has(measure)) await measureWithin(measure, watch);
    }
    nextStep("merge", watch);
    await mergeWithin(choices(), watch);
    nextStep("depth", watch);
    await depthWithin(watch);
    took = stepsTook();
    const { differences } = await import("../run/agreement");
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
      name: source?.name ?? "",
      tool: merged.recipe.tool,
      engine: lab.adapter,
      when: new Date().toISOString().slice(0, 10),
      ...(took && { took }),
    },
    settings: { calibrate, map, seeds, measure, preset, remove, compare, write, depth },
    presets: presets(),
    results,
  };
  return new Blob([toFile(run)], { type: "application/json" });
}
