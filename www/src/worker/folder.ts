/** Finds the files of a model folder behind a URL. */
import { isNetworkError } from "./errors";
import { body, download, fromUrl, networkError, type SourceFile } from "./source";

/** Files beside the weights, and whether a model folder may lack them. */
const SMALL = [
  { name: "tokenizer.json", optional: false },
  { name: "tokenizer_config.json", optional: true },
  { name: "generation_config.json", optional: true },
  { name: "special_tokens_map.json", optional: true },
];

/**
 * `folder` ends with "/". A file that is not there is no failure: what is needed is decided when the model is opened.
 * Some hosts leave CORS out of their 404, which looks like a broken connection; optional files are then taken as missing.
 */
export async function listFolder(folder: string): Promise<SourceFile[]> {
  const listed = await listing(folder);
  if (listed) return listed;
  const config = await smallFile(folder, "config.json");
  const small = await Promise.all(SMALL.map(({ name, optional }) => orMissing(optional, smallFile(folder, name))));
  const files = [config, ...small].filter((file) => file !== undefined);
  const single = await orMissing(true, weights(folder, "model.safetensors"));
  if (single) return [...files, single];
  const index = await smallFile(folder, "model.safetensors.index.json");
  if (!index) return files;
  const shards = await Promise.all((await shardNames(index)).map((name) => weights(folder, name)));
  return [...files, index, ...shards.filter((file) => file !== undefined)];
}

/** `mka-files.json`: [{ name, size }]. A host that answers everything with a page of its own has none. */
async function listing(folder: string): Promise<SourceFile[] | undefined> {
  const file = await orMissing(true, smallFile(folder, "mka-files.json"));
  const entries: unknown = file && (await json(file));
  if (!Array.isArray(entries)) return undefined;
  return entries
    .filter((entry) => typeof entry?.name === "string" && Number.isSafeInteger(entry.size))
    .map(({ name, size }) => fromUrl(name, address(folder, name), size));
}

async function orMissing(optional: boolean, file: Promise<SourceFile | undefined>): Promise<SourceFile | undefined> {
  if (!optional) return file;
  return file.catch((error: unknown) => {
    if (isNetworkError(error)) return undefined;
    throw error;
  });
}

/** A file that is read as a whole; undefined where there is none. */
async function smallFile(folder: string, name: string): Promise<SourceFile | undefined> {
  const url = address(folder, name);
  const response = await download(url);
  if (!isThere(url, response)) return undefined;
  const blob = await body(url, response);
  return fromUrl(name, url, blob.size, blob);
}

/** A file that is read by range. Its size is in the answer to the first byte, or to HEAD where CORS hides it. */
async function weights(folder: string, name: string): Promise<SourceFile | undefined> {
  const url = address(folder, name);
  const response = await download(url, { headers: { Range: "bytes=0-0" } });
  if (response.status === 416) return fromUrl(name, url, 0, new Blob([])); // an empty file has no first byte
  if (!isThere(url, response)) return undefined;
  if (response.status !== 206) {
    const blob = await body(url, response);
    return fromUrl(name, url, blob.size, blob);
  }
  await response.body?.cancel();
  const range = /\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "");
  const size = range?.[1] ?? (await download(url, { method: "HEAD" })).headers.get("Content-Length");
  if (!size) throw networkError(url, "the server does not tell the file's size");
  return fromUrl(name, url, Number(size));
}

/** Some hosts answer a missing file with a web page and the status 200. */
function isThere(url: string, response: Response): boolean {
  if (response.status === 404 || response.status === 410) return false;
  if (!response.ok) throw networkError(url, `the server answered ${response.status}`);
  return !(response.headers.get("Content-Type") ?? "").startsWith("text/html");
}

async function shardNames(index: SourceFile): Promise<string[]> {
  const parsed = (await json(index)) as { weight_map?: Record<string, unknown> } | undefined;
  const names = Object.values(parsed?.weight_map ?? {}).filter((name) => typeof name === "string");
  // A path that leaves the folder is refused when the model is opened; it must not be fetched before.
  return [...new Set(names)].filter((name) => !name.split("/").includes("..") && !/^[/\\]|^\w+:/.test(name));
}

async function json(file: SourceFile): Promise<unknown> {
  try {
    return JSON.parse(await (await file.blob(0, file.size)).text());
  } catch {
    return undefined; // whether the file is needed, and what is wrong with it, is told by `open`
  }
}

function address(folder: string, name: string): string {
  return new URL(name.split("/").map(encodeURIComponent).join("/"), folder).href;
}
