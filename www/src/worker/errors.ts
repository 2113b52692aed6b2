/** Errors on their way out of the worker. */
import type { PlainError } from "../shared/protocol";

/**
 * An error with a code, as a plain object: the wasm code passes such an object through unchanged.
 */
export function mkaError(code: string, message: string, hint: string): PlainError {
  return { name: "MkaError", code, message, hint };
}

/** Anything that was thrown, as it can be sent out of the worker. */
export function plain(error: unknown): PlainError {
  if (typeof error === "object" && error !== null && "message" in error) {
    const { name, message, code, hint } = error as PlainError;
    return { name: name ?? "Error", message: String(message), code, hint };
  }
  return { name: "Error", message: String(error) };
}

/** A trap: the instance cannot be used any more. */
export function isTrap(error: unknown): boolean {
  return error instanceof WebAssembly.RuntimeError;
}
