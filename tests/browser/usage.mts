// Compiled, never run: the types of the interface allow what its documentation shows, and refuse what it does not.
import { HUB, Lab, MkaError, type Calibration, type MergedModel, type Progress } from "../../www/dist/mka.js";

export async function whole(files: FileList, directory: FileSystemDirectoryHandle, signal: AbortSignal): Promise<number> {
  const onProgress = ({ step, done, total, unit, secondsLeft }: Progress): string =>
    `${step} ${done}/${total} ${unit} ${secondsLeft ?? ""}`;
  const lab = await Lab.create({ backend: "auto" });
  const model = await lab.open(files, { signal, onProgress });
  const remote = await lab.open("hub:owner/name@main", { token: "secret", keep: true, hub: HUB, signal, onProgress });
  await remote.download({ signal, onProgress });
  const [kept] = await lab.stored();
  if (kept && !kept.complete) await lab.forget(kept.source, { hub: kept.hub });
  lab.onWarning = ({ message, hint }) => void [message, hint, remote.commit];
  const { ids, values } = await model.logits({ text: "Once" });
  const { nll, tokens } = await model.evaluate({ ids: [...ids], window: 128, sequences: 2, signal, onProgress });
  const calibration: Calibration = await model.calibrate({ sequences: 8, window: 128, rows: "all", skip: 8, seed: 1, signal });
  const matrix = await calibration.similarity("npib-knn", { dimensions: 4, sigma: 2, power: 0.5 });
  const { eigenvalues } = await calibration.embedding(3, { dimensions: 4 });
  const influence: Float32Array = await calibration.blockInfluence();
  const { rows, dimensions } = await calibration.hidden(0);
  const merged: MergedModel = await model.merge({ preset: lab.presets[0]?.name, calibration, remove: 2, signal, onProgress });
  await model.merge({ selection: "manual", pairs: [[1, 2]], combination: "average", alpha: 0.5, norms: "keep" });
  await model.merge({ recipe: merged.recipe });
  const { dense, merged: after, kl, top1Agreement } = await merged.evaluate({ text: "Once" });
  for await (const token of merged.generate({ prompt: "Once", tokens: 5, temperature: 0, seed: 1, signal })) {
    if (token.text === ".") break;
  }
  const [first] = await merged.files();
  await merged.save(directory, { signal, onProgress });
  model.close();
  lab.close();
  // @ts-expect-error: there is no such engine
  await Lab.create({ backend: "cuda" });
  // @ts-expect-error: there is no such measure
  await calibration.similarity("dot");
  const sum = [nll, tokens, matrix.layers, eigenvalues.length, influence.length, rows, dimensions, dense.nll, after.nll, kl];
  return sum.reduce((total, value) => total + value, top1Agreement + values.length + (first?.blob.size ?? 0) + lab.memory().wasmPeak);
}

export function words(error: unknown): string {
  return error instanceof MkaError && error.code === "network" ? `${error.message} ${error.hint}` : "";
}
