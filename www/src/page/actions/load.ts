/** Starting the engine, opening a model. */
import { type Backend, Lab, type ModelFiles, type OpenOptions, type Preset, type Summary } from "#mka";
import { mostRemovable } from "../../ui/rules";
import { DEFAULT_PRESET, removable, state, update } from "../state/state";
import { builtInUrl } from "../state/where";
import { T } from "../../ui/texts";
import { forecastIfLarge } from "./forecast";
import { job, type Watch } from "./job";
import { pause } from "./manifold";
import { refreshKept, remoteOptions, warn } from "./remote";

/** Starts the engine that was chosen; a model that is open is opened again on it. */
export async function startEngine(engine: Backend): Promise<void> {
  const { source } = state;
  const started = await job("start", async ({ signal }) => {
    state.lab?.close();
    state.lab = undefined;
    state.engine = engine;
    forgetModel();
    update();
    await lab(signal);
  });
  if (!started) state.source = source; // for the next engine that is tried
  else if (source) await openModel(source.files, source.name, source.options);
}

/**
 * `files` as a text: what the user named on the network, opened as the fields are set; a URL is one
 * of this page's own. `opened` is called as a part of the job, before the settings that opening a
 * model makes are drawn.
 */
export async function openModel(
  files: ModelFiles,
  name: string,
  options: OpenOptions = typeof files === "string" ? remoteOptions(files) : {},
  opened = (): void => {},
): Promise<void> {
  state.chosen = undefined;
  await job("open", (watch) => openWithin(files, name, options, watch).then(opened));
  await refreshKept();
  await forecastIfLarge();
}

/** As a part of a job. */
export async function openWithin(files: ModelFiles, name: string, options: OpenOptions, watch: Watch): Promise<void> {
  const remote = typeof files === "string";
  state.remote.warning = undefined;
  state.remote.opening = remote;
  const model = await (await lab(watch.signal)).open(files, { ...options, ...watch });
  forgetModel();
  state.model = model;
  state.source = { files, name, options, remote };
  state.linked = undefined;
  state.offered = false;
  const { remove, window } = suggested() as Suggested;
  state.remove = remove;
  state.calibrate.window = window;
  state.compare.window = window;
}

interface Suggested {
  remove: number;
  window: number;
}

/**
 * What opening a model sets: a fifth of the layers is removed, as in the paper's middle budget, but
 * never more than can be.
 */
export function suggested(): Suggested | undefined {
  return state.model && suggestedFor(state.model.summary);
}

/** For a model that need not be open. */
export function suggestedFor({ layers, positions }: Summary): Suggested {
  return { remove: Math.max(1, Math.min(mostRemovable(layers, state, state.protect), Math.round(layers / 5))), window: Math.min(256, positions) };
}

export async function openBuiltIn(id: string, opened = (): void => {}): Promise<void> {
  state.chosen = undefined;
  await job("open", (watch) => openBuiltInWithin(id, watch).then(opened));
}

/** As a part of a job. */
export function openBuiltInWithin(id: string, watch: Watch): Promise<void> {
  const name = T.load.models.find((model) => model.id === id)?.name ?? id;
  return openWithin(builtInUrl(id), name, {}, watch);
}

export function closeModel(): void {
  state.job?.abort.abort();
  forgetModel();
  update();
}

function forgetModel(): void {
  forgetCalibration();
  state.model?.close();
  state.model = undefined;
  state.forecast = undefined;
  state.source = undefined;
  state.picked = []; // boundaries of this model, whatever it is calibrated on
}

/** Also forgets what was measured or made from the calibration. */
export function forgetCalibration(): void {
  forgetMerged();
  pause();
  state.calibration?.close();
  state.calibration = undefined;
  state.matrices = new Map();
  state.influence = undefined;
  state.streamNorms = undefined;
  state.rows = undefined;
  state.clouds = undefined;
  state.width = undefined;
  state.series = [];
  state.agreement = undefined;
}

export function forgetMerged(): void {
  state.merged?.close();
  state.merged = undefined;
  state.stackSteps = undefined;
  state.comparison = undefined;
  state.measuredOn = undefined;
  state.written = { before: "", after: "" };
  state.files = undefined;
}

/** The lab; started where none runs, as after a start that was cancelled or failed. */
async function lab(signal: AbortSignal): Promise<Lab> {
  if (!state.lab) {
    state.lab = await Lab.create({ backend: state.engine, signal });
    state.lab.onWarning = warn;
    if (state.preset && !state.lab.presets.some(({ name }) => name === state.preset)) {
      state.corrections.push({ name: "method", given: state.preset, taken: DEFAULT_PRESET });
      state.preset = DEFAULT_PRESET;
    }
    choosePreset(state.preset);
  }
  return state.lab;
}

/** The named methods. Before an engine runs, they are known from the precomputed run. */
export function presets(): readonly Preset[] {
  return state.lab?.presets ?? state.example?.presets ?? [];
}

/** Sets every choice as the named method has it; "" keeps them as they are. */
export function choosePreset(name: string): void {
  state.preset = name;
  const options = presets().find((preset) => preset.name === name)?.options;
  if (options) {
    state.selection = options.selection;
    state.combination = options.combination;
    state.norms = options.norms;
    state.repair = options.repair;
    state.alpha = options.alpha ?? "similarity";
    state.similarityMeasure = "npib";
    state.oneShot = false;
  }
  state.remove = Math.max(1, Math.min(state.remove, removable()));
  update();
}

/** The folder that the files come from, where the browser gives its name. */
export function nameOf(files: readonly File[]): string {
  return files[0]?.webkitRelativePath.split("/")[0] || T.load.folderName;
}
