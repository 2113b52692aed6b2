/**
 * Requests that wait and try again where that helps, and fail with a plain message where it does
 * not.
 */
import { gathered } from "../shared/blobs";
import { type Host, isMissing, type NetworkError, networkError, refusal, unreachable } from "./refusals";

/**
 * How often something is tried before it fails. The pauses between add up to about nine seconds.
 */
const TRIES = 6;
const FIRST_PAUSE = 300;
/**
 * The longest that Retry-After is honoured, all of a download's waits together, in milliseconds.
 */
const LONGEST_WAIT = 60_000;
/** A connection that gives no byte for this long is broken. */
const STALL = 60_000;
/** Answers that may be better a moment later. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);

/** The running call: a cancel ends its downloads too. */
let current: { signal: AbortSignal; onBytes: () => void } | undefined;

export function watchDownloads(call: typeof current): void {
  current = call;
}

/** Servers that have answered once: where they do not any more, the connection may come back. */
const reached = new Set<string>();

/** Times and numbers of bytes that arrived in the last seconds. */
let arrivals: [number, number][] = [];

/** Bytes per second that arrive at the moment; undefined while nothing does. */
export function downloadRate(): number | undefined {
  const now = performance.now();
  arrivals = arrivals.filter(([when]) => now - when < 3000);
  const [first] = arrivals;
  if (!first) return undefined;
  return (arrivals.reduce((sum, [, bytes]) => sum + bytes, 0) * 1000) / Math.max(200, now - first[0]);
}

/** Counts failures in a row and waits longer after each. */
export class Backoff {
  #failures = 0;
  #waited = 0;

  /** Bytes arrived: the next failure counts as the first one again. */
  progressed(): void {
    this.#failures = 0;
  }

  /**
   * Waits before the next try; throws `error` after the last one. `after`: the server's
   * Retry-After, in seconds.
   */
  async again(error: NetworkError, after?: number): Promise<void> {
    this.#failures += 1;
    const pause = Math.max((after ?? 0) * 1000, FIRST_PAUSE * 2 ** (this.#failures - 1));
    if (after !== undefined) this.#waited += pause;
    if (this.#failures >= TRIES || this.#waited > LONGEST_WAIT) throw error;
    await waiting(pause);
  }
}

function waiting(milliseconds: number): Promise<void> {
  const signal = current?.signal;
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}

export interface Ask {
  method?: "GET" | "HEAD";
  /** First byte, and the one after the last. */
  range?: [number, number];
  backoff?: Backoff;
  /** Some hosts leave CORS out of their 404, which looks like no answer: not worth a second try. */
  optional?: boolean;
  /** Bytes that are kept by other means need not be in the browser's cache too. */
  cache?: RequestCache;
}

/**
 * An answer that is there (200, 206), missing (404, 410) or out of range (416). All others are
 * thrown, with a message.
 */
export async function ask(host: Host, url: string, options: Ask = {}): Promise<Answer> {
  const backoff = options.backoff ?? new Backoff();
  let denied = 0;
  for (;;) {
    const answer = await attempt(host, url, options);
    if (!(answer instanceof Answer)) {
      // A server may be out of order for a moment, but hardly three times.
      if (!answer.unreachable && ++denied > 2) throw answer;
      await backoff.again(answer);
      continue;
    }
    const { status } = answer;
    if (status < 400 || status === 416 || isMissing(status)) return answer;
    const wait = retryAfter(answer.header("Retry-After"));
    const refused = refusal(host, url, status, answer.header("X-Error-Code"), wait);
    answer.cancel();
    if (!PASSING.has(status)) throw refused;
    await backoff.again(refused, wait);
  }
}

/** One try: an answer, or what is wrong where another try may help. */
async function attempt(host: Host, url: string, options: Ask): Promise<Answer | NetworkError> {
  const { method = "GET", range, optional = false, cache = "default" } = options;
  const { origin } = new URL(url);
  const headers = new Headers();
  if (range) headers.set("Range", `bytes=${range[0]}-${range[1] - 1}`);
  // A redirect to another origin loses this header: that is fetch's own rule.
  if (host.token && origin === host.origin) headers.set("Authorization", `Bearer ${host.token}`);
  const watch = new Watch();
  try {
    const response = await fetch(url, { method, headers, cache, signal: watch.signal, referrerPolicy: "no-referrer" });
    reached.add(origin);
    return new Answer(url, response, watch);
  } catch (cause) {
    watch.end();
    if (current?.signal.aborted) throw cause;
    const there = await answers(url);
    const error = unreachable(url, there);
    if (optional || !reached.has(origin)) throw error;
    return error;
  }
}

/** Whether a server answers at all; an answer that this page may not read counts. */
async function answers(url: string): Promise<boolean> {
  const options = { method: "HEAD", mode: "no-cors", credentials: "omit", referrerPolicy: "no-referrer" } as const;
  const signal = AbortSignal.timeout(5000);
  return fetch(url, { ...options, signal }).then(() => true, () => false);
}

/** Ends a request that is cancelled or stalls. */
class Watch {
  #controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #call = current;
  #cancel = (): void => this.#controller.abort(this.#call?.signal.reason);

  constructor() {
    if (this.#call?.signal.aborted) this.#cancel();
    this.#call?.signal.addEventListener("abort", this.#cancel);
    this.alive(0);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The call that asked was cancelled. */
  get cancelled(): boolean {
    return this.#call?.signal.aborted ?? false;
  }

  alive(bytes: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(), STALL);
    if (bytes === 0) return;
    arrivals.push([performance.now(), bytes]);
    this.#call?.onBytes();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#call?.signal.removeEventListener("abort", this.#cancel);
  }
}

export class Answer {
  constructor(
    readonly url: string,
    readonly response: Response,
    readonly watch: Watch,
  ) {}

  get status(): number {
    return this.response.status;
  }

  /** A header; "" where there is none, or where CORS hides it. */
  header(name: string): string {
    return this.response.headers.get(name) ?? "";
  }

  /** What changes when the file does; "" where the server sends neither. */
  get version(): string {
    return this.header("ETag") || this.header("Last-Modified");
  }

  /** Reads no further. */
  cancel(): void {
    this.watch.end();
    this.response.body?.cancel().catch(() => {}); // a body that failed is closed already
  }

  /** The body as it comes. A connection that breaks off is a network error. */
  async *chunks(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const reader = this.response.body?.getReader();
    try {
      for (;;) {
        const next = await reader?.read().catch((cause: unknown) => {
          if (this.watch.cancelled) throw cause;
          throw networkError(this.url, "the connection broke off");
        });
        if (!next || next.done) return;
        this.watch.alive(next.value.byteLength);
        yield next.value;
      }
    } finally {
      this.watch.end();
      reader?.cancel().catch(() => {}); // it has failed or ended already
    }
  }

  /** The whole body. */
  async blob(): Promise<Blob> {
    return gathered(this.chunks());
  }
}

/** Seconds, from seconds or a date; undefined where the header is missing. */
function retryAfter(value: string): number | undefined {
  if (/^\d+$/.test(value)) return Number(value);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - Date.now()) / 1000);
}
