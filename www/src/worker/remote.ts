/**
 * A file on a server, read by range; what is kept of it comes from the disk, and what is read may
 * be kept.
 */
import { gathered } from "../shared/blobs";
import { CHUNK, chunkLength } from "../shared/cache";
import { type Answer, ask, Backoff } from "./network";
import { type Host, isMissing, networkError, sentWhole } from "./refusals";
import type { CachedFile } from "./cache";
import { readBlob, type SourceFile } from "./source";

/** A file as a listing or a first request has it. */
export interface Listed {
  name: string;
  url: string;
  size: number;
  /** What changes when the file does, where the server sends it. */
  version?: string;
  /** All of it, where the first request gave it. */
  whole?: Blob;
}

/**
 * Weights are read one tensor after the other: what is kept anyway is downloaded in larger steps
 * than are asked for.
 */
const AHEAD = 8 << 20;
/**
 * A file of at most so many bytes is downloaded as a whole, once, when it is read again and nothing
 * of it is kept: a merge that tries pairs reads layers many times.
 */
const AGAIN = 512 << 20;
/** Reads below this are of the header or of samples: they download no more than their chunk. */
const SMALL = 64 << 10;

type Part = Uint8Array<ArrayBuffer> | Blob;

export class RemoteFile implements SourceFile {
  readonly name: string;
  readonly size: number;
  readonly #url: string;
  #version: string;
  /** All of it, where the server ignores ranges or it was read again; a blob, not an array. */
  #whole: Blob | undefined;
  /** Bytes that were read in all. */
  #asked = 0;
  /** Ends when the whole file is there. */
  #again: Promise<void> | undefined;
  /** Ends when the chunks that are being downloaded are there. */
  #downloading: Promise<void> = Promise.resolve();

  constructor(
    readonly host: Host,
    { name, url, size, version = "", whole }: Listed,
    /** Where its chunks are kept; may be set later. */
    public cached?: CachedFile,
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

  /** The bytes from `start` to `end` in order; kept ones as slices that are not read yet. */
  async *parts(start: number, end: number): AsyncGenerator<Part> {
    const { cached } = this;
    let at = start;
    while (at < end) {
      const index = Math.floor(at / CHUNK);
      const kept = await cached?.get(index);
      if (kept) {
        const until = Math.min(end, index * CHUNK + kept.size);
        yield kept.slice(at - index * CHUNK, until - index * CHUNK);
        at = until;
        continue;
      }
      if (cached?.cache.keeping) {
        const release = await this.#turn();
        try {
          if (cached.has(index)) continue; // another read has just downloaded it
          const most = Math.max(end, end - start < SMALL ? 0 : at + AHEAD);
          const limit = this.#missing(index, Math.ceil(most / CHUNK));
          for await (const [chunk, bytes] of this.#chunks(index, limit)) {
            await cached.put(chunk, bytes);
            const from = chunk * CHUNK;
            if (from >= end) continue;
            yield bytes.subarray(Math.max(0, at - from), end - from);
            at = Math.min(end, from + bytes.byteLength);
          }
        } finally {
          release();
        }
      } else {
        const until = Math.min(end, this.#missing(index, Math.ceil(end / CHUNK)) * CHUNK);
        await this.#count(until - at);
        yield* this.#network(at, until);
        at = until;
      }
    }
  }

  /**
   * Counts bytes that are about to be read; downloads the whole file if they exceed its size.
   */
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

  /** The first chunk after `index` that is kept, or `limit`. */
  #missing(index: number, limit: number): number {
    let next = index + 1;
    while (next < limit && next * CHUNK < this.size && !this.cached?.has(next)) next += 1;
    return next;
  }

  /**
   * Waits until no other read downloads chunks: they may be the same ones. Call the result to let
   * the next one begin.
   */
  async #turn(): Promise<() => void> {
    const before = this.#downloading;
    let release: () => void = () => {};
    this.#downloading = new Promise((resolve) => (release = resolve));
    await before;
    return release;
  }

  /**
   * Keeps what the first request gave as a whole, and the small files: an export needs them, a run
   * does not.
   */
  async keepSmall(): Promise<void> {
    if (!this.cached?.cache.keeping || (!this.#whole && this.name.endsWith(".safetensors"))) return;
    for await (const _ of this.parts(0, this.size)); // what is read is kept
  }

  /** The chunks `first` to `limit` - 1, cut from one download. */
  async *#chunks(first: number, limit: number): AsyncGenerator<[number, Uint8Array<ArrayBuffer>]> {
    let index = first;
    let chunk = new Uint8Array(chunkLength(this.size, index));
    let filled = 0;
    for await (const bytes of this.#network(first * CHUNK, Math.min(this.size, limit * CHUNK))) {
      let rest = bytes;
      while (rest.byteLength > 0) {
        const some = rest.subarray(0, chunk.byteLength - filled);
        chunk.set(some, filled);
        filled += some.byteLength;
        rest = rest.subarray(some.byteLength);
        if (filled < chunk.byteLength) continue;
        yield [index, chunk];
        index += 1;
        chunk = new Uint8Array(chunkLength(this.size, index));
        filled = 0;
      }
    }
  }

  /**
   * The bytes from `start` to `end` as they come. A download that breaks goes on where it broke.
   */
  async *#network(start: number, end: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const backoff = new Backoff();
    // What is kept needs no second copy in the browser's cache.
    const cache = this.cached?.cache.keeping ? "no-store" : "default";
    let at = start;
    while (at < end) {
      if (this.#whole) {
        for (; at < end; at += CHUNK) yield new Uint8Array(await readBlob(this.name, this.#whole.slice(at, Math.min(end, at + CHUNK))));
        return;
      }
      const answer = await ask(this.host, this.#url, { range: [at, end], backoff, cache });
      try {
        if (answer.status === 200) {
          this.#whole = await this.#all(answer);
          continue;
        }
        this.#check(answer, at, end);
        const before = at;
        for await (const bytes of answer.chunks()) {
          at += bytes.byteLength;
          if (at > end) throw this.#changed("it sends more than was asked for");
          backoff.progressed();
          yield bytes;
        }
        if (at === before) throw networkError(this.#url, "the server sent nothing");
      } catch (error) {
        answer.cancel();
        if (!isBroken(error)) throw error;
        await backoff.again(error);
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

  /** The answer must be the requested range or its beginning, of the same file as before. */
  #check(answer: Answer, at: number, end: number): void {
    if (isMissing(answer.status)) throw this.#changed("it is not there any more");
    if (answer.status !== 206) throw this.#changed(`the server answered ${answer.status}`);
    // CORS may hide it.
    const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(answer.header("Content-Range"));
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

/** Whether a connection broke, where another try may help; other errors would only be repeated. */
function isBroken(error: unknown): error is ReturnType<typeof networkError> {
  const { code, changed } = error as { code?: string; changed?: boolean };
  return code === "network" && !changed;
}
