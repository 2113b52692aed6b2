/** The one error that the interface throws besides `AbortError`. */
import type { CrashCause, PlainError } from "../shared/protocol";

export type MkaErrorCode =
  | "not-a-checkpoint"
  | "bad-header"
  | "bad-config"
  | "bad-tokenizer"
  | "bad-index"
  | "missing-file"
  | "missing-tensor"
  | "wrong-shape"
  | "unsupported-family"
  | "unsupported-dtype"
  | "quantised"
  | "not-finite"
  | "degenerate"
  | "disconnected"
  | "bad-argument"
  | "out-of-memory"
  | "device-lost"
  | "no-webgpu"
  | "network"
  | "storage"
  | "internal";

/** Signs of a message of the engine's that an error shows. */
const LONGEST = 500;

/** What went wrong (`message`), the stable name of it (`code`) and what to do about it (`hint`). */
export class MkaError extends Error {
  override readonly name = "MkaError";

  constructor(
    readonly code: MkaErrorCode,
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}

/** The error of a call that was cancelled. */
export function abortError(): DOMException {
  return new DOMException("The call was cancelled.", "AbortError");
}

/** An error that the worker sent, as the interface throws it. */
export function revive(error: PlainError): Error {
  if (error.name === "AbortError") return abortError();
  if (error.name === "MkaError") return new MkaError(error.code as MkaErrorCode, error.message, error.hint ?? "");
  const other = new Error(error.message);
  other.name = error.name;
  return other;
}

/**
 * The engine ended during its work: a trap of the wasm code, or a worker that the browser ended.
 */
export function crashError(message: string, cause: CrashCause = "other"): MkaError {
  const words = message.length > LONGEST ? `${message.slice(0, LONGEST)}…` : message;
  if (cause === "memory") {
    return new MkaError(
      "out-of-memory",
      `The engine ran out of memory and stopped (${words}).`,
      "It was started again, and your models stay open. Take fewer or shorter sequences, or a smaller model.",
    );
  }
  if (cause === "tokenizer") {
    return new MkaError(
      "bad-tokenizer",
      `tokenizer.json: the engine stopped at it (${words}).`,
      "It was started again, and your models stay open. Take the tokenizer.json that belongs to these weights.",
    );
  }
  return new MkaError(
    "device-lost",
    `The engine stopped unexpectedly (${words}).`,
    "It was started again and your models stay open. If the same step stops it again, take shorter texts or the other engine.",
  );
}
