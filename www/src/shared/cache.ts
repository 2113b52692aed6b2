/**
 * The layout of the cache: models that were downloaded and kept, in the private file system that
 * the browser has for this page's origin. The interface lists and deletes them, the worker
 * (worker/cache.ts) fills and reads them. Must not know the network.
 *
 * mka-lab/<model>/model.json is the manifest, mka-lab/<model>/<version>/<file>/<chunk> are the
 * bytes. A chunk is 1 MiB of a file (the last one less) and is moved to its name when it is whole,
 * so the names in a folder are the list of the ranges that are kept: nothing else has to be right
 * after a crash, or with two tabs. A chunk never changes, so a Blob that was taken from it stays
 * valid.
 */

/** Bytes of a chunk. */
export const CHUNK = 1 << 20;

/** What is known of a kept model. */
export interface Manifest {
  /** What `open` takes: an address, or hub:owner/name@revision. */
  source: string;
  /** The hub's address, where the source is a name on a hub. */
  hub?: string;
  /** The commit that the revision stood for when it was opened. */
  commit?: string;
  /** Stands for the content: the commit, or a digest of what the server sends of each file. */
  version: string;
  files: { name: string; size: number }[];
}

/** A model that is kept in this browser. Sizes in bytes. */
export interface StoredModel {
  /** What `open` and `forget` take. */
  source: string;
  /**
   * The hub's address, where the source is a name on a hub; `open` and `forget` take it as an
   * option.
   */
  hub?: string;
  /** The commit that is kept, where the source is a name on a hub. */
  commit?: string;
  /** What is kept of it. */
  bytes: number;
  /** Its full size. */
  total: number;
  /** All of it is kept: nothing of it needs the network. */
  complete: boolean;
}

const ROOT = "mka-lab";

/**
 * The folder of all kept models; undefined where there is none, or the browser has no such thing,
 * as in some private windows. Created only when something is kept: the page around may use the
 * private file system as well.
 */
export async function root(options?: FileSystemGetDirectoryOptions): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    if (!navigator.locks) return undefined;
    return await (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT, options);
  } catch {
    return undefined;
  }
}

/** Name of the folder in which a source is kept. */
export async function cacheName(source: string, hub: string | undefined): Promise<string> {
  return digest(`${hub ?? ""} ${source}`);
}

/** SHA-256, as a name of 32 letters. */
export async function digest(text: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(hash, 0, 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Runs `work` while no other tab changes the folder of this model. */
export function exclusively<T>(name: string, work: () => Promise<T>): Promise<T> {
  return navigator.locks.request(`mka-lab/${name}`, work) as Promise<T>;
}

/** The manifest in the folder of a model; undefined where there is none that can be read. */
export async function readManifest(folder: FileSystemDirectoryHandle): Promise<Manifest | undefined> {
  try {
    const file = await (await folder.getFileHandle("model.json")).getFile();
    const manifest = JSON.parse(await file.text()) as Manifest;
    return Array.isArray(manifest.files) && typeof manifest.version === "string" ? manifest : undefined;
  } catch {
    return undefined;
  }
}

/** Length in bytes of a chunk of a file of `size` bytes. */
export function chunkLength(size: number, index: number): number {
  return Math.max(0, Math.min(CHUNK, size - index * CHUNK));
}

/** The chunks that are in a folder of `chunkFolder`, by their indices. */
export async function chunkIndices(folder: FileSystemDirectoryHandle): Promise<number[]> {
  const found: number[] = [];
  for await (const name of folder.keys()) if (/^\d+$/.test(name)) found.push(Number(name));
  return found;
}

/** The folder with the chunks of one file. */
export async function chunkFolder(
  model: FileSystemDirectoryHandle,
  version: string,
  file: number,
  options?: FileSystemGetDirectoryOptions,
): Promise<FileSystemDirectoryHandle> {
  return (await model.getDirectoryHandle(version, options)).getDirectoryHandle(String(file), options);
}

/** All kept models, the largest first. */
export async function stored(): Promise<StoredModel[]> {
  const models: StoredModel[] = [];
  for await (const entry of (await root())?.values() ?? []) {
    if (entry.kind !== "directory") continue;
    const folder = entry as FileSystemDirectoryHandle;
    const manifest = await readManifest(folder);
    const model = manifest && (await measured(folder, manifest));
    // Where nothing is kept, a download failed before its first byte.
    if (model && model.bytes > 0) models.push(model);
  }
  return models.sort((a, b) => b.bytes - a.bytes);
}

async function measured(model: FileSystemDirectoryHandle, manifest: Manifest): Promise<StoredModel> {
  const { source, hub, commit, version, files } = manifest;
  let bytes = 0;
  for (const [at, { size }] of files.entries()) {
    // It is missing where nothing of this file is kept.
    const folder = await chunkFolder(model, version, at).catch(() => undefined);
    const found = folder ? await chunkIndices(folder) : [];
    bytes += found.reduce((sum, index) => sum + chunkLength(size, index), 0);
  }
  const total = files.reduce((sum, { size }) => sum + size, 0);
  return { source, hub, commit, bytes, total, complete: bytes === total };
}

/** Deletes what is kept of a model. */
export async function forget(source: string, hub: string | undefined): Promise<void> {
  const folder = await root();
  const name = await cacheName(source, hub);
  if (folder) await exclusively(name, () => remove(folder, name));
}

/** Removes an entry that may be missing. */
export async function remove(folder: FileSystemDirectoryHandle, name: string): Promise<void> {
  try {
    await folder.removeEntry(name, { recursive: true });
  } catch (error) {
    if ((error as DOMException).name !== "NotFoundError") throw error;
  }
}
