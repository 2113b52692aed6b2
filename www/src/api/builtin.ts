/** The built-in calibration texts (public domain), which lie beside mka.js. */
import { MkaError } from "./error";

const NAMES = ["fables", "drama", "exposition"];
const HERE = import.meta.url;

let loaded: Promise<string[]> | undefined;

/** Fables, drama and exposition, in this order. */
export function builtInTexts(signal: AbortSignal | undefined): Promise<string[]> {
  signal?.throwIfAborted();
  loaded ??= Promise.all(NAMES.map(load)).catch((error: unknown) => {
    loaded = undefined; // the next call tries again
    throw error;
  });
  return loaded;
}

async function load(name: string): Promise<string> {
  const url = new URL(`texts/${name}.txt`, HERE).href;
  const fail = (reason: string): MkaError =>
    new MkaError("network", `${url}: ${reason}`, "The folder texts/ must lie beside mka.js. Or give a text of your own.");
  const response = await fetch(url).catch((cause: unknown) => {
    throw fail(String(cause));
  });
  if (!response.ok) throw fail(`the server answered ${response.status}`);
  return response.text();
}
