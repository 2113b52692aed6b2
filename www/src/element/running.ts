/**
 * One run at a time for an element: loads run.ts, starts a new run when the old one has ended,
 * cancels, frees.
 */
import { abortError, MkaError } from "../api/error";
import { T } from "../ui/texts";
import { ELEMENT } from "../ui/texts/element";
import type { Session, Watch, RunOptions } from "./run";

export class Run {
  #session: Session | undefined;
  #abort: AbortController | undefined;
  /** Settles when nothing runs any more; never rejects. */
  #ended: Promise<unknown> = Promise.resolve();

  /** Rejects with an MkaError or an AbortError. What runs is cancelled first. */
  start(options: RunOptions, watch: Omit<Watch, "signal">): Promise<void> {
    this.cancel();
    const abort = new AbortController();
    const { signal } = abort;
    this.#abort = abort;
    const before = this.#ended;
    const running = (async () => {
      await before;
      signal.throwIfAborted();
      this.#session ??= new (await loadRun()).Session();
      await this.#session.run(options, {
        signal,
        onProgress: (job, progress) => signal.aborted || watch.onProgress(job, progress),
        onFound: (found) => signal.aborted || watch.onFound(found),
      });
      signal.throwIfAborted();
    })().catch((cause: unknown) => {
      throw signal.aborted ? abortError() : asError(cause);
    });
    this.#ended = running.catch(() => {});
    return running;
  }

  cancel(): void {
    this.#abort?.abort();
    this.#abort = undefined;
  }

  /** Cancels, and frees everything when that has ended. */
  async close(): Promise<void> {
    this.cancel();
    const session = this.#session;
    this.#session = undefined;
    await this.#ended;
    session?.close();
  }
}

async function loadRun(): Promise<typeof import("./run")> {
  try {
    return await import("./run");
  } catch (cause) {
    throw new MkaError("network", ELEMENT.noEngine(String(cause)), ELEMENT.noEngineHint);
  }
}

/** Whatever went wrong, as an MkaError. */
function asError(cause: unknown): Error {
  if (cause instanceof Error && cause.name === "MkaError") return cause;
  return new MkaError("device-lost", `${T.error.unknown} (${cause instanceof Error ? cause.message : String(cause)})`, T.error.unknownHint);
}
