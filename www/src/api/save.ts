/** Writes files into a folder that the user chose, in slices, so that no file is ever in memory as a whole. */
import { abortError, MkaError } from "./error";
import type { ModelFile, Watch } from "./types";

const SLICE = 4 * 1024 * 1024;

export async function saveFiles(
  directory: FileSystemDirectoryHandle,
  files: ModelFile[],
  { signal, onProgress }: Watch,
): Promise<void> {
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
  for (const file of files) {
    try {
      await saveFile(directory, file, signal, report);
    } catch (cause) {
      if (signal?.aborted) throw abortError();
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new MkaError(
        "storage",
        `${file.name} could not be written: ${reason}`,
        "Check that the folder still exists, that you may write there and that the disk has room, then try again.",
      );
    }
  }
}

async function saveFile(
  directory: FileSystemDirectoryHandle,
  file: ModelFile,
  signal: AbortSignal | undefined,
  report: (bytes: number) => void,
): Promise<void> {
  if (signal?.aborted) throw abortError();
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
