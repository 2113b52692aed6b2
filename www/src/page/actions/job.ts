/** One job at a time: progress, cancelling, and errors in plain words. */
import { MkaError, type Progress } from "#mka";
import { type JobName, state, update } from "../state";
import { T } from "../texts";

/** What the steps of a job pass on to the interface. */
export interface Watch {
  signal: AbortSignal;
  onProgress: (progress: Progress) => void;
}

let running: Promise<unknown> = Promise.resolve();

/** Runs a job; true if it ended well. What ran before is cancelled first. Errors are shown, not thrown. */
export async function job(name: JobName, work: (watch: Watch) => Promise<void>): Promise<boolean> {
  const abort = new AbortController();
  state.job?.abort.abort();
  const mine = { name, progress: undefined as Progress | undefined, abort };
  state.job = mine;
  state.error = undefined;
  state.news = `${T.status.jobs[name]} …`;
  update();
  const before = running;
  const result = (async () => {
    await before;
    return attempt(name, work, {
      signal: abort.signal,
      onProgress: (progress) => {
        mine.progress = progress;
        update();
      },
    });
  })();
  running = result;
  const ended = await result;
  if (state.job === mine) state.job = undefined;
  update();
  return ended;
}

/** Changes the name of the running job: one click may take several steps. */
export function nextStep(name: JobName, { signal }: Watch): void {
  signal.throwIfAborted();
  if (!state.job) return;
  state.job.name = name;
  state.job.progress = undefined;
  state.news = `${T.status.jobs[name]} …`;
  update();
}

export function cancel(): void {
  state.job?.abort.abort();
}

async function attempt(name: JobName, work: (watch: Watch) => Promise<void>, watch: Watch): Promise<boolean> {
  try {
    if (watch.signal.aborted) return false;
    await work(watch);
    state.news = T.status.finished(T.status.jobs[state.job?.name ?? name]);
    return true;
  } catch (error) {
    if (watch.signal.aborted || (error instanceof DOMException && error.name === "AbortError")) {
      state.news = T.status.cancelled;
    } else {
      show(error);
    }
    return false;
  }
}

/** Shows an error; the alert region reads it out. */
export function show(error: unknown): void {
  if (error instanceof MkaError) {
    state.error = { message: error.message, hint: error.hint, code: error.code };
  } else {
    const message = error instanceof Error ? error.message : String(error);
    state.error = { message: `${T.error.unknown} (${message})`, hint: T.error.unknownHint, code: undefined };
  }
  state.news = "";
  update();
}
