/**
 * The worker: holds the wasm instance and answers the messages of shared/protocol.ts. It decides
 * nothing: the queue, the handles that outlive a worker and the names of the interface are on the
 * page's side.
 */
import init, { type Assume, Calibration, Lab, lastPanic, Model, Task, type Token } from "../wasm/mka_lab.js";
import type { Figures, LineupPoint, Method, PlainError, Progress, Reply, Request, Source } from "../shared/protocol";
import { isTrap, mkaError, plain } from "./errors";
import { downloadRate, watchDownloads } from "./network";
import { type Opened, openSource } from "./open";

interface Call {
  id: number;
  target: number;
  task: Task;
  report: (progress: Progress) => void;
}

type Arguments = readonly unknown[];

let lab: Lab | undefined;
const objects = new Map<number, Model | Calibration>();
/** Where the models that were opened come from. */
const origins = new Map<number, Opened>();
let lastHandle = 0;
/** Ends each running call: its downloads and its task in the wasm code. */
const running = new Map<number, AbortController>();

const methods: Record<Method, (call: Call, args: Arguments) => Promise<unknown>> = {
  async create(_, [backend, budget]) {
    lab = await Lab.create(backend as string, memoryOfTheMachine());
    if (budget) lab.setBudget(budget as number);
    const { adapter, reason } = lab;
    return { backend: lab.backend, adapter, reason, presets: lab.presets() };
  },
  productRate: ({ task }, [m, n, k]) => theLab().productRate(m as number, n as number, k as number, task),
  async setBudget(_, [bytes]) {
    theLab().setBudget(bytes as number);
  },
  async open({ task }, [source, assume]) {
    const opened = await openSource(source as Source, (error) => post({ kind: "warning", error }));
    const made = madeModel(await theLab().open(opened.files, assume as Assume | undefined, task));
    origins.set(made.handle, opened);
    return { ...made, commit: opened.commit };
  },
  async download({ target, report }) {
    const started = performance.now();
    await origins.get(target)?.download((done, total) => {
      const secondsLeft = done > 0 ? ((performance.now() - started) / 1000 / done) * (total - done) : undefined;
      report({ step: "download", done, total, unit: "bytes", secondsLeft });
    });
  },
  estimate: ({ target, task }, [options]) => model(target).estimate(options as never, task),
  logits: ({ target, task }, [options]) => model(target).logits(options as never, task),
  evaluate: ({ target, task }, [options]) => model(target).evaluate(options as never, task),
  async calibrate({ target, task }, [options]) {
    const made = await model(target).calibrate(options as never, task);
    return { handle: keep(made), info: made.info };
  },
  async merge({ target, task }, [options, calibration]) {
    const measured = calibration === 0 ? undefined : calibrationOf(calibration as number).share();
    const merged = await model(target).merge(options as never, measured, task);
    return { ...madeModel(merged), repair: await merged.repair(task) };
  },
  choice: ({ target, task }, [options]) => model(target).choice(options as never, task),
  cloze: ({ target, task }, [options]) => model(target).cloze(options as never, task),
  lineup({ id, target, task }, [options]) {
    const onPoint = (point: LineupPoint, repair: Blob | undefined): void =>
      post({ kind: "point", id, point: repair ? { ...point, repair } : point, memory: memory() });
    return model(target).lineup(options as never, onPoint, task);
  },
  generate({ id, target, task }, [options]) {
    const onToken = (token: Token): void => post({ kind: "token", id, token, memory: memory() });
    return model(target).generate(options as never, onToken, task);
  },
  files: ({ target, task }) => model(target).files(task),
  similarity: ({ target, task }, [name, options]) =>
    calibrationOf(target).similarity(name as never, options as never, task),
  blockInfluence: ({ target, task }) => calibrationOf(target).blockInfluence(task),
  embedding: ({ target, task }, [layer, options]) =>
    calibrationOf(target).embedding(layer as number, options as never, task),
  async rows({ target }) {
    return calibrationOf(target).rows();
  },
  norms: ({ target, task }) => calibrationOf(target).norms(task),
  hidden: ({ target, task }, [l]) => calibrationOf(target).hidden(l as number, task),
  async close({ target }) {
    objects.get(target)?.close();
    objects.delete(target);
    origins.delete(target);
  },
};

function theLab(): Lab {
  if (!lab) throw new Error("the lab is not created yet");
  return lab;
}

function keep(object: Model | Calibration): number {
  lastHandle += 1;
  objects.set(lastHandle, object);
  return lastHandle;
}

function madeModel(made: Model): Pick<Model, "summary" | "recipe"> & { handle: number } {
  return { handle: keep(made), summary: made.summary, recipe: made.recipe };
}

function model(handle: number): Model {
  const object = objects.get(handle);
  if (object instanceof Model) return object;
  throw mkaError("bad-argument", "This model was closed.", "Open it again.");
}

function calibrationOf(handle: number): Calibration {
  const object = objects.get(handle);
  if (object instanceof Calibration) return object;
  throw mkaError("bad-argument", "This calibration was closed.", "Calibrate again.");
}

function memory(): Figures {
  if (!lab) return { wasm: 0, wasmPeak: 0, device: 0, devicePeak: 0, budget: 0 };
  return { ...lab.memory(), budget: lab.budget };
}

/** As the browser states it, in bytes; not all browsers do. */
function memoryOfTheMachine(): number | undefined {
  const { deviceMemory } = navigator as { deviceMemory?: number };
  return deviceMemory && deviceMemory * 2 ** 30;
}

function post(reply: Reply, transfer: Transferable[] = []): void {
  self.postMessage(reply, { transfer });
}

async function answer({ id, method, target, args }: Extract<Request, { kind: "call" }>): Promise<void> {
  const cancelling = new AbortController();
  const { signal } = cancelling;
  running.set(id, cancelling);
  const report = reporter(id, method);
  watchDownloads({ signal, onBytes: () => report() });
  try {
    await ready;
    signal.throwIfAborted();
    const task = new Task(report);
    signal.addEventListener("abort", () => task.cancel());
    if (!Object.hasOwn(methods, method)) throw mkaError("bad-argument", `${method} is no method of the worker.`, "Take mka.js and the files beside it from one build.");
    const value = await methods[method]({ id, target, task, report }, args);
    post({ kind: "result", id, value, memory: memory() }, buffers(value));
  } catch (error) {
    if (isTrap(error)) return crash(error);
    const cancelled: PlainError = { name: "AbortError", message: "cancelled" };
    post({ kind: "error", id, error: signal.aborted ? cancelled : plain(error), memory: memory() });
  } finally {
    watchDownloads(undefined);
    running.delete(id);
  }
}

/** Reports how far a call is, with the speed of the network while something is downloaded. */
function reporter(id: number, step: string): (progress?: Progress) => void {
  let latest: Progress = { step, done: 0, total: 0, unit: "files" };
  let reported = 0;
  return (progress) => {
    if (progress) latest = progress;
    else if (performance.now() - reported < 200) return;
    reported = performance.now();
    const bytesPerSecond = downloadRate();
    post({ kind: "progress", id, progress: bytesPerSecond ? { ...latest, bytesPerSecond } : latest, memory: memory() });
  };
}

let ready: Promise<unknown> | undefined;

function start(wasm: string): void {
  ready = init({ module_or_path: wasm }).catch((cause: unknown) => {
    throw mkaError(
      "network",
      `The engine's .wasm file could not be loaded: ${plain(cause).message}`,
      "It must lie beside mka.js; the page's policy must allow 'wasm-unsafe-eval' in script-src.",
    );
  });
}

/** The arrays of a result; they are moved, not copied. */
function buffers(value: unknown): Transferable[] {
  const parts = ArrayBuffer.isView(value) ? [value] : typeof value === "object" && value ? Object.values(value) : [];
  return parts.filter((part) => ArrayBuffer.isView(part)).map((part) => part.buffer as ArrayBuffer);
}

/**
 * The instance's memory is still there and says why it ended. Where nothing panicked, the program
 * gave up by itself: that is what an allocation that fails does.
 */
function crash(error: unknown): void {
  const { message } = plain(error);
  const panic = lastWords();
  const cause = panic?.tokenizer ? "tokenizer" : !panic && message === "unreachable" ? "memory" : "other";
  post({ kind: "crash", message: panic?.message ?? message, cause });
}

function lastWords(): { message: string; tokenizer: boolean } | undefined {
  try {
    return lastPanic();
  } catch {
    return undefined;
  }
}

self.onmessage = ({ data }: MessageEvent<Request>) => {
  if (data.kind === "start") return start(data.wasm);
  if (data.kind === "call") return void answer(data);
  running.get(data.id)?.abort();
};

// A trap inside of a future that wasm spawned reaches no `catch`.
self.addEventListener("error", (event) => {
  if (isTrap(event.error)) crash(event.error);
});
self.addEventListener("unhandledrejection", (event) => {
  if (isTrap(event.reason)) crash(event.reason);
});
