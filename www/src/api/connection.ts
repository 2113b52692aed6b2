/**
 * The page's end of the connection to the worker: one call at a time, cancelling past the queue,
 * and a new worker where the old one crashed or does not answer a cancel in time. Must not know
 * what the messages are about.
 */
import type { Figures, Method, Reply, Request } from "../shared/protocol";
import { abortError, crashError, MkaError, revive } from "./error";
import { type Spawned, spawn } from "./spawn";
import type { LineupPoint, Progress, Token } from "./types";

/** How long the worker may take to answer a cancel before it is ended, in milliseconds. */
const CANCEL_TIMEOUT = 400;

/** What a call takes besides its arguments. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: Progress) => void) | undefined;
  onToken?: (token: Token) => void;
  onPoint?: (point: LineupPoint) => void;
}

interface Pending {
  options: CallOptions;
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

/** Sends one call to the worker. Only for use inside `Connection.run`. */
export type Send = (method: Method, target: number, args: unknown[], options?: CallOptions) => Promise<unknown>;

export class Connection {
  /** The latest figures that the worker sent with its replies, in bytes. */
  memory: Figures = { wasm: 0, wasmPeak: 0, device: 0, devicePeak: 0, budget: 0 };
  /** Called with what failed beside the work, which goes on. */
  onWarning: (warning: MkaError) => void = () => {};
  /** Counts the workers: a handle is only valid in the epoch that it was made in. */
  epoch = 0;
  #spawned: Spawned | undefined;
  #closed = false;
  #lastId = 0;
  #pending = new Map<number, Pending>();
  #queue: Promise<unknown> = Promise.resolve();

  /** `boot` is called first in each new worker. */
  constructor(readonly boot: (send: Send) => Promise<void>) {}

  /**
   * Runs `job` when all earlier ones have ended.
   * Rejects with an `AbortError` as soon as `signal` is aborted, whether the job has begun or still
   * waits.
   */
  async run<T>(signal: AbortSignal | undefined, job: (send: Send) => Promise<T>): Promise<T> {
    const turn = this.#queue;
    let done: () => void = () => {};
    const mine = new Promise<void>((resolve) => (done = resolve));
    this.#queue = turn.then(() => mine);
    try {
      await untilAborted(turn, signal);
      const send: Send = (method, target, args, options) => this.#send(method, target, args, options ?? {});
      if (this.#closed) throw new MkaError("bad-argument", "This lab was closed.", "Make a new one with Lab.create().");
      if (!this.#spawned) await this.#start((method, target, args) => send(method, target, args, { signal }));
      return await job(send);
    } finally {
      done();
    }
  }

  /** Ends the worker for good. */
  close(): void {
    this.#closed = true;
    this.#end(abortError());
  }

  async #start(send: Send): Promise<void> {
    const spawned = spawn();
    let answered = false;
    this.epoch += 1;
    this.#spawned = spawned;
    spawned.worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      answered = true;
      if (this.#spawned === spawned) this.#receive(data);
    };
    spawned.worker.onerror = (event) => {
      event.preventDefault();
      const message = event.message ?? "";
      if (this.#spawned === spawned) this.#end(answered ? crashError(message) : spawned.explain(message));
    };
    try {
      await this.boot(send);
    } catch (error) {
      this.#end(abortError());
      throw error;
    }
  }

  /** Ends the worker; everything that waits for it is rejected. The next job starts a new one. */
  #end(error: Error): void {
    this.#spawned?.worker.terminate();
    this.#spawned = undefined;
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of waiting) pending.reject(error);
  }

  #post(request: Request): void {
    this.#spawned?.worker.postMessage(request);
  }

  async #send(method: Method, target: number, args: unknown[], options: CallOptions): Promise<unknown> {
    const { signal } = options;
    if (signal?.aborted) throw abortError();
    if (!this.#spawned) throw crashError("between two steps of a call");
    this.#lastId += 1;
    const id = this.#lastId;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const cancel = (): void => {
      this.#post({ kind: "cancel", id });
      timer = setTimeout(() => this.#end(abortError()), CANCEL_TIMEOUT);
    };
    let value: unknown;
    try {
      value = await new Promise((resolve, reject) => {
        this.#pending.set(id, { options, resolve, reject });
        signal?.addEventListener("abort", cancel, { once: true });
        this.#post({ kind: "call", id, method, target, args });
      });
    } catch (error) {
      throw signal?.aborted ? abortError() : error;
    } finally {
      signal?.removeEventListener("abort", cancel);
      clearTimeout(timer);
      this.#pending.delete(id);
    }
    if (!signal?.aborted) return value;
    // A call that ends just as it is cancelled counts as cancelled, and leaves nothing.
    const made = (value as { handle?: number } | undefined)?.handle;
    if (made !== undefined) await this.#send("close", made, [], {});
    throw abortError();
  }

  /** A device that is lost stays so: the next job gets a worker with another one. */
  #refuse(pending: Pending, error: Error): void {
    pending.reject(error);
    if (error instanceof MkaError && error.code === "device-lost") this.#end(error);
  }

  #receive(reply: Reply): void {
    if (reply.kind === "crash") {
      this.#end(crashError(reply.message, reply.cause));
      return;
    }
    if (reply.kind === "warning") {
      this.onWarning(revive(reply.error) as MkaError);
      return;
    }
    this.memory = reply.memory;
    const pending = this.#pending.get(reply.id);
    if (!pending) return;
    if (reply.kind === "progress") pending.options.onProgress?.(reply.progress);
    else if (reply.kind === "token") pending.options.onToken?.(reply.token);
    else if (reply.kind === "point") pending.options.onPoint?.(reply.point);
    else if (reply.kind === "error") this.#refuse(pending, revive(reply.error));
    else pending.resolve(reply.value);
  }
}

/** `promise`, or an `AbortError` as soon as `signal` is aborted. */
function untilAborted(promise: Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(abortError());
    if (signal?.aborted) return abort();
    signal?.addEventListener("abort", abort, { once: true });
    void promise.then(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
  });
}
