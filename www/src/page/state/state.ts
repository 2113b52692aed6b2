/** All that the page shows. Actions change it and call `update`; views only read it. */
import type {
  AlphaSource,
  Calibration,
  Combination,
  Comparison,
  Estimate,
  Lab,
  LayerMatrix,
  Measure,
  MergedModel,
  MkaError,
  Model,
  ModelFile,
  ModelFiles,
  Norms,
  OpenOptions,
  Progress,
  Repair,
  Selection,
  Backend,
  StoredModel,
} from "#mka";
import type { Part } from "./part";
import type { Plan } from "./plan";
import type { Series } from "../../ui/charts/perplexity";
import type { Cloud } from "../../ui/charts/procrustes";
import type { Colouring, Rows } from "../../ui/charts/rows";
import type { Difference } from "../run/agreement";
import type { Example } from "../run/file";
import type { MeasuredOn } from "../run/results";
import type { Run } from "../run/run";
import type { Settings } from "../run/settings";
import { mostRemovable, mostSimilar, pairsOf, type PreviewPair, type Protection, protectionFor } from "../../ui/rules";
import { T } from "../../ui/texts";
import type { TourStep } from "./tour-steps";

export type JobName = keyof typeof T.status.jobs;
/** Where the weight of an average comes from; `fixed`: the number beside it. */
export type AlphaKind = AlphaSource | "fixed";
export type Theme = "system" | "light" | "dark";
/** What is drawn; the pictures' names on the page and in the files that are made of them. */
export type PictureName = keyof typeof T.picture.names;
/** The parts of the page where something can be started, and fail. */
export type Place = "example" | "engine" | "load" | "calibrate" | "look" | "merge" | "compare" | "keep" | "runs" | "lineup";

/** What runs now. */
export interface Job {
  /** What is done now; its name changes from step to step. */
  name: JobName;
  /** Something would be lost if the tab were closed. */
  long: boolean;
  progress: Progress | undefined;
  /** What its steps are expected to take; undefined: that is not known. */
  plan: Plan | undefined;
  abort: AbortController;
}

export interface TextChoice {
  own: boolean;
  text: string;
}

/** A value in an address, and what was taken instead; undefined: nothing. */
export interface Correction {
  name: string;
  given: string;
  taken: string | undefined;
}

/**
 * `options` may hold a token: they are kept here and nowhere else. `remote`: named by the user, on
 * the network.
 */
export interface ModelSource {
  files: ModelFiles;
  name: string;
  options: OpenOptions;
  remote: boolean;
}

export interface State extends Settings {
  theme: Theme;
  engine: Backend;
  lab: Lab | undefined;
  job: Job | undefined;
  error: { message: string; hint: string; code: MkaError["code"] | undefined; place: Place } | undefined;
  /** Read out by the polite live region. */
  news: string;
  dragging: boolean;
  /**
   * How models from the network are opened, whether one is just being opened, and why one is not
   * kept any further.
   */
  remote: { token: string; hub: string; keep: boolean; opening: boolean; warning: string | undefined };
  /** What is kept in this browser, and how many bytes may be. */
  kept: { models: readonly StoredModel[]; quota: number | undefined };
  /** Where the user is; undefined: at the top. */
  part: Part | undefined;
  /** A model that the address names; it is opened only when the user agrees. */
  wanted: string | undefined;
  /** The built-in model of a link whose result is the precomputed run: it need not be opened. */
  linked: string | undefined;
  /** What a link is about is not computed yet: whoever opened it is asked whether it shall be. */
  offered: boolean;
  /** What the address has that could not be taken as it is. */
  corrections: Correction[];
  /** The address is of a run on a text that is not in it. */
  textMissing: boolean;
  /** The link to this state is shown; whether who opens it has it computed at once. */
  share: { autorun: boolean; copied: boolean } | undefined;
  /** The step of the tour that is shown. */
  tour: TourStep | undefined;
  /** Where the tour was left. */
  tourLeft: TourStep | undefined;

  source: ModelSource | undefined;
  model: Model | undefined;
  /** What a run on so many windows will take. */
  forecast: { estimate: Estimate; sequences: number; window: number } | undefined;

  calibrateText: TextChoice;
  calibration: Calibration | undefined;

  matrices: ReadonlyMap<Measure, LayerMatrix>;
  influence: Float32Array | undefined;
  /** Mean norms of the residual stream, before each block and after the last. */
  streamNorms: Float32Array | undefined;
  rows: Rows | undefined;
  /** The first coordinates of each layer's diffusion map. */
  clouds: readonly Cloud[] | undefined;
  /** The usual width of the kernel: the median distance of two rows, the median over the layers. */
  width: number | undefined;
  manifold: {
    layer: number;
    colouring: Colouring;
    /** How many coordinates are aligned from layer to layer; two of them are drawn. */
    coordinates: 2 | 3;
    playing: boolean;
    /** The row that is lit in all layers. */
    lit: number | undefined;
    /** The group that is not dimmed; all, if undefined. */
    only: number | undefined;
  };
  /** What the pointer or the focus is on. */
  cell: { a: number; b: number } | undefined;

  selection: Selection;
  combination: Combination;
  alpha: AlphaKind;
  alphaFixed: number;
  norms: Norms;
  repair: Repair;
  /** The measure that pairs are chosen and weighed by. */
  similarityMeasure: Measure;
  oneShot: boolean;
  protect: { first: boolean; last: boolean };
  /** Boundaries that were picked, in order: i stands for the one between the layers i and i + 1. */
  picked: number[];
  measureAfter: boolean;
  merged: MergedModel | undefined;
  /** How many of the merge's steps the diagram shows; undefined: all. */
  stackSteps: number | undefined;

  compareText: TextChoice;
  comparison: Comparison | undefined;
  measuredOn: MeasuredOn | undefined;
  series: readonly Series[];
  written: { before: string; after: string };

  files: ModelFile[] | undefined;

  /** The precomputed run, once it is loaded. */
  example: Example | undefined;
  exampleMissing: boolean;
  /**
   * How far the numbers of a run here are from the precomputed ones; empty without those;
   * undefined: there was no run.
   */
  agreement: Difference[] | undefined;

  /** What was computed in this browser, the newest first. */
  runs: readonly Run[];
  /** Where the models of these runs come from, by the runs' ids: as long as this tab is open. */
  sources: Map<string, ModelSource>;
  /**
   * The run on the screen, by its id; undefined: what is measured in this tab, or the precomputed
   * run where no model is open.
   */
  chosen: string | undefined;
  /** The run that the chosen one is compared with. */
  compared: string | undefined;
  /** The run that was deleted last: it can be had back. */
  deleted: Run | undefined;
  /** The browser did not keep all runs: what is not kept is lost with this tab. */
  unkept: string | undefined;

  /** The pictures whose values are shown as a table too. */
  tables: Set<PictureName>;
}

/** The method that leaves the best model. */
export const DEFAULT_PRESET = "loss-guided";

export const state: State = {
  theme: "system",
  engine: "auto",
  lab: undefined,
  job: undefined,
  error: undefined,
  news: T.status.needModel,
  dragging: false,
  remote: { token: "", hub: "", keep: true, opening: false, warning: undefined },
  kept: { models: [], quota: undefined },
  part: undefined,
  wanted: undefined,
  linked: undefined,
  offered: false,
  corrections: [],
  textMissing: false,
  share: undefined,
  tour: undefined,
  tourLeft: undefined,
  source: undefined,
  model: undefined,
  forecast: undefined,
  calibrateText: { own: false, text: "" },
  calibrate: { sequences: 32, window: 256, rows: 512, seed: 0, skip: 8 },
  calibration: undefined,
  measure: "npib",
  map: { dimensions: 8, sigma: undefined, power: 2 },
  matrices: new Map(),
  seeds: 1,
  influence: undefined,
  streamNorms: undefined,
  rows: undefined,
  clouds: undefined,
  width: undefined,
  manifold: { layer: 6, colouring: "token", coordinates: 3, playing: false, lit: undefined, only: undefined },
  cell: undefined,
  preset: DEFAULT_PRESET,
  remove: 1,
  selection: "loss",
  combination: "concatenate",
  alpha: "similarity",
  alphaFixed: 0.5,
  norms: "fold",
  repair: "refit",
  similarityMeasure: "npib",
  oneShot: false,
  protect: { first: true, last: true },
  picked: [],
  measureAfter: true,
  merged: undefined,
  stackSteps: undefined,
  compareText: { own: false, text: "" },
  compare: { sequences: 16, window: 256 },
  comparison: undefined,
  measuredOn: undefined,
  depth: { methods: ["published-code", "mka", "shortgpt", "replaceme"], most: 5 },
  series: [],
  write: { prompt: T.compare.promptDefault, tokens: 60, temperature: 0, seed: 0 },
  written: { before: "", after: "" },
  files: undefined,
  example: undefined,
  exampleMissing: false,
  agreement: undefined,
  runs: [],
  sources: new Map(),
  chosen: undefined,
  compared: undefined,
  deleted: undefined,
  unkept: undefined,
  tables: new Set(),
};

let draw: () => void = () => {};
let asked = false;

/** Sets what draws the page. */
export function onUpdate(callback: () => void): void {
  draw = callback;
}

/** Draws the page soon, once for all changes made until then. */
export function update(): void {
  if (asked) return;
  asked = true;
  queueMicrotask(() => {
    asked = false;
    draw();
  });
}

/** The protection as the engine takes it. */
export function protection(): Protection {
  return protectionFor(state.selection, state.protect);
}

/** How many layers can go at most. */
export function removable(): number {
  return mostRemovable(state.model?.summary.layers ?? 0, state, state.protect, state.model?.summary.blockKinds);
}

/** Whether similarity decides which layers go, or how much each weighs. */
export function comparesLayers(): boolean {
  const weighed = state.combination === "average" && (state.alpha === "similarity" || state.alpha === "published");
  return state.selection === "similarity" || state.selection === "loss" || weighed;
}

/** Whether merges are tried on the original model: similarity is then measured once in any case. */
export function triesOnOriginal(): boolean {
  return state.selection === "loss" && state.repair === "refit";
}

/**
 * The pairs that would be merged by the map as it is; none where similarity does not choose, or is
 * not measured yet.
 */
export function preview(): PreviewPair[] {
  const measure = state.similarityMeasure;
  const matrix = state.matrices.get(measure);
  if (state.selection !== "similarity" || !matrix) return [];
  const similarityOf = (layer: number): number => {
    const value = matrix.values[(layer - 1) * matrix.layers + layer] ?? 0;
    return Math.min(1, Math.max(0, measure === "angular" ? 1 - value : value));
  };
  const kinds = state.model?.summary.blockKinds;
  return mostSimilar(matrix.layers, removing(), protection(), state.combination !== "drop", similarityOf, kinds);
}

/** The picked pairs as [keep, removed], in the original indices. */
export function pickedPairs(): [number, number][] {
  return pairsOf(state.picked);
}

/** How many layers the next merge removes. */
export function removing(): number {
  return state.selection === "manual" ? state.picked.length : Math.min(state.remove, removable());
}
