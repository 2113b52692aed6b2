/** Saving the merged model. */
import { MkaError, type ModelFile } from "#mka";
import { chunksOf, gathered } from "../../shared/blobs";
import { state } from "../state/state";
import { T } from "../../ui/texts";
import { job, type Watch } from "./job";

export const canSaveFolder = "showDirectoryPicker" in window;

/** Chromium has `remove`; TypeScript's library lacks it. */
type RemovableFile = FileSystemFileHandle & { remove?: () => Promise<void> };
type Picker = (options: object) => Promise<RemovableFile>;
type DirectoryPicker = (options: object) => Promise<FileSystemDirectoryHandle>;

/** The folder's name in the archive and of the download. */
function modelName(): string {
  const name = (state.source?.name ?? "model").toLowerCase().replace(/[^a-z0-9.]+/g, "-");
  return `${name}-${state.merged?.summary.layers ?? 0}-layers`;
}

/** One archive, written as it is made where the browser can, else through a blob. */
export async function downloadZip(): Promise<void> {
  const { files } = state;
  if (!files) return;
  const name = modelName();
  // The picker must be opened while the click still counts as one.
  const target = "showSaveFilePicker" in window ? await pickFile(`${name}.zip`) : undefined;
  if (target === null) return;
  await job("keep", async (watch) => {
    const { downloadZip: zip } = await import("client-zip");
    const entries = files.map((file) => ({ name: `${name}/${file.name}`, input: file.blob }));
    const stream = zip(entries).body as ReadableStream<Uint8Array<ArrayBuffer>>;
    const counted = stream.pipeThrough(counter(files, watch));
    if (target) await writeTo(target, counted, watch.signal);
    else offer(await gathered(chunksOf(counted), "application/zip"), `${name}.zip`);
  });
}

/** A file that does not become whole is removed. */
async function writeTo(target: RemovableFile, stream: ReadableStream<Uint8Array<ArrayBuffer>>, signal: AbortSignal): Promise<void> {
  try {
    await stream.pipeTo(await target.createWritable(), { signal });
  } catch (cause) {
    // The browser may keep the empty file that its dialog made.
    await target.remove?.().catch(() => {});
    if (signal.aborted) throw cause;
    const full = (cause as DOMException).name === "QuotaExceededError";
    throw new MkaError("storage", T.keep.notWritten(target.name, full ? T.keep.full : (cause as Error).message), T.keep.notWrittenHint);
  }
}

export async function saveFolder(): Promise<void> {
  const { merged } = state;
  if (!merged) return;
  const picker = (window as unknown as { showDirectoryPicker: DirectoryPicker }).showDirectoryPicker;
  const directory = await unlessClosed(picker({ mode: "readwrite" }));
  if (!directory) return;
  const ended = await job("keep", async (watch) => {
    const own = await directory.getDirectoryHandle(modelName(), { create: true });
    await merged.save(own, watch);
  });
  // What the save added was removed; the folder is too, unless it holds something else.
  if (!ended) await directory.removeEntry(modelName()).catch(() => {});
}

/** As a download, which copies the blob's bytes from where they are. */
export function offer(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** null: the user closed the picker. */
async function pickFile(suggestedName: string): Promise<RemovableFile | null> {
  const picker = (window as unknown as { showSaveFilePicker: Picker }).showSaveFilePicker;
  return (await unlessClosed(picker({ suggestedName }))) ?? null;
}

async function unlessClosed<H>(picked: Promise<H>): Promise<H | undefined> {
  try {
    return await picked;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return undefined;
    throw error;
  }
}

function counter(files: ModelFile[], { onProgress, signal }: Watch): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  const total = files.reduce((sum, file) => sum + file.blob.size, 0);
  const start = performance.now();
  let done = 0;
  return new TransformStream({
    transform(chunk, controller) {
      if (signal.aborted) throw signal.reason;
      done = Math.min(total, done + chunk.byteLength);
      const bytesPerSecond = (done * 1000) / Math.max(1, performance.now() - start);
      const secondsLeft = (total - done) / bytesPerSecond;
      onProgress({ step: "save", done, total, unit: "bytes", bytesPerSecond, secondsLeft });
      controller.enqueue(chunk);
    },
  });
}
