/**
 * What is kept of one model: fills and reads the folders of shared/cache.ts. Must not know the
 * network.
 */
import type { PlainError } from "../shared/protocol";
import {
  exclusively,
  chunkFolder,
  type Manifest,
  chunkLength,
  chunkIndices,
  readManifest,
  remove,
  root,
  cacheName,
} from "../shared/cache";
import { mkaError } from "./errors";

/** What only workers have of the file system; TypeScript's library for pages lacks it. */
interface WorkerFileHandle extends FileSystemFileHandle {
  createSyncAccessHandle(): Promise<{
    write(bytes: Uint8Array, options: { at: number }): number;
    truncate(size: number): void;
    flush(): void;
    close(): void;
  }>;
  move(name: string): Promise<void>;
}

export class ModelCache {
  /** Whether what is read over the network is kept from now on. */
  keeping = false;
  /** Why keeping came to an end. */
  trouble: PlainError | undefined;
  /** Called when keeping comes to an end against the user's will. */
  onTrouble: (trouble: PlainError) => void = () => {};

  private constructor(
    readonly name: string,
    readonly folder: FileSystemDirectoryHandle,
    readonly manifest: Manifest,
    readonly files: readonly CachedFile[],
  ) {}

  /** What is kept of this source; undefined where nothing is. */
  static async find(source: string, hub: string | undefined): Promise<ModelCache | undefined> {
    const name = await cacheName(source, hub);
    const folder = await (await root())?.getDirectoryHandle(name).catch(() => undefined);
    return folder && exclusively(name, async () => {
      const manifest = await readManifest(folder);
      return manifest && ModelCache.#open(name, folder, manifest);
    });
  }

  /**
   * A new one, in place of what was kept of another version; undefined where the browser keeps
   * nothing.
   */
  static async create(manifest: Manifest): Promise<ModelCache | undefined> {
    const all = await root({ create: true });
    if (!all) return undefined;
    const name = await cacheName(manifest.source, manifest.hub);
    return exclusively(name, async () => {
      const there = await all.getDirectoryHandle(name).catch(() => undefined);
      const known = there && (await readManifest(there));
      // Another tab was faster.
      if (there && known?.version === manifest.version) return ModelCache.#open(name, there, known);
      await remove(all, name);
      const folder = await all.getDirectoryHandle(name, { create: true });
      await write(folder, "model.json", new TextEncoder().encode(JSON.stringify(manifest)));
      return ModelCache.#open(name, folder, manifest);
    });
  }

  static async #open(name: string, folder: FileSystemDirectoryHandle, manifest: Manifest): Promise<ModelCache> {
    const files: CachedFile[] = [];
    const cache = new ModelCache(name, folder, manifest, files);
    for (const [at, { size }] of manifest.files.entries()) {
      const chunks = await chunkFolder(folder, manifest.version, at, { create: true });
      files.push(new CachedFile(cache, chunks, size, new Set(await chunkIndices(chunks))));
    }
    return cache;
  }

  /** Bytes that are not kept yet. */
  get missing(): number {
    return this.files.reduce((sum, file) => sum + file.missing, 0);
  }

  /** Keeps from now on, if there is room for all that is missing. */
  async begin(): Promise<void> {
    if (this.keeping) return;
    this.trouble = undefined;
    const { quota, usage } = await navigator.storage.estimate();
    const room = (quota ?? Infinity) - (usage ?? 0);
    if (room < this.missing) return this.stop(noRoom(this.manifest.source, this.missing, room));
    this.keeping = true;
  }

  /** Goes on without keeping. */
  stop(trouble: PlainError): void {
    this.keeping = false;
    this.trouble = trouble;
    this.onTrouble(trouble);
  }
}

/** The chunks of one file that are kept. */
export class CachedFile {
  constructor(
    readonly cache: ModelCache,
    readonly folder: FileSystemDirectoryHandle,
    readonly size: number,
    readonly found: Set<number>,
  ) {}

  get missing(): number {
    return this.size - [...this.found].reduce((sum, index) => sum + chunkLength(this.size, index), 0);
  }

  has(index: number): boolean {
    return this.found.has(index);
  }

  /** A chunk that is kept; undefined where it is not, or no longer. */
  async get(index: number): Promise<Blob | undefined> {
    if (!this.found.has(index)) return undefined;
    const file = await this.#look(index);
    if (!file) this.found.delete(index); // it was deleted in another tab, or by the browser
    return file;
  }

  /** The chunk on the disk, if it is there and whole. */
  async #look(index: number): Promise<File | undefined> {
    try {
      const file = await (await this.folder.getFileHandle(String(index))).getFile();
      return file.size === chunkLength(this.size, index) ? file : undefined;
    } catch {
      return undefined;
    }
  }

  /** Keeps a chunk. A disk that is full ends the keeping, not the reading. */
  async put(index: number, bytes: Uint8Array): Promise<void> {
    const { cache } = this;
    if (!cache.keeping || this.found.has(index)) return;
    try {
      await exclusively(cache.name, async () => {
        // Another tab may have been faster, and what it wrote may be in use.
        if (!(await this.#look(index))) await write(this.folder, String(index), bytes);
      });
      this.found.add(index);
    } catch (cause) {
      // The user has just deleted it.
      if ((cause as DOMException).name === "NotFoundError") cache.keeping = false;
      else cache.stop(failed(cache.manifest.source, cache.missing, cause));
    }
  }
}

/** Writes a file so that it is there whole or not at all. */
async function write(folder: FileSystemDirectoryHandle, name: string, bytes: Uint8Array): Promise<void> {
  const part = `${name}.part`;
  const handle = (await folder.getFileHandle(part, { create: true })) as WorkerFileHandle;
  try {
    const access = await handle.createSyncAccessHandle();
    try {
      access.truncate(0); // a crash may have left a longer one
      if (access.write(bytes, { at: 0 }) < bytes.length) throw new DOMException("it was cut off", "QuotaExceededError");
      access.flush();
    } finally {
      access.close();
    }
    await handle.move(name);
  } catch (error) {
    await remove(folder, part).catch(() => {}); // the first error is the one to report
    throw error;
  }
}

/** Why a write failed, of a model of which so many bytes are missing. */
export function failed(source: string, missing: number, cause: unknown): PlainError {
  const { name, message } = cause as DOMException;
  return name === "QuotaExceededError" ? noRoom(source, missing) : notKept(source, message);
}

function noRoom(source: string, needed: number, room?: number): PlainError {
  const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`;
  const left = room === undefined ? "the disk is full" : `the browser leaves this page ${megabytes(Math.max(0, room))}`;
  return mkaError(
    "storage",
    `${source} is not kept any further: ${megabytes(needed)} are missing, ${left}.`,
    "Delete kept models that you no longer need, or make room on the disk. Until then it is read over the network.",
  );
}

export function notKept(source: string, reason: string): PlainError {
  return mkaError(
    "storage",
    `${source} is not kept: ${reason}.`,
    "It is read over the network. Private windows and pages without https may keep nothing; another window or browser may.",
  );
}
