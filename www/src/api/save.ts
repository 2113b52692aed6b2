/** Writes files into a folder that the user chose, in slices: no file is in memory as a whole. */
import { abortError, MkaError } from "./error";
import type { ModelFile, Watch } from "./types";

const SLICE = 4 * 1024 * 1024;

/**
 * A save that does not come to its end leaves nothing of its own: files that it added are removed,
 * one that it would replace stays.
 */
export async function saveFiles(directory: FileSystemDirectoryHandle, files: ModelFile[], { signal, onProgress }: Watch): Promise<void> {
  const total = files.reduce((sum, file) => sum + file.blob.size, 0);
  const start = performance.now();
  let done = 0;
  const report = (bytes: number): void => {
    done += bytes;
    const seconds = (performance.now() - start) / 1000;
    const bytesPerSecond = seconds > 0 ? done / seconds : undefined;
    const secondsLeft = bytesPerSecond ? (total - done) / bytesPerSecond : undefined;
    onProgress?.({ step: "save", done, total, unit: "bytes", bytesPerSecond, secondsLeft });
  };
  const added: string[] = [];
  const replaced: string[] = [];
  for (const file of files) {
    try {
      if (signal?.aborted) throw abortError();
      const there = await directory.getFileHandle(file.name).then(() => true, () => false);
      if (!there) added.push(file.name);
      await saveFile(directory, file, signal, report);
      if (there) replaced.push(file.name);
    } catch (cause) {
      // One that can't be removed is gone already, or was never made.
      for (const name of added) await directory.removeEntry(name).catch(() => {});
      if (signal?.aborted) throw abortError();
      throw new MkaError("storage", `${file.name} could not be written: ${reasonOf(cause)}`, hintOf(cause, replaced));
    }
  }
}

async function saveFile(
  directory: FileSystemDirectoryHandle,
  file: ModelFile,
  signal: AbortSignal | undefined,
  report: (bytes: number) => void,
): Promise<void> {
  const handle = await directory.getFileHandle(file.name, { create: true });
  const writable = await handle.createWritable();
  try {
    for (let offset = 0; offset < file.blob.size; offset += SLICE) {
      if (signal?.aborted) throw abortError();
      const slice = file.blob.slice(offset, offset + SLICE);
      await writable.write(slice);
      report(slice.size);
    }
    await writable.close();
  } catch (error) {
    await writable.abort().catch(() => {}); // leaves the file as it was before
    throw error;
  }
}

function reasonOf(cause: unknown): string {
  const { name, message } = cause as DOMException;
  if (name === "QuotaExceededError") return "the disk is full";
  if (name === "NotAllowedError") return "the browser was not allowed to write there";
  return message ?? String(cause);
}

function hintOf(cause: unknown, replaced: readonly string[]): string {
  const todo =
    (cause as DOMException).name === "QuotaExceededError"
      ? "Make room, or choose a folder on another disk, then try again."
      : "Check that the folder still exists, that you may write there and that the disk has room, then try again.";
  if (replaced.length === 0) return todo;
  return `${todo} Of what was in the folder before, these files are new already: ${replaced.join(", ")}.`;
}
