/** Merging, comparing, writing. */
import { MkaError, type MergeOptions, type Recipe } from "#mka";
import { EXAMPLE_MODEL } from "../run/file";
import { FINISHED } from "../run/run";
import { listed, precomputed } from "../state/shown";
import { comparesLayers, type JobName, pickedPairs, protection, removing, state, update } from "../state/state";
import { openAddress } from "../state/where";
import { T } from "../../ui/texts";
import { expectSteps } from "./forecast";
import { forgetMerged, openBuiltInWithin } from "./load";
import { calibrateWithin } from "./measure";
import { job, nextStep, show, type Watch } from "./job";
import { isOpenModel, reopenWithin } from "./reopen";
import { heldOutText } from "./texts";

/** What was chosen, as the engine takes it. */
export function choices(): MergeOptions {
  const { selection, combination, norms, alpha, alphaFixed, repair, calibration } = state;
  const pairs = selection === "manual" ? { pairs: pickedPairs() } : { remove: removing(), protect: protection() };
  const weights = {
    ...(combination !== "drop" && { norms }),
    ...(combination === "average" && { alpha: alpha === "fixed" ? alphaFixed : alpha }),
  };
  const { preset, similarityMeasure: measure, oneShot } = state;
  const compared = comparesLayers() ? { measure, oneShot } : {};
  return { preset: preset || undefined, selection, combination, ...pairs, ...weights, ...compared, repair, calibration };
}

/** Merges as chosen; calibrates first where that was not done yet. */
export async function merge(): Promise<void> {
  if (!state.model || removing() < 1) return;
  await job("merge", async (watch) => {
    const after: JobName[] = state.measureAfter ? ["compare", "write"] : [];
    await expectSteps([...(state.calibration ? [] : (["calibrate", "look"] as const)), "merge", ...after], watch);
    if (!state.calibration) {
      nextStep("calibrate", watch);
      await calibrateWithin(watch);
      nextStep("merge", watch);
    }
    await mergeWithin(choices(), watch);
  });
}

/** undefined: the file is something else. */
async function readRecipe(file: File): Promise<Recipe | undefined> {
  try {
    const recipe = JSON.parse(await file.text()) as Partial<Recipe> | null;
    return typeof recipe?.format === "string" && Array.isArray(recipe.steps) ? (recipe as Recipe) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Repeats a recipe. Its repairs come from their own file, if that is among `files`; else they are
 * fitted anew on the text that is set.
 */
export async function replay(files: File[]): Promise<void> {
  const repair = files.find(({ name }) => name.endsWith(".safetensors"));
  const [file = repair] = files.filter((other) => other !== repair);
  if (!file) return;
  const recipe = await readRecipe(file);
  if (!recipe) return show(new MkaError("bad-argument", T.merge.notRecipe(file.name), T.merge.notRecipeHint), "merge");
  const repairs = recipe.steps.some(({ ridge }) => ridge != null) || (recipe.refits?.length ?? 0) > 0;
  await job("merge", async (watch) => {
    if (repairs && !repair && !state.calibration) {
      nextStep("calibrate", watch);
      await calibrateWithin(watch);
      nextStep("merge", watch);
    }
    const by = repairs && !repair ? { calibration: state.calibration } : {};
    await mergeWithin({ recipe, ...(repair && { repair }), ...by }, watch);
  });
}

/** As a part of a job; measures and writes right after, where that is wanted. */
export async function mergeWithin(options: MergeOptions, watch: Watch): Promise<void> {
  if (!state.model) return;
  const merged = await state.model.merge({ ...options, ...watch });
  forgetMerged();
  state.merged = merged;
  state.chosen = undefined;
  state.files = await merged.files(watch);
  update();
  if (!state.measureAfter) return;
  nextStep("compare", watch);
  await compareWithin(watch);
  nextStep("write", watch);
  await writeWithin(watch);
}

/** A click on the map: adds the boundary between two neighbours, or takes it back, and merges. */
export async function pick(boundary: number): Promise<void> {
  if (!(await openShown())) return;
  const at = state.picked.indexOf(boundary);
  state.picked = at < 0 ? [...state.picked, boundary] : state.picked.filter((other) => other !== boundary);
  await mergePicked();
}

/**
 * Opens the model of what is on the screen, where that is an earlier run; it stays there until
 * there is something new to show.
 */
async function openShown(): Promise<boolean> {
  const run = listed();
  if (run) return isOpenModel(run) || job("open", (watch) => reopenWithin(run, watch));
  if (!precomputed()) return state.model !== undefined;
  state.chosen = FINISHED;
  return openAddress() === EXAMPLE_MODEL || job("open", (watch) => openBuiltInWithin(EXAMPLE_MODEL, watch));
}

export async function undoPick(): Promise<void> {
  state.picked = state.picked.slice(0, -1);
  await mergePicked();
}

export async function resetPicks(): Promise<void> {
  state.picked = [];
  await mergePicked();
}

async function mergePicked(): Promise<void> {
  state.selection = "manual";
  state.preset = "";
  update();
  if (state.picked.length > 0) return merge();
  state.job?.abort.abort();
  forgetMerged();
  update();
}

export async function compare(): Promise<void> {
  await job("compare", compareWithin);
}

async function compareWithin(watch: Watch): Promise<void> {
  const { merged } = state;
  if (!merged) return;
  const text = await comparedText();
  const measuredOn = { own: state.compareText.own, ...state.compare };
  state.comparison = await merged.evaluate({ text, ...state.compare, ...watch });
  state.measuredOn = measuredOn;
  state.chosen = undefined;
  update();
}

/** What both models are measured on. */
export async function comparedText(): Promise<string> {
  const { compareText } = state;
  return compareText.own ? compareText.text : heldOutText();
}

export async function write(): Promise<void> {
  await job("write", writeWithin);
}

/** Both models continue one prompt, with one seed. */
async function writeWithin({ signal, onProgress }: Watch): Promise<void> {
  const { model, merged } = state;
  if (!model || !merged) return;
  state.written = { before: "", after: "" };
  const total = 2 * state.write.tokens;
  const begun = performance.now();
  let done = 0;
  for (const [side, writer] of [["before", model], ["after", merged]] as const) {
    for await (const token of writer.generate({ ...state.write, signal })) {
      state.written[side] += token.text;
      done += 1;
      const secondsLeft = ((performance.now() - begun) / 1000 / done) * (total - done);
      onProgress({ step: "generate", done, total, unit: "tokens", secondsLeft });
    }
  }
}
