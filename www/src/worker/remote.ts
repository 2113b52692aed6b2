/** A file on a server, read by range; what is kept of it comes from the disk, and what is read may be kept. */
import { gathered } from "../shared/blobs";
import { PIECE, pieceLength } from "../shared/cache";
import { type Answer, ask, Patience } from "./network";
import { type Host, isMissing, networkError, sentWhole } from "./refusals";
import type { Drawer } from "./cache";
import { readBlob, type SourceFile } from "./source";

/** A file as a listing or a first look tells it. */
export interface Listed {
  name: string;
  url: string;
  size: number;
  /** What changes when the file does, where the server tells it. */
  version?: string;
  /** All of it, where it came with the look. */
  whole?: Blob;
}

/** Weights are read one tensor after the other: what is kept anyway is brought in larger steps than are asked for. */
const AHEAD = 8 << 20;
/** A file of at most so many bytes is brought as a whole, once, when it is read again and nothing of it is kept: a merge that tries pairs reads layers many times. */
const AGAIN = 512 << 20;
/** Reads below this are looks at the header or samples: they bring no more than their piece. */
const SMALL = 64 << 10;

type Part = Uint8Array<ArrayBuffer> | Blob;

export class RemoteFile implements SourceFile {
  readonly name: string;
  readonly size: number;
  readonly #url: string;
  #version: string;
  /** All of it, from a server that ignores ranges or since it was read again; kept as a blob, not as an array. */
  #whole: Blob | undefined;
  /** Bytes that were asked for in all. */
  #asked = 0;
  /** Ends when the whole file is there. */
  #again: Promise<void> | undefined;
  /** Ends when the pieces that are being brought are there. */
  #bringing: Promise<void> = Promise.resolve();

  constructor(
    readonly host: Host,
    { name, url, size, version = "", whole }: Listed,
    /** Where its pieces are kept; may come later. */
    public drawer?: Drawer,
  ) {
    this.name = name;
    this.size = size;
    this.#url = url;
    this.#version = version;
    this.#whole = whole;
  }

  async read(offset: number, length: number): Promise<ArrayBuffer> {
    const buffer = new Uint8Array(length);
    let at = 0;
    for await (const part of this.parts(offset, offset + length)) {
      buffer.set(part instanceof Blob ? new Uint8Array(await readBlob(this.name, part)) : part, at);
      at += part instanceof Blob ? part.size : part.byteLength;
    }
    return buffer.buffer;
  }

  blob(start: number, end: number): Promise<Blob> {
    return gathered(this.parts(start, end));
  }

  /** The bytes from `start` to `end` in order; kept ones as slices that nothing has read yet. */
  async *parts(start: number, end: number): AsyncGenerator<Part> {
    const { drawer } = this;
    let at = start;
    while (at < end) {
      const index = Math.floor(at / PIECE);
      const kept = await drawer?.get(index);
      if (kept) {
        const until = Math.min(end, index * PIECE + kept.size);
        yield kept.slice(at - index * PIECE, until - index * PIECE);
        at = until;
        continue;
      }
      if (drawer?.shelf.keeping) {
        const release = await this.#turn();
        try {
          if (drawer.has(index)) continue; // it was just brought
          const behind = this.#missing(index, Math.ceil(Math.max(end, end - start < SMALL ? 0 : at + AHEAD) / PIECE));
          for await (const [piece, bytes] of this.#pieces(index, behind)) {
            await drawer.put(piece, bytes);
            const from = piece * PIECE;
            if (from >= end) continue;
            yield bytes.subarray(Math.max(0, at - from), end - from);
            at = Math.min(end, from + bytes.byteLength);
          }
        } finally {
          release();
        }
      } else {
        const until = Math.min(end, this.#missing(index, Math.ceil(end / PIECE)) * PIECE);
        await this.#count(until - at);
        yield* this.#network(at, until);
        at = until;
      }
    }
  }

  /** Counts bytes that are about to be read; brings the whole file if there are more than it has. */
  async #count(bytes: number): Promise<void> {
    this.#asked += bytes;
    if (this.#whole || this.#asked <= this.size || this.size > AGAIN) return;
    this.#again ??= gathered(this.#network(0, this.size))
      .then((whole) => {
        this.#whole = whole;
      })
      .finally(() => (this.#again = undefined));
    await this.#again;
  }

  /** The first piece behind `index` that is kept, or `limit`. */
  #missing(index: number, limit: number): number {
    let behind = index + 1;
    while (behind < limit && behind * PIECE < this.size && !this.drawer?.has(behind)) behind += 1;
    return behind;
  }

  /** Waits until no other read brings pieces: they may be the same ones. The result ends the turn. */
  async #turn(): Promise<() => void> {
    const before = this.#bringing;
    let release: () => void = () => {};
    this.#bringing = new Promise((resolve) => (release = resolve));
    await before;
    return release;
  }

  /** Keeps what came whole when it was looked for, and the small files: an export needs them, a run does not. */
  async keepSmall(): Promise<void> {
    if (!this.drawer?.shelf.keeping || (!this.#whole && this.name.endsWith(".safetensors"))) return;
    for await (const _ of this.parts(0, this.size)); // what is read is kept
  }

  /** The pieces `first` to `behind` - 1, cut from one download. */
  async *#pieces(first: number, behind: number): AsyncGenerator<[number, Uint8Array<ArrayBuffer>]> {
    let index = first;
    let piece = new Uint8Array(pieceLength(this.size, index));
    let filled = 0;
    for await (const bytes of this.#network(first * PIECE, Math.min(this.size, behind * PIECE))) {
      let rest = bytes;
      while (rest.byteLength > 0) {
        const some = rest.subarray(0, piece.byteLength - filled);
        piece.set(some, filled);
        filled += some.byteLength;
        rest = rest.subarray(some.byteLength);
        if (filled < piece.byteLength) continue;
        yield [index, piece];
        index += 1;
        piece = new Uint8Array(pieceLength(this.size, index));
        filled = 0;
      }
    }
  }

  /** The bytes from `start` to `end` as they come. A connection that breaks is taken up again where it broke. */
  async *#network(start: number, end: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const patience = new Patience();
    // What is kept needs no second copy in the browser's cache.
    const cache = this.drawer?.shelf.keeping ? "no-store" : "default";
    let at = start;
    while (at < end) {
      if (this.#whole) {
        for (; at < end; at += PIECE) yield new Uint8Array(await readBlob(this.name, this.#whole.slice(at, Math.min(end, at + PIECE))));
        return;
      }
      const answer = await ask(this.host, this.#url, { range: [at, end], patience, cache });
      try {
        if (answer.status === 200) {
          this.#whole = await this.#all(answer);
          continue;
        }
        this.#check(answer, at, end);
        const before = at;
        for await (const chunk of answer.chunks()) {
          at += chunk.byteLength;
          if (at > end) throw this.#changed("it sends more than was asked for");
          patience.progressed();
          yield chunk;
        }
        if (at === before) throw networkError(this.#url, "the server sent nothing");
      } catch (error) {
        answer.cancel();
        if (!isBroken(error)) throw error;
        await patience.again(error);
      }
    }
  }

  /** The whole file, of a server that sends nothing less. */
  async #all(answer: Answer): Promise<Blob> {
    const whole = await answer.blob();
    if (whole.size !== this.size) throw this.#changed(`it has ${whole.size} bytes where ${this.size} were announced`);
    sentWhole(this.host, this.#url, whole.size);
    return whole;
  }

  /** The answer must be the range that was asked for, or its beginning, of the file that was asked for before. */
  #check(answer: Answer, at: number, end: number): void {
    if (isMissing(answer.status)) throw this.#changed("it is not there any more");
    if (answer.status !== 206) throw this.#changed(`the server answered ${answer.status}`);
    const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(answer.header("Content-Range")); // CORS may hide it
    if (range && (Number(range[1]) !== at || Number(range[2]) >= end)) throw this.#changed("another part than was asked for came");
    if (range && range[3] !== "*" && Number(range[3]) !== this.size) throw this.#changed(`it has ${range[3]} bytes now`);
    const { version } = answer;
    if (version && this.#version && version !== this.#version) throw this.#changed("its content is another one");
    this.#version ||= version;
  }

  #changed(how: string): unknown {
    return { ...networkError(this.#url, `the file changed on the server: ${how}`, "Open the model again."), changed: true };
  }
}

/** A connection that broke, and may come back; other errors come back the same. */
function isBroken(error: unknown): error is ReturnType<typeof networkError> {
  const { code, changed } = error as { code?: string; changed?: boolean };
  return code === "network" && !changed;
}
