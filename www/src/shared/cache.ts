/**
 * Models that were downloaded and kept, in the browser's private file system of this page's origin. Both sides use this file: the
 * page to list and delete, the worker (src/worker/shelf.ts) to fill and read. It knows no network.
 *
 * mka-lab/<model>/model.json is the manifest, mka-lab/<model>/<version>/<file>/<piece> are the bytes. A piece is 1 MiB of a file (the
 * last one less) and is moved to its name when it is whole, so the names that are there are the list of the ranges that are kept: nothing
 * else has to be right after a crash, or with two tabs. A piece never changes, so a Blob that was taken from it stays good.
 */

/** Bytes of a piece. */
export const PIECE = 1 << 20;

/** What is known of a kept model. */
export interface Manifest {
  /** What `open` takes: an address, or hub:owner/name@revision. */
  source: string;
  /** The hub's address, where the source is a name on a hub. */
  hub?: string;
  /** The commit that the revision stood for when it was opened. */
  commit?: string;
  /** Stands for the content: the commit, or a digest of what the server says of each file. */
  version: string;
  files: { name: string; size: number }[];
}

/** A model that is kept in this browser. Sizes in bytes. */
export interface StoredModel {
  /** What `open` and `forget` take. */
  source: string;
  /** The hub's address, where the source is a name on a hub; `open` and `forget` take it as an option. */
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
 * The folder of all kept models; undefined where there is none, or the browser has no such thing, as in some private windows.
 * Made only for something to be kept: the page around may use the private file system for its own.
 */
export async function root(options?: FileSystemGetDirectoryOptions): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    if (!navigator.locks) return undefined;
    return await (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT, options);
  } catch {
    return undefined;
  }
}

/** The folder's name of a source. */
export async function shelfName(source: string, hub: string | undefined): Promise<string> {
  return digest(`${hub ?? ""} ${source}`);
}

/** SHA-256, as a name of 32 letters. */
export async function digest(text: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(hash, 0, 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** One tab at a time changes the folder of a model. */
export function alone<T>(shelf: string, work: () => Promise<T>): Promise<T> {
  return navigator.locks.request(`mka-lab/${shelf}`, work) as Promise<T>;
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

/** How long the piece of a file of `size` bytes is. */
export function pieceLength(size: number, index: number): number {
  return Math.max(0, Math.min(PIECE, size - index * PIECE));
}

/** The names in the folder of one file's pieces. */
export async function pieces(folder: FileSystemDirectoryHandle): Promise<number[]> {
  const found: number[] = [];
  for await (const name of folder.keys()) if (/^\d+$/.test(name)) found.push(Number(name));
  return found;
}

/** The folder of one file's pieces. */
export async function drawerFolder(
  shelf: FileSystemDirectoryHandle,
  version: string,
  file: number,
  options?: FileSystemGetDirectoryOptions,
): Promise<FileSystemDirectoryHandle> {
  return (await shelf.getDirectoryHandle(version, options)).getDirectoryHandle(String(file), options);
}

/** All kept models, the largest first. */
export async function stored(): Promise<StoredModel[]> {
  const models: StoredModel[] = [];
  for await (const shelf of (await root())?.values() ?? []) {
    if (shelf.kind !== "directory") continue;
    const manifest = await readManifest(shelf as FileSystemDirectoryHandle);
    if (manifest) models.push(await measured(shelf as FileSystemDirectoryHandle, manifest));
  }
  return models.sort((a, b) => b.bytes - a.bytes);
}

async function measured(shelf: FileSystemDirectoryHandle, manifest: Manifest): Promise<StoredModel> {
  const { source, hub, commit, version, files } = manifest;
  let bytes = 0;
  for (const [at, { size }] of files.entries()) {
    const folder = await drawerFolder(shelf, version, at).catch(() => undefined); // nothing of this file is kept
    const found = folder ? await pieces(folder) : [];
    bytes += found.reduce((sum, index) => sum + pieceLength(size, index), 0);
  }
  const total = files.reduce((sum, { size }) => sum + size, 0);
  return { source, hub, commit, bytes, total, complete: bytes === total };
}

/** Deletes what is kept of a model. */
export async function forget(source: string, hub: string | undefined): Promise<void> {
  const folder = await root();
  const name = await shelfName(source, hub);
  if (folder) await alone(name, () => remove(folder, name));
}

/** Removes an entry that may be missing. */
export async function remove(folder: FileSystemDirectoryHandle, name: string): Promise<void> {
  try {
    await folder.removeEntry(name, { recursive: true });
  } catch (error) {
    if ((error as DOMException).name !== "NotFoundError") throw error;
  }
}
