/** Starts the worker, also for an `mka.js` that was imported from another origin. */
import wasmFile from "../wasm/mka_lab_bg.wasm?url";
import workerUrl from "../worker/worker.ts?worker&url";
import type { Request } from "../shared/protocol";
import { MkaError } from "./error";

/** A running worker, and the error where it never answers. */
export interface Spawned {
  worker: Worker;
  /** The error to report when the worker never answers. */
  explain: (message: string) => MkaError;
}

/**
 * Starts it and sends it the address of the wasm file: a bundler that builds mka.js into another
 * program moves both, each under a new name. A worker cannot be started by the address of another
 * origin. There, a blob of this page's own origin imports the address as a module, which CORS may
 * allow.
 */
export function spawn(): Spawned {
  const url = new URL(workerUrl, import.meta.url).href;
  const foreign = new URL(url).origin !== location.origin;
  const explain = (message: string): MkaError =>
    new MkaError(
      "network",
      `The worker ${url} could not be started${message ? `: ${message}` : "."}`,
      foreign
        ? "This page takes mka.js from another origin. That origin must send Access-Control-Allow-Origin, and this page's policy must allow it in script-src and blob: in worker-src. Or host mka.js and the files beside it yourself."
        : "The worker and the .wasm file must lie beside mka.js, and the page's policy must allow 'wasm-unsafe-eval' in script-src.",
    );
  try {
    const start = foreign ? blobUrl(`import ${JSON.stringify(url)};`) : url;
    const worker = new Worker(start, { type: "module", name: "mka-lab" });
    const begin: Request = { kind: "start", wasm: new URL(wasmFile, import.meta.url).href };
    worker.postMessage(begin);
    return { worker, explain };
  } catch (cause) {
    throw explain(cause instanceof Error ? cause.message : String(cause));
  }
}

let bootBlob: string | undefined;

/** The address of a module with this text; made once, since the text is the same on one page. */
function blobUrl(text: string): string {
  bootBlob ??= URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  return bootBlob;
}
