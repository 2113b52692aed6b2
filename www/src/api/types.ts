/**
 * The types of the programming interface. Data types are generated from the Rust types; this file
 * adds what only exists on this side: signals, callbacks, files.
 */
import type { LineupPoint, Progress } from "../shared/protocol";
import type { AlphaSource, Combination, Measure, Norms, Repair, Selection } from "./choices";
import type * as wasm from "../wasm/mka_lab.js";

export type {
  Assume,
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
  Recipe,
  RowTexts,
  SimilarityOptions,
  Summary,
  Token,
} from "../wasm/mka_lab.js";

export type { AlphaSource, Combination, Measure, Norms, Repair, Selection };
export type { StoredModel } from "../shared/cache";
export type { LineupPoint, Progress };

/**
 * `auto` takes WebGPU on real hardware and the CPU engine on a software adapter or where there is
 * no WebGPU.
 */
export type Backend = "auto" | "webgpu" | "cpu";

/** What every long call takes. */
export interface Watch {
  /**
   * Aborting it rejects the call with an `AbortError` within half a second; the lab stays usable.
   */
  signal?: AbortSignal;
  /** Called as the work goes on, a few times a second. */
  onProgress?: (progress: Progress) => void;
}

/** A named method, with its choices. */
export type Preset = Omit<wasm.Preset, "options"> & {
  options: Omit<wasm.PresetOptions, "alpha"> & { alpha?: AlphaSource };
};

/** How a model is opened. `token`, `keep` and `hub` are for models on the network only. */
export interface OpenOptions extends Watch {
  /**
   * The family that the model is computed as, where its own is not known: it is written into
   * recipes.
   */
  assume?: wasm.Assume;
  /** For gated models. Sent to the hub (or the folder's server) only, and kept in memory only. */
  token?: string;
  /** Keeps what is read in this browser: it works without a network afterwards. Default false. */
  keep?: boolean;
  /** The address of the hub, for example of a mirror. Default https://huggingface.co. */
  hub?: string;
}

export type EstimateOptions = wasm.EstimateOptions & Watch;
export type EvaluateOptions = wasm.EvaluateOptions & Watch;
export type CalibrateOptions = wasm.CalibrateOptions & Watch;
export type GenerateOptions = wasm.GenerateOptions & { signal?: AbortSignal };

/** How two layers are compared. */
export type SimilarityName = Measure;

/** Which methods to compare; without a text to calibrate on, the built-in mix. */
export type LineupOptions = Omit<wasm.LineupOptions, "calibrate" | "done"> & {
  /**
   * Without a text: the built-in ones without the last fifth of each, which is left to measure on.
   */
  calibrate?: wasm.CalibrateOptions;
  /**
   * Points of an earlier run on the same model under the same options: they are not measured again,
   * and are returned with the new ones.
   */
  points?: readonly LineupPoint[];
} & Watch;

/** One file of a merged model. */
export interface ModelFile {
  name: string;
  /** Mostly slices of the input file: nothing is copied before it is read. */
  blob: Blob;
}
