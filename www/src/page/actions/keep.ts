/** Taking the merged model home. */
import type { ModelFile } from "#mka";
import { state } from "../state";
import { job, type Watch } from "./job";

export const canSaveFolder = "showDirectoryPicker" in window;

type Picker = (options: object) => Promise<FileSystemFileHandle>;
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
  // The picker must be asked for while the click still counts as one.
  const target = "showSaveFilePicker" in window ? await pickFile(`${name}.zip`) : undefined;
  if (target === null) return;
  await job("keep", async (watch) => {
    const { downloadZip: zip } = await import("client-zip");
    const entries = files.map((file) => ({ name: `${name}/${file.name}`, input: file.blob }));
    const stream = zip(entries).body as ReadableStream<Uint8Array>;
    const counted = stream.pipeThrough(counter(files, watch));
    if (target) await counted.pipeTo(await target.createWritable(), { signal: watch.signal });
    else offer(await collect(counted, watch.signal), `${name}.zip`);
  });
}

export async function saveFolder(): Promise<void> {
  const { merged } = state;
  if (!merged) return;
  const picker = (window as unknown as { showDirectoryPicker: DirectoryPicker }).showDirectoryPicker;
  const directory = await unlessClosed(picker({ mode: "readwrite" }));
  if (!directory) return;
  await job("keep", async (watch) => {
    const own = await directory.getDirectoryHandle(modelName(), { create: true });
    await merged.save(own, watch);
  });
}

/** A browser keeps the blob's bytes where they are: the download copies them itself. */
export function offer(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** null: the user closed the picker. */
async function pickFile(suggestedName: string): Promise<FileSystemFileHandle | null> {
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

function counter(files: ModelFile[], { onProgress, signal }: Watch): TransformStream<Uint8Array, Uint8Array> {
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

async function collect(stream: ReadableStream<Uint8Array>, signal: AbortSignal): Promise<Blob> {
  const blob = await new Response(stream, { headers: { "Content-Type": "application/zip" } }).blob();
  signal.throwIfAborted();
  return blob;
}

