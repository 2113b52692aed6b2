/** What a run will take, estimated up front, and how much of the machine it may take. */
import { state, update } from "../state/state";
import { job, show } from "./job";

/**
 * From so many bytes on the run of a model on this machine is estimated as soon as it is open, so
 * that its user knows before waiting.
 */
const LARGE = 200_000_000;

export async function forecast(): Promise<void> {
  const { model } = state;
  const { sequences, window, rows } = state.calibrate;
  await job("forecast", async (watch) => {
    const estimate = await model?.estimate({ sequences, window, rows, ...watch });
    if (estimate) state.forecast = { estimate, sequences, window };
  });
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
