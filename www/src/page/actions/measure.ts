/** Calibrating, and the measures that are made from it. */
import type { SimilarityName } from "#mka";
import { state, update } from "../state";
import { forgetCalibration } from "./load";
import { job, nextStep, type Watch } from "./job";

export async function calibrate(): Promise<void> {
  await job("calibrate", calibrateWithin);
}

/** As a part of a job. */
export async function calibrateWithin(watch: Watch): Promise<void> {
  const { model, calibrateText } = state;
  if (!model) return;
  const text = calibrateText.own ? { text: calibrateText.text } : {};
  const calibration = await model.calibrate({ ...state.calibrate, ...text, ...watch });
  forgetCalibration();
  state.calibration = calibration;
  update();
  nextStep("look", watch);
  await lookWithin(watch);
}

/** Computes what the map shows, where it is not there yet. */
async function lookWithin(watch: Watch): Promise<void> {
  const { calibration, measure, matrices, map } = state;
  if (!calibration) return;
  // First what can't fail: a diffusion map may, with too few rows or too narrow a kernel.
  state.influence ??= await calibration.blockInfluence(watch);
  if (!matrices.has(measure)) matrices.set(measure, await calibration.similarity(measure, { ...map, ...watch }));
}

export async function chooseMeasure(measure: SimilarityName): Promise<void> {
  state.measure = measure;
  update();
  if (state.calibration && !state.matrices.has(measure)) await job("look", lookWithin);
}

/** Computes the map anew, with other options of the diffusion map. */
export async function remap(): Promise<void> {
  if (!state.calibration) return;
  state.matrices = new Map();
  await job("look", lookWithin);
}
