/** Calibrating, and the measures that are made from it. */
import type { Calibration, Measure } from "#mka";
import { type Cloud, leading } from "../../ui/charts/procrustes";
import { earlier } from "../state/shown";
import { state, update } from "../state/state";
import { expectSteps } from "./forecast";
import { forgetCalibration } from "./load";
import { job, nextStep, type Watch } from "./job";

/** So many coordinates of a diffusion map are drawn, or turned with those that are. */
const KEPT = 3;
/** How long a slider must rest before what it sets is computed, milliseconds. */
const REST = 180;

export async function calibrate(): Promise<void> {
  await job("calibrate", async (watch) => {
    await expectSteps(["calibrate", "look"], watch);
    await calibrateWithin(watch);
  });
}

/** As a part of a job. */
export async function calibrateWithin(watch: Watch): Promise<void> {
  const { model, calibrateText } = state;
  if (!model) return;
  const text = calibrateText.own ? { text: calibrateText.text } : {};
  const calibration = await model.calibrate({ ...state.calibrate, ...text, ...watch });
  forgetCalibration();
  state.calibration = calibration;
  state.chosen = undefined;
  update();
  nextStep("look", watch);
  await lookWithin(watch);
}

/** Computes what the pictures show, where it is not there yet. */
export async function lookWithin(watch: Watch): Promise<void> {
  const { calibration, measure, map } = state;
  if (!calibration) return;
  // First what can't fail: a diffusion map may, with too few rows or too narrow a kernel.
  state.influence ??= await calibration.blockInfluence(watch);
  state.streamNorms ??= await calibration.norms(watch);
  state.rows ??= await calibration.rows(watch);
  if (!state.matrices.has(measure)) await measureWithin(measure, watch);
  if (!state.clouds) {
    const drawn = await drawnFrom(calibration, watch);
    if (map.sigma === undefined) state.width = drawn.width;
    state.clouds = drawn.clouds;
  }
}

/** One matrix. */
export async function measureWithin(measure: Measure, watch: Watch): Promise<void> {
  const { calibration, map, seeds } = state;
  if (!calibration) return;
  const matrix = await calibration.similarity(measure, { ...map, ...(seeds > 1 && { seeds }), ...watch });
  state.matrices = new Map(state.matrices).set(measure, matrix);
  update();
}

/** The engine keeps the diffusion maps of the measures: with the same options they cost nothing. */
async function drawnFrom(calibration: Calibration, watch: Watch): Promise<{ clouds: Cloud[]; width: number | undefined }> {
  const clouds: Cloud[] = [];
  const widths: number[] = [];
  for (let layer = 0; layer < calibration.info.layers; layer += 1) {
    const { values, dimensions, sigma } = await calibration.embedding(layer, { ...state.map, ...watch });
    clouds.push(leading(values, dimensions, KEPT));
    widths.push(sigma);
  }
  widths.sort((a, b) => a - b);
  return { clouds, width: widths[Math.floor(widths.length / 2)] };
}

export async function chooseMeasure(measure: Measure): Promise<void> {
  state.measure = measure;
  update();
  if (state.calibration && !earlier() && !state.matrices.has(measure)) await job("look", lookWithin);
}

let resting: ReturnType<typeof setTimeout> | undefined;

/**
 * Computes the pictures anew from the rows that are kept, once a slider rests: no text runs through
 * the model for it. The screen does not change until the new values are there; a running job is not
 * interrupted.
 */
export function remapSoon(): void {
  update();
  wait();
}

function wait(): void {
  clearTimeout(resting);
  resting = setTimeout(() => {
    if (!state.calibration) return;
    if (state.job && state.job.name !== "look") return wait();
    void job("look", remapWithin);
  }, REST);
}

async function remapWithin(watch: Watch): Promise<void> {
  const { calibration, measure, map, seeds } = state;
  if (!calibration) return;
  const matrix = await calibration.similarity(measure, { ...map, ...(seeds > 1 && { seeds }), ...watch });
  const drawn = await drawnFrom(calibration, watch);
  if (map.sigma === undefined) state.width = drawn.width;
  state.matrices = new Map([[measure, matrix]]);
  state.clouds = drawn.clouds;
}
