/** One job at a time: progress, cancelling, and errors in plain words. */
import { MkaError, type Progress } from "#mka";
import { type JobName, type Place, state, update } from "../state/state";
import { T } from "../../ui/texts";
import { outcome } from "./outcome";

/** What the steps of a job pass on to the interface. */
export interface Watch {
  signal: AbortSignal;
  onProgress: (progress: Progress) => void;
}

/** Where on the page a job is started: its errors are shown there. */
const PLACES: Record<JobName, Place> = {
  start: "engine",
  open: "load",
  download: "load",
  forget: "load",
  forecast: "calibrate",
  calibrate: "calibrate",
  look: "look",
  example: "example",
  depth: "compare",
  merge: "merge",
  compare: "compare",
  write: "compare",
  keep: "keep",
  lineup: "lineup",
};

let running: Promise<unknown> = Promise.resolve();

/**
 * Runs a job; true if it ended well. What ran before is cancelled first. Errors are shown, not
 * thrown.
 */
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
    // Nothing is shown of a job that another one has replaced.
    return attempt(name, work, () => state.job === mine, {
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

/** Changes the name of the running job: one click may start several steps. */
export function nextStep(name: JobName, { signal }: Watch): void {
  signal.throwIfAborted();
  if (state.job?.abort.signal !== signal) return;
  state.job.name = name;
  state.job.progress = undefined;
  state.news = `${T.status.jobs[name]} …`;
  update();
}

export function cancel(): void {
  state.job?.abort.abort();
}

/** Shows why something can't be started now. */
export function refuse(): void {
  state.news = state.job ? T.status.busy : state.model ? T.status.needMerge : T.status.needModel;
  update();
}

async function attempt(name: JobName, work: (watch: Watch) => Promise<void>, isCurrent: () => boolean, watch: Watch): Promise<boolean> {
  try {
    if (watch.signal.aborted) return false;
    await work(watch);
    if (isCurrent()) state.news = outcome(name);
    return true;
  } catch (error) {
    if (!isCurrent()) return false;
    if (watch.signal.aborted || (error instanceof DOMException && error.name === "AbortError")) {
      state.news = T.status.cancelled;
    } else {
      show(error, PLACES[name]);
    }
    return false;
  }
}

/** Shows an error in its place, a live region; the status bar links to it. */
export function show(error: unknown, place: Place): void {
  if (error instanceof MkaError) {
    state.error = { message: error.message, hint: error.hint, code: error.code, place };
  } else {
    const message = error instanceof Error ? error.message : String(error);
    state.error = { message: `${T.error.unknown} (${message})`, hint: T.error.unknownHint, code: undefined, place };
  }
  state.news = "";
  update();
}
