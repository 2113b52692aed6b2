/** The files of a model, read by range: from blobs that the page has, or over the network. */
import type { NamedBlob } from "../protocol";
import { mkaError } from "./errors";

/** What the wasm code reads from. Offsets and lengths in bytes. */
export interface SourceFile {
  /** Path inside the folder, "/"-separated. */
  name: string;
  size: number;
  read(offset: number, length: number): Promise<ArrayBuffer>;
  /** The bytes from `start` to `end`, without copying them where that can be. */
  blob(start: number, end: number): Promise<Blob>;
}

/** A file that the user chose. */
export function fromBlob({ name, blob }: NamedBlob): SourceFile {
  return {
    name,
    size: blob.size,
    read: (offset, length) => bytes(name, blob.slice(offset, offset + length)),
    blob: async (start, end) => blob.slice(start, end),
  };
}

/** The signal of the call that runs: a cancel ends its downloads too. */
let current: AbortSignal | undefined;

export function watchDownloads(signal: AbortSignal | undefined): void {
  current = signal;
}

/** `fetch` that fails in words. */
export async function download(url: string, init: RequestInit = {}): Promise<Response> {
  try {
    return await fetch(url, { ...init, signal: current });
  } catch (cause) {
    if (current?.aborted) throw cause;
    throw networkError(url, "it could not be reached, or its server does not allow this page to read it (CORS)");
  }
}

export function networkError(url: string, reason: string): unknown {
  return mkaError("network", `${url}: ${reason}`, "Check the address and the connection, then try again.");
}

/** A file behind a URL. A server that ignores ranges sends the whole file once; it is kept as a blob, not as an array. */
export function fromUrl(name: string, url: string, size: number, whole?: Blob): SourceFile {
  let kept = whole;

  const range = async (start: number, end: number): Promise<Response | Blob> => {
    if (kept) return kept.slice(start, end);
    const response = await download(url, { headers: { Range: `bytes=${start}-${end - 1}` } });
    if (response.status === 206) return response;
    if (response.status !== 200) throw networkError(url, `the server answered ${response.status}`);
    kept = await body(url, response);
    return kept.slice(start, end);
  };
  const checked = (length: number, found: number): void => {
    if (found !== length) throw networkError(url, `the server sent ${found} bytes where ${length} were asked for`);
  };

  return {
    name,
    size,
    async read(offset, length) {
      if (length === 0) return new ArrayBuffer(0);
      const answer = await range(offset, offset + length);
      const buffer = answer instanceof Blob ? await bytes(name, answer) : await (await body(url, answer)).arrayBuffer();
      checked(length, buffer.byteLength);
      return buffer;
    },
    async blob(start, end) {
      if (start === end) return new Blob([]);
      const answer = await range(start, end);
      const blob = answer instanceof Blob ? answer : await body(url, answer);
      checked(end - start, blob.size);
      return blob;
    },
  };
}

/** The body of an answer; a connection that breaks in the middle is a network error too. */
export async function body(url: string, response: Response): Promise<Blob> {
  try {
    return await response.blob();
  } catch (cause) {
    if (current?.aborted) throw cause;
    throw networkError(url, "the connection broke off");
  }
}

async function bytes(name: string, blob: Blob): Promise<ArrayBuffer> {
  try {
    return await blob.arrayBuffer();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw mkaError(
      "storage",
      `${name} could not be read: ${reason}`,
      "Check that the file still exists and was not changed since you chose it, then open it again.",
    );
  }
}
