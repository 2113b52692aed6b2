/**
 * The worker: holds the wasm instance and answers the messages of src/protocol.ts. It decides nothing: the queue, the
 * handles' second life and the words of the interface are on the page's side.
 */
import init, { Calibration, Lab, Model, Task } from "../wasm/mka_lab.js";
import type { Method, PlainError, Reply, Request, Source } from "../protocol";
import { isTrap, mkaError, plain } from "./errors";
import { listFolder } from "./folder";
import { fromBlob, watchDownloads } from "./source";
import type { Memory, Token } from "../api/types";

interface Call {
  id: number;
  target: number;
  task: Task;
}

type Arguments = readonly unknown[];

let lab: Lab | undefined;
const objects = new Map<number, Model | Calibration>();
let lastHandle = 0;
/** What ends each call that runs: its downloads and its task in the wasm code. */
const running = new Map<number, AbortController>();

const methods: Record<Method, (call: Call, args: Arguments) => Promise<unknown>> = {
  async create(_, [backend]) {
    lab = await Lab.create(backend as string);
    const { adapter, reason } = lab;
    return { backend: lab.backend, adapter, reason, presets: lab.presets() };
  },
  productRate: ({ task }, [m, n, k]) => theLab().productRate(m as number, n as number, k as number, task),
  async open({ task }, [source]) {
    const where = source as Source;
    const files = "folder" in where ? await listFolder(where.folder) : where.files.map(fromBlob);
    return madeModel(await theLab().open(files, task));
  },
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

function madeModel(made: Model): object {
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

function memory(): Memory {
  return lab?.memory() ?? { wasm: 0, wasmPeak: 0, device: 0, devicePeak: 0 };
}

function post(reply: Reply, transfer: Transferable[] = []): void {
  self.postMessage(reply, { transfer });
}

async function answer({ id, method, target, args }: Extract<Request, { kind: "call" }>): Promise<void> {
  const cancelling = new AbortController();
  const { signal } = cancelling;
  running.set(id, cancelling);
  watchDownloads(signal);
  try {
    await start();
    signal.throwIfAborted();
    const task = new Task((progress) => post({ kind: "progress", id, progress, memory: memory() }));
    signal.addEventListener("abort", () => task.cancel());
    const value = await methods[method]({ id, target, task }, args);
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

let ready: Promise<unknown> | undefined;

function start(): Promise<unknown> {
  ready ??= init().catch((cause: unknown) => {
    throw mkaError(
      "network",
      `The engine's .wasm file could not be loaded: ${plain(cause).message}`,
      "It must lie beside mka.js; the page's policy must allow 'wasm-unsafe-eval' in script-src.",
    );
  });
  return ready;
}

/** The arrays of a result; they are moved, not copied. */
function buffers(value: unknown): Transferable[] {
  const parts = ArrayBuffer.isView(value) ? [value] : typeof value === "object" && value ? Object.values(value) : [];
  return parts.filter((part) => ArrayBuffer.isView(part)).map((part) => part.buffer as ArrayBuffer);
}

function crash(error: unknown): void {
  post({ kind: "crash", message: plain(error).message });
}

self.onmessage = ({ data }: MessageEvent<Request>) => {
  if (data.kind === "call") return void answer(data);
  running.get(data.id)?.abort();
};

// A trap inside of a future that wasm spawned reaches nobody's `catch`.
self.addEventListener("error", (event) => {
  if (isTrap(event.error)) crash(event.error);
});
self.addEventListener("unhandledrejection", (event) => {
  if (isTrap(event.reason)) crash(event.reason);
});
