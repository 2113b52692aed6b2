/**
 * The built-in texts (public domain) and models, which lie beside mka.js. Each address is written
 * out in the form that bundlers look for: they move the files, and put the new address in.
 */
import { MkaError } from "./error";
import { startOf } from "./heldout";
import type { CalibrateOptions } from "../wasm/mka_lab.js";
import type { Watch } from "./types";

/** Fables, drama and exposition, in this order. */
const TEXTS = (): URL[] => [
  new URL(/* @vite-ignore */ "./texts/fables.txt", import.meta.url),
  new URL(/* @vite-ignore */ "./texts/drama.txt", import.meta.url),
  new URL(/* @vite-ignore */ "./texts/exposition.txt", import.meta.url),
];

const MODELS = {
  demo: (): Record<string, URL> => ({
    "config.json": new URL(/* @vite-ignore */ "./models/demo/config.json", import.meta.url),
    "generation_config.json": new URL(
      /* @vite-ignore */ "./models/demo/generation_config.json",
      import.meta.url,
    ),
    "model.safetensors": new URL(
      /* @vite-ignore */ "./models/demo/model.safetensors",
      import.meta.url,
    ),
    "tokenizer.json": new URL(/* @vite-ignore */ "./models/demo/tokenizer.json", import.meta.url),
    "tokenizer_config.json": new URL(
      /* @vite-ignore */ "./models/demo/tokenizer_config.json",
      import.meta.url,
    ),
  }),
  stories260k: (): Record<string, URL> => ({
    "config.json": new URL(/* @vite-ignore */ "./models/stories260k/config.json", import.meta.url),
    "model.safetensors": new URL(
      /* @vite-ignore */ "./models/stories260k/model.safetensors",
      import.meta.url,
    ),
    "tokenizer.json": new URL(
      /* @vite-ignore */ "./models/stories260k/tokenizer.json",
      import.meta.url,
    ),
    "tokenizer_config.json": new URL(
      /* @vite-ignore */ "./models/stories260k/tokenizer_config.json",
      import.meta.url,
    ),
  }),
};

/** Name of a built-in model. */
export type BuiltIn = keyof typeof MODELS;

let loaded: Promise<string[]> | undefined;

/** The built-in texts: fables, drama and exposition, in this order. */
export function builtInTexts(signal?: AbortSignal): Promise<string[]> {
  signal?.throwIfAborted();
  loaded ??= Promise.all(TEXTS().map(async (url) => (await load(url)).text())).catch((error: unknown) => {
    loaded = undefined; // the next call tries again
    throw error;
  });
  return loaded;
}

/** What to calibrate on: without texts or ids, the built-in texts without their held-out ends. */
export async function calibratedOn(options: CalibrateOptions, signal?: AbortSignal): Promise<CalibrateOptions> {
  if ((options.text ?? options.texts ?? options.ids) !== undefined) return options;
  return { ...options, texts: (await builtInTexts(signal)).map(startOf) };
}

/** The files of a built-in model, for `lab.open`. Both are small: they are loaded as a whole. */
export async function builtInModel(name: BuiltIn, { signal, onProgress }: Watch = {}): Promise<File[]> {
  const files = Object.entries(MODELS[name]());
  let done = 0;
  return Promise.all(
    files.map(async ([file, url]) => {
      const blob = await (await load(url, signal)).blob();
      done += 1;
      onProgress?.({ step: "open", done, total: files.length, unit: "files" });
      return new File([blob], file);
    }),
  );
}

async function load(url: URL, signal?: AbortSignal): Promise<Response> {
  const fail = (reason: string): MkaError =>
    new MkaError("network", `${url.href}: ${reason}`, "The folders texts/ and models/ must lie beside mka.js. Or give files of your own.");
  const response = await fetch(url, { signal }).catch((cause: unknown) => {
    if (signal?.aborted) throw cause;
    throw fail(String(cause));
  });
  if (!response.ok) throw fail(`the server answered ${response.status}`);
  return response;
}
