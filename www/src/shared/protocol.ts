/**
 * The messages between the interface (api/, on the page's side) and the worker (worker/), which
 * holds the wasm instance. Neither side knows more of the other than this file.
 */
import type * as wasm from "../wasm/mka_lab.js";

/** How far a step is. */
export interface Progress extends wasm.Progress {
  /** Where bytes are read or written. */
  bytesPerSecond?: number;
}

/** One method at one size with one seed. */
export type LineupPoint = wasm.LineupPoint & {
  /** The matrices of its repairs: `model.merge({ recipe, repair })` makes this model at once. */
  repair?: Blob;
};

/** What the worker sends of its memory with every reply, in bytes. */
export interface Figures extends wasm.Memory {
  /** Weights that may be on the engine at once. */
  budget: number;
}

/** One file of a model folder that the page already has. */
export interface NamedBlob {
  /** Path inside the folder, "/"-separated. */
  name: string;
  blob: Blob;
}

/** How a model on the network is reached. */
interface Access {
  /** What the user named, in its usual form: the name of what is kept. */
  source: string;
  /** Sent to the server that the user named and to no other; lives in memory only. */
  token?: string | undefined;
  /** Keep what is read, for use without a network. */
  keep: boolean;
  /** The commit that the revision stood for when the model was opened for the first time. */
  commit?: string | undefined;
}

/** The folder at a URL, which ends with "/". */
export type FolderSource = Access & { folder: string };

/** A model on a hub. */
export type HubSource = Access & {
  /** The hub's address, without "/" at its end. */
  hub: string;
  /** owner/name */
  repository: string;
  revision: string;
};

export type RemoteSource = FolderSource | HubSource;

/** Where a model comes from. */
export type Source = { files: NamedBlob[] } | RemoteSource;

/**
 * Methods of the worker. `target` of a call is the handle of the model or calibration it belongs to
 * (0: the lab).
 */
export type Method =
  | "create"
  | "productRate"
  | "setBudget"
  | "open"
  | "download"
  | "estimate"
  | "logits"
  | "evaluate"
  | "calibrate"
  | "merge"
  | "lineup"
  | "choice"
  | "cloze"
  | "generate"
  | "files"
  | "similarity"
  | "blockInfluence"
  | "embedding"
  | "hidden"
  | "rows"
  | "norms"
  | "close";

export type Request =
  /** The first message: the address of the wasm file. */
  | { kind: "start"; wasm: string }
  | { kind: "call"; id: number; method: Method; target: number; args: unknown[] }
  | { kind: "cancel"; id: number };

/** An error as it is sent between worker and page. */
export interface PlainError {
  name: string;
  message: string;
  code?: string;
  hint?: string;
}

export type Reply =
  | { kind: "result"; id: number; value: unknown; memory: Figures }
  | { kind: "error"; id: number; error: PlainError; memory: Figures }
  | { kind: "progress"; id: number; progress: Progress; memory: Figures }
  | { kind: "token"; id: number; token: wasm.Token; memory: Figures }
  | { kind: "point"; id: number; point: LineupPoint; memory: Figures }
  /** Something beside the work failed, and the work goes on. */
  | { kind: "warning"; error: PlainError }
  /** The wasm instance is not usable any more. */
  | { kind: "crash"; message: string; cause: CrashCause };

/** What ended a worker: an allocation that failed, a tokenizer.json, or something else. */
export type CrashCause = "memory" | "tokenizer" | "other";
