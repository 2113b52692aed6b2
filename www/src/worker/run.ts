/**
 * Reads a blob by range, fast where the ranges follow each other: one stream goes on where the last range ended. In Chromium
 * that is several times faster than a slice for each range, and leaves no garbage.
 */

/** Shorter ranges are slices: a stream costs more to open than it saves. */
const LEAST = 1 << 20;

interface Open {
  at: number;
  reader: ReadableStreamBYOBReader;
}

export class Run {
  /** The stream that waits for the next range. While a range is read it is nobody's, since reads may overlap. */
  #open: Open | undefined;

  constructor(readonly blob: Blob) {}

  /** `length` bytes from `offset` on; fewer at the end of the blob. */
  async read(offset: number, length: number): Promise<ArrayBuffer> {
    if (length < LEAST) return this.blob.slice(offset, offset + length).arrayBuffer();
    const open = this.#take(offset);
    if (!open) return this.blob.slice(offset, offset + length).arrayBuffer();
    let view = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const { value, done } = await open.reader.read(new Uint8Array(view.buffer, filled, length - filled));
      if (value) view = new Uint8Array(value.buffer, 0, length);
      filled += value?.byteLength ?? 0;
      if (done) break;
    }
    open.at = offset + filled;
    this.#keep(open);
    return filled === length ? view.buffer : view.buffer.slice(0, filled);
  }

  /** A stream that is at `offset`; undefined in a browser whose blobs have no byte streams. */
  #take(offset: number): Open | undefined {
    const open = this.#open;
    if (open?.at === offset) {
      this.#open = undefined;
      return open;
    }
    try {
      return { at: offset, reader: this.blob.slice(offset).stream().getReader({ mode: "byob" }) };
    } catch {
      return undefined;
    }
  }

  #keep(open: Open): void {
    this.#open?.reader.cancel().catch(() => {}); // nobody waits for it
    this.#open = open;
  }
}
