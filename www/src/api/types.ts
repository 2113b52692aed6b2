/**
 * The types of the programming interface. Data types are generated from the Rust types; this file adds what only exists
 * on this side: signals, callbacks, files.
 */
import type { LineupPoint, Progress } from "../shared/protocol";
import type * as wasm from "../wasm/mka_lab.js";

export type {
  CalibrationInfo,
  ChoiceOptions,
  ChoiceResult,
  ClozeFact,
  ClozeOptions,
  ClozeResult,
  Comparison,
  Embedding,
  Estimate,
  Evaluation,
  Fact,
  Hidden,
  Input,
  LayerMatrix,
  LineupMeasure,
  LineupText,
  Logits,
  ManifoldOptions,
  Memory,
  Preset,
  Recipe,
  RowTexts,
  SimilarityOptions,
  Summary,
  Token,
} from "../wasm/mka_lab.js";

export type { StoredModel } from "../shared/cache";
export type { LineupPoint, Progress };

/** `auto` takes WebGPU on real hardware and the CPU engine on a software adapter or where there is no WebGPU. */
export type Backend = "auto" | "webgpu" | "cpu";

/** What every long call takes. */
export interface Watch {
  /** Aborting it rejects the call with an `AbortError` within half a second; the lab stays usable. */
  signal?: AbortSignal;
  /** Called as the work goes on, a few times a second. */
  onProgress?: (progress: Progress) => void;
}

/** How a model is opened. All but the watching concerns models on the network only. */
export interface OpenOptions extends Watch {
  /** For gated models. Sent to the hub (or the folder's server) and to no other, kept in memory only. */
  token?: string;
  /** Keeps what is read in this browser, so that it works without a network afterwards. Default false. */
  keep?: boolean;
  /** The address of the hub that names are looked up on: a mirror, for example. Default https://huggingface.co. */
  hub?: string;
}

export type EstimateOptions = wasm.EstimateOptions & Watch;
export type EvaluateOptions = wasm.EvaluateOptions & Watch;
export type CalibrateOptions = wasm.CalibrateOptions & Watch;
export type GenerateOptions = wasm.GenerateOptions & { signal?: AbortSignal };

/** Measures of two layers' likeness: `angular` is a distance, the others are similarities in [0, 1]. */
export type SimilarityName = "npib" | "npib-knn" | "cosine" | "angular" | "cka";

/** Which methods to hold against each other; without a text to calibrate on, the built-in mix. */
export type LineupOptions = Omit<wasm.LineupOptions, "calibrate" | "done"> & {
  /** Without a text: the built-in ones, but for the last fifth of each, so that it can be measured on. */
  calibrate?: wasm.CalibrateOptions;
  /** Points of an earlier run on the same model under the same options: they are left out, and come back with the new ones. */
  points?: readonly LineupPoint[];
} & Watch;

/** One file of a merged model. */
export interface ModelFile {
  name: string;
  /** Mostly slices of the input file: nothing is copied before it is read. */
  blob: Blob;
}
