/** One job at a time: progress, cancelling, and errors in plain words. */
import { MkaError, type Progress } from "#mka";
import { advance, begin, type Steps } from "../state/plan";
import { type Job, type JobName, type Place, state, update } from "../state/state";
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
  restore: "runs",
  lineup: "lineup",
};

/** Nothing is lost with these: they are begun again by the same click. */
const SHORT: ReadonlySet<JobName> = new Set(["start", "open", "forget", "forecast"]);

let running: Promise<unknown> = Promise.resolve();

let ended: () => void = () => {};

/** Sets what is called after each job, however it ended. */
export function onJobEnd(callback: () => void): void {
  ended = callback;
}

/** Asks before the tab is closed. */
const ask = (event: BeforeUnloadEvent): void => event.preventDefault();

/**
 * Asks before the tab is closed while something would be lost by it: what runs, or what the browser
 * could not keep.
 */
export function guard(): void {
  // No listener without need: some browsers keep no page that has one for "back".
  if (state.job?.long || state.unkept !== undefined) addEventListener("beforeunload", ask);
  else removeEventListener("beforeunload", ask);
}

/**
 * Runs a job; true if it ended well. What ran before is cancelled first. Errors are shown, not
 * thrown.
 */
export async function job(name: JobName, work: (watch: Watch) => Promise<void>): Promise<boolean> {
  const abort = new AbortController();
  state.job?.abort.abort();
  const mine: Job = { name, long: !SHORT.has(name), progress: undefined, plan: undefined, abort };
  state.job = mine;
  guard();
  state.error = undefined;
  state.news = `${T.status.jobs[name]} …`;
  update();
  const before = running;
  const result = (async () => {
    await before;
    marks = [{ name, at: performance.now() }];
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
  const done = await result;
  if (state.job === mine) {
    state.job = undefined;
    guard();
  }
  ended();
  update();
  return done;
}

/** Changes the name of the running job: one click may start several steps. */
export function nextStep(name: JobName, { signal }: Watch): void {
  signal.throwIfAborted();
  if (state.job?.abort.signal !== signal) return;
  marks.push({ name, at: performance.now() });
  state.job.name = name;
  state.job.progress = undefined;
  if (state.job.plan) state.job.plan = advance(state.job.plan, name, performance.now());
  state.news = `${T.status.jobs[name]} …`;
  update();
}

/** The steps of the running job and of the last one: when each began, milliseconds. */
let marks: { name: JobName; at: number }[] = [];

/** Seconds that the steps of the running job took until now, the first one left out. */
export function stepsTook(): Steps {
  const ends = [...marks.slice(1).map(({ at }) => at), performance.now()];
  const took = marks.map(({ name, at }, index) => ({ name, seconds: ((ends[index] ?? at) - at) / 1000 }));
  const sums = new Map<string, number>();
  for (const { name, seconds } of took.slice(1)) sums.set(name, (sums.get(name) ?? 0) + seconds);
  return [...sums].map(([name, seconds]) => ({ name, seconds: Number(seconds.toFixed(1)) }));
}

/** Says what the steps of the running job will take, from now on. */
export function expect(steps: Steps, { signal }: Watch): void {
  if (state.job?.abort.signal === signal) state.job.plan = begin(steps, performance.now());
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
