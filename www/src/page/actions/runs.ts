/**
 * The list of runs: what was computed in this tab is added to it, nothing is taken out but by its
 * user. Loaded with the first run that there is.
 */
import { RUNS } from "../../ui/texts/runs";
import { type Example, toFile } from "../run/file";
import { FINISHED, type Run } from "../run/run";
import { dropRun, keepRun, keptRuns } from "../run/store";
import { here } from "../state/shown";
import { state, update } from "../state/state";
import { openAddress } from "../state/where";
import { choose } from "./choose";
import { guard, job, nextStep } from "./job";
import { offer } from "./keep";
import { choosePreset, presets } from "./load";
import { calibrateWithin } from "./measure";
import { mergeWithin } from "./merge";
import { isOpenModel, reopenWithin } from "./reopen";

/** The run that this tab is making, and what it is made of. */
let current: { id: string; calibration: typeof state.calibration; merged: typeof state.merged } | undefined;
/** The run that is being made again. */
let again: string | undefined;
/** What the current run was kept with. */
let stamp: readonly unknown[] = [];

/** Reads what was kept. */
export async function restoreRuns(): Promise<void> {
  try {
    const kept = await keptRuns();
    const known = new Set(state.runs.map(({ id }) => id));
    state.runs = [...state.runs, ...kept.filter(({ id }) => !known.has(id))];
  } catch (error) {
    lost(error);
  }
  update();
}

/**
 * Takes what there is in this tab into the list: a calibration is a run, and the first merge by it
 * belongs to the same.
 */
export function remember(): void {
  const { model, calibration, merged, source } = state;
  if (!model || !source || (!calibration && !merged)) return;
  const same = current !== undefined && current.calibration === calibration && (current.merged === undefined || current.merged === merged);
  // The merge was undone; what was measured before it is in its run.
  if (current?.merged && !merged && current.calibration === calibration) return;
  const id = again ?? (same && current ? current.id : crypto.randomUUID());
  const isNew = !same || again !== undefined;
  current = { id, calibration, merged };
  const before = state.runs.find((run) => run.id === id);
  if (!before && !isNew) return; // it was deleted
  const { matrices, clouds, influence, comparison, series, written } = state;
  const now = [id, calibration, merged, matrices, clouds, influence, comparison, series, written.before, written.after];
  if (before && now.every((part, at) => part === stamp[at])) return;
  stamp = now;
  state.sources.set(id, source);
  const run = snapshot(id, before);
  state.runs = before ? state.runs.map((other) => (other === before ? run : other)) : [run, ...state.runs];
  keep(run);
  update();
}

function snapshot(id: string, before: Run | undefined): Run {
  const { lab, source, merged, calibrate, map, seeds, measure, preset, remove, compare, write, depth } = state;
  const settings = structuredClone({ calibrate, map, seeds, measure, preset, remove, compare, write, depth });
  const recipe = merged?.recipe;
  const method = recipe && methodOf(recipe);
  const layers = recipe?.steps.length ?? 0;
  const name = source?.name ?? "";
  const now = new Date();
  const results = here();
  return {
    id,
    name: before?.name && before.recipe === recipe ? before.name : RUNS.name(name, method, layers),
    at: before?.at ?? now.getTime(),
    made: before?.made ?? { name, tool: recipe?.tool ?? "", engine: lab?.adapter ?? "", when: now.toISOString().slice(0, 10) },
    settings: { ...settings, preset: recipe?.preset ?? settings.preset, remove: layers },
    method,
    address: openAddress(),
    own: { calibration: state.calibrateText.own, measure: state.compareText.own },
    recipe,
    results: { ...results, written: { ...results.written } },
  };
}

/** The method's title, or what was chosen instead of one. */
function methodOf({ preset, selection, combination }: NonNullable<Run["recipe"]>): string {
  return presets().find(({ name }) => name === preset)?.title ?? preset ?? RUNS.chosen(selection, combination);
}

function keep(run: Run): void {
  keepRun(run).catch(lost);
}

/** The browser keeps no more: from now on closing the tab asks. */
function lost(error: unknown): void {
  state.unkept = error instanceof Error ? error.message : String(error);
  guard();
  update();
}

export function compareWith(id: string | undefined): void {
  state.compared = id;
  update();
}

/** The run that this tab has open, unless it was deleted. */
export function currentRun(): string | undefined {
  const { calibration, merged, runs } = state;
  const open = calibration !== undefined && current?.calibration === calibration && current.merged === merged;
  return open ? runs.find(({ id }) => id === current?.id)?.id : undefined;
}

export function rename(run: Run, name: string): void {
  change({ ...run, name: name.trim() || run.name });
}

function change(run: Run): void {
  state.runs = state.runs.map((other) => (other.id === run.id ? run : other));
  keep(run);
  update();
}

/** It can be had back until another one is deleted. */
export async function deleteRun(run: Run): Promise<void> {
  state.runs = state.runs.filter(({ id }) => id !== run.id);
  state.deleted = run;
  if (state.chosen === run.id) choose(undefined);
  if (state.compared === run.id) state.compared = undefined;
  update();
  await dropRun(run.id).catch(lost);
}

export function undelete(): void {
  const { deleted } = state;
  if (!deleted) return;
  state.deleted = undefined;
  state.runs = [...state.runs, deleted].sort((a, b) => b.at - a.at);
  keep(deleted);
  update();
}

/** As a file like the precomputed one, with the recipe. */
export function exportRun(run: Run): void {
  const { name, method, address, own, recipe } = run;
  const example: Example = { made: run.made, settings: run.settings, presets: [], results: run.results };
  const file = new Blob([toFile(example, { name, method, address, own, recipe })], { type: "application/json" });
  offer(file, `${name.toLowerCase().replace(/[^a-z0-9.]+/g, "-")}.json`);
}

/**
 * Opens the run's model, sets what it was made with, and follows its recipe: from then on it can be
 * saved, measured further, and merged otherwise.
 */
export async function makeAgain(run: Run): Promise<void> {
  state.chosen = run.id;
  await job("restore", async (watch) => {
    again = run.id;
    try {
      const ready = isOpenModel(run) && state.calibration && current?.id === run.id;
      await reopenWithin(run, watch);
      take(run);
      const { recipe } = run;
      const fits = recipe === undefined || recipe.steps.some(({ ridge }) => ridge != null) || (recipe.refits?.length ?? 0) > 0;
      if (fits && !ready) {
        nextStep("calibrate", watch);
        await calibrateWithin(watch);
      }
      if (!recipe) return;
      nextStep("merge", watch);
      await mergeWithin({ recipe, ...(fits && { calibration: state.calibration }) }, watch);
      remember();
    } finally {
      again = undefined;
    }
  });
}

function take({ settings, own }: Run): void {
  const { calibrate, map, seeds, measure, compare, write, preset, remove } = structuredClone(settings);
  Object.assign(state, { calibrate, map, seeds, measure, compare, write });
  state.calibrateText.own = own.calibration;
  state.compareText.own = own.measure;
  state.remove = Math.max(1, remove);
  choosePreset(preset);
}

/** The precomputed run, as one of the list; undefined where it is missing. */
export function finished(): Run | undefined {
  const { example } = state;
  if (!example) return undefined;
  const { made, settings, results, presets: named } = example;
  const method = named.find(({ name }) => name === settings.preset)?.title ?? settings.preset;
  const own = { calibration: false, measure: false };
  return { id: FINISHED, name: RUNS.finished, at: Date.parse(made.when), made, settings, method, address: "demo", own, recipe: undefined, results };
}
