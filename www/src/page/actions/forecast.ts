/** What a run will take, estimated up front, and how much of the machine it may take. */
import type { Estimate } from "#mka";
import { comparesLayers, type JobName, removing, state, triesOnOriginal, update } from "../state/state";
import { expect, job, nextStep, show, type Watch } from "./job";

/**
 * From so many bytes on the run of a model on this machine is estimated as soon as it is open, so
 * that its user knows before waiting.
 */
const LARGE = 200_000_000;
/**
 * Seconds of a layer's diffusion map and its similarities, at 512 rows, on one core of an AMD EPYC:
 * it hangs on the rows only.
 */
const LOOK = 0.15;

export async function forecast(): Promise<void> {
  await job("forecast", async (watch) => {
    await forecastWithin(watch);
  });
}

/** As a part of a job; nothing is measured where it was for these settings. */
async function forecastWithin(watch: Watch): Promise<Estimate | undefined> {
  const { model } = state;
  const { sequences, window, rows } = state.calibrate;
  const known = estimated();
  if (known || !model) return known;
  const estimate = await model.estimate({ sequences, window, rows, ...watch });
  state.forecast = { estimate, sequences, window };
  return estimate;
}

/** Says of the running job what these steps of it will take; a wrong guess is no failure. */
export async function expectSteps(names: readonly JobName[], watch: Watch): Promise<void> {
  const before = state.job?.name;
  nextStep("forecast", watch);
  const estimate = await forecastWithin(watch);
  if (before) nextStep(before, watch);
  if (estimate) expect(stepsOf(estimate, names), watch);
}

/** Seconds of a job of these steps, as everything is set. */
export function stepsOf(estimate: Estimate, names: readonly JobName[]): { name: JobName; seconds: number }[] {
  return names.map((name) => ({ name, seconds: secondsOf(name, estimate) }));
}

/** Of two models, token by token, where a pass over a text takes one token's share of it. */
const ALONE = 4;

function secondsOf(name: JobName, estimate: Estimate): number {
  const { calibrate, compare, write, depth, model } = state;
  const { calibrateSeconds, mergeSeconds, evaluateSeconds, lossGuidedSeconds } = estimate;
  const tokens = calibrate.sequences * calibrate.window;
  const layers = model?.summary.layers ?? 0;
  const look = LOOK * layers * (calibrate.rows / 512) ** 2 * state.seeds;
  const measured = (2 * evaluateSeconds * compare.sequences * compare.window) / tokens;
  switch (name) {
    case "calibrate":
      return calibrateSeconds;
    case "look":
      return look;
    case "merge": {
      const tried = triesOnOriginal() ? lossGuidedSeconds[removing() - 1] : undefined;
      // What is measured anew after each step runs the text through the later blocks.
      const anew = comparesLayers() && !state.oneShot && state.selection !== "manual" ? calibrateSeconds / 2 + look : 0;
      return tried ?? removing() * (mergeSeconds + anew);
    }
    case "compare":
      return measured;
    case "depth":
      // The deepest merge has as many steps as there are merges, the mean half of them.
      return depth.methods.length * depth.most * ((mergeSeconds * depth.most) / 2 + measured);
    case "write":
      return (2 * ALONE * write.tokens * evaluateSeconds) / tokens;
    default:
      return 0;
  }
}

/** What was estimated, if it holds for the calibration as it is set now. */
export function estimated(): Estimate | undefined {
  const { forecast: made, calibrate } = state;
  return made && made.sequences === calibrate.sequences && made.window === calibrate.window ? made.estimate : undefined;
}

/**
 * After a model was opened. None of a model on the network is read before its user starts a run.
 */
export async function forecastIfLarge(): Promise<void> {
  if (state.model && !state.source?.remote && state.model.summary.bytes >= LARGE) await forecast();
}

/** The engine's budget for weights, in megabytes. */
export async function setBudget(megabytes: number): Promise<void> {
  try {
    await state.lab?.setBudget(megabytes * 1e6);
    state.forecast = undefined;
  } catch (error) {
    show(error, "calibrate");
  }
  update();
}
