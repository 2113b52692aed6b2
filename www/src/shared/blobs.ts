/**
 * Bytes that come one after the other, as one blob that is never an array: for whole downloads, and
 * for archives.
 */

/** A blob of this size leaves the page's memory: the browser may move it to the disk. */
const PART = 16 << 20;

type Bytes = Uint8Array<ArrayBuffer> | Blob;

export async function gathered(parts: AsyncIterable<Bytes>, type = ""): Promise<Blob> {
  const done: Blob[] = [];
  let open: Bytes[] = [];
  let size = 0;
  for await (const part of parts) {
    open.push(part);
    size += part instanceof Blob ? 0 : part.byteLength;
    if (size < PART) continue;
    done.push(new Blob(open));
    open = [];
    size = 0;
  }
  return new Blob([...done, ...open], { type });
}

/** The chunks of a stream: not every browser iterates over streams. */
export async function* chunksOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = stream.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
}
