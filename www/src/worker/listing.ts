/**
 * Finds the files of a model: in the folder at a URL, or in any place that can be asked for a file.
 */
import { type Answer, ask, Backoff } from "./network";
import { type Host, isMissing, networkError, sentWhole } from "./refusals";
import type { Listed } from "./remote";

/** Where a model's files lie. */
export interface Place {
  host: Host;
  address(name: string): string;
}

/** Looks for a file: undefined where there is none. `optional`: a model folder may lack it. */
export type Look = (name: string, kind: { weights: boolean; optional: boolean }) => Promise<Listed | undefined>;

/** Files beside the weights, and whether a model folder may lack them. */
const SMALL = [
  { name: "tokenizer.json", optional: false },
  { name: "tokenizer_config.json", optional: true },
  { name: "generation_config.json", optional: true },
  { name: "special_tokens_map.json", optional: true },
];

/** What a model of images has beside them, and an export takes along. */
const OF_IMAGES = ["preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json", "chat_template.json", "chat_template.jinja"];

export const INDEX = "model.safetensors.index.json";

/** `folder` ends with "/". */
export function folderPlace(folder: string, token: string | undefined): Place {
  const host = { name: folder, origin: new URL(folder).origin, token };
  return { host, address: (name) => new URL(name.split("/").map(encodeURIComponent).join("/"), folder).href };
}

/** No model has so many files; each one is asked for. */
const MOST_FILES = 2000;

/** A missing file is no failure: which ones are needed is decided when the model is opened. */
export async function listFolder(place: Place): Promise<Listed[]> {
  const look = lookIn(place);
  return (await announced(place)) ?? usualFiles(look, await look("config.json", { weights: false, optional: false }));
}

/** `mka-files.json`: [{ name, size }]. A host that answers everything with a web page has none. */
async function announced(place: Place): Promise<Listed[] | undefined> {
  const file = await lookIn(place)("mka-files.json", { weights: false, optional: true });
  const entries = await json(file);
  if (!Array.isArray(entries)) return undefined;
  return entries
    .filter((entry) => typeof entry?.name === "string" && isInside(entry.name) && Number.isSafeInteger(entry.size) && entry.size >= 0)
    .slice(0, MOST_FILES)
    .map(({ name, size }) => ({ name, url: place.address(name), size }));
}

/** The files that a model folder has by custom. */
export async function usualFiles(look: Look, config: Listed | undefined): Promise<Listed[]> {
  const { vision_config: images } = ((await json(config)) ?? {}) as { vision_config?: unknown };
  const wanted = [...SMALL, ...(images ? OF_IMAGES : []).map((name) => ({ name, optional: true }))];
  const small = await Promise.all(wanted.map(({ name, optional }) => look(name, { weights: false, optional })));
  const single = await look("model.safetensors", { weights: true, optional: true });
  if (single) return there([config, ...small, single]);
  const index = await look(INDEX, { weights: false, optional: false });
  const names = await shardNames(index);
  return there([config, ...small, index, ...(await Promise.all(names.map((name) => look(name, { weights: true, optional: false }))))]);
}

function there(files: (Listed | undefined)[]): Listed[] {
  return files.filter((file) => file !== undefined);
}

/**
 * Requests each file. Some hosts leave CORS out of their 404, which looks like no answer; optional
 * files are then taken as missing.
 */
export function lookIn({ host, address }: Place): Look {
  return async (name, { weights, optional }) => {
    const url = address(name);
    try {
      return weights ? await head(host, name, url, optional) : await smallFile(host, name, url, optional);
    } catch (error) {
      if (optional && (error as { unreachable?: boolean }).unreachable !== undefined) return undefined;
      throw error;
    }
  };
}

/** A file that is read as a whole. */
async function smallFile(host: Host, name: string, url: string, optional: boolean): Promise<Listed | undefined> {
  return whole(name, url, (backoff) => ask(host, url, { optional, backoff }));
}

/**
 * The whole body of an answer; undefined where there is no such file. Retries a broken connection.
 */
export async function whole(name: string, url: string, asked: (backoff: Backoff) => Promise<Answer>): Promise<Listed | undefined> {
  const backoff = new Backoff();
  for (;;) {
    const answer = await asked(backoff);
    if (!isFile(answer)) return undefined;
    try {
      const blob = await answer.blob();
      return { name, url, size: blob.size, version: answer.version, whole: blob };
    } catch (error) {
      if ((error as { code?: string }).code !== "network") throw error;
      await backoff.again(error as never);
    }
  }
}

/**
 * A file that is read by range. Its size is in the answer to the first byte, or to HEAD where CORS
 * hides it.
 */
export async function head(host: Host, name: string, url: string, optional: boolean): Promise<Listed | undefined> {
  const answer = await ask(host, url, { range: [0, 1], optional });
  // An empty file has no first byte.
  if (answer.status === 416) return { name, url, size: 0, whole: new Blob([]) };
  if (answer.status === 200) {
    let first: Answer | undefined = answer;
    const file = await whole(name, url, async (backoff) => {
      const now = first ?? (await ask(host, url, { backoff }));
      first = undefined;
      return now;
    });
    if (file) sentWhole(host, url, file.size);
    return file;
  }
  answer.cancel();
  if (!isFile(answer)) return undefined;
  const range = /\/(\d+)$/.exec(answer.header("Content-Range"));
  const size = range?.[1] ?? (await ask(host, url, { method: "HEAD" })).header("Content-Length");
  if (!size) throw networkError(url, "the server does not tell the file's size");
  return { name, url, size: Number(size), version: answer.version };
}

/** Some hosts answer a missing file with a web page and the status 200. */
function isFile(answer: Answer): boolean {
  const file = !isMissing(answer.status) && answer.status !== 416 && !answer.header("Content-Type").startsWith("text/html");
  if (!file) answer.cancel();
  return file;
}

async function shardNames(index: Listed | undefined): Promise<string[]> {
  const parsed = (await json(index)) as { weight_map?: Record<string, unknown> } | undefined;
  const names = Object.values(parsed?.weight_map ?? {}).filter((name) => typeof name === "string");
  // A path that leaves the folder is refused when the model is opened; it is not fetched before.
  return [...new Set(names)].filter(isInside).slice(0, MOST_FILES);
}

export function isInside(name: string): boolean {
  return !name.split(/[/\\]/).some((part) => part === "" || part === "." || part === "..") && !/^\w+:/.test(name);
}

async function json(file: Listed | undefined): Promise<unknown> {
  try {
    return file?.whole && JSON.parse(await file.whole.text());
  } catch {
    return undefined; // `open` reports whether the file is needed, and what is wrong with it
  }
}
