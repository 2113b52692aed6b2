/** The lab: one worker, one engine, any number of models. */
import { Connection } from "./connection";
import { openModel, type Model } from "./model";
import { forget, stored } from "./stored";
import { toSource, type ModelFiles } from "./source";
import type { MkaError } from "./error";
import type { Backend, Memory, OpenOptions, Preset, StoredModel } from "./types";

/** What the worker sends once it runs. */
interface Engine {
  backend: "webgpu" | "cpu";
  adapter: string;
  reason: string;
  presets: Preset[];
}

export class Lab {
  readonly #connection: Connection;
  readonly #engine: Engine;

  readonly #chosen: { budget?: number };

  private constructor(connection: Connection, engine: Engine, chosen: { budget?: number }) {
    this.#connection = connection;
    this.#engine = engine;
    this.#chosen = chosen;
  }

  /**
   * Starts the worker and the engine. `auto` (the default) chooses; `webgpu` fails with `no-webgpu`
   * where there is none.
   */
  static async create({ backend = "auto", signal }: { backend?: Backend; signal?: AbortSignal } = {}): Promise<Lab> {
    let engine: Engine | undefined;
    // A worker that replaces another one runs the engine that was chosen at first.
    const chosen: { budget?: number } = {};
    const connection = new Connection(async (send) => {
      engine = (await send("create", 0, [engine?.backend ?? backend, chosen.budget])) as Engine;
    });
    try {
      await connection.run(signal, async () => {});
    } catch (error) {
      connection.close();
      throw error;
    }
    return new Lab(connection, engine as unknown as Engine, chosen);
  }

  /** The engine that runs. */
  get backend(): "webgpu" | "cpu" {
    return this.#engine.backend;
  }

  /** What it runs on. */
  get adapter(): string {
    return this.#engine.adapter;
  }

  /** Why this engine was chosen, in a sentence. */
  get reason(): string {
    return this.#engine.reason;
  }

  /** The named methods: `model.merge({ preset: name, ... })`. */
  get presets(): readonly Preset[] {
    return this.#engine.presets;
  }

  /**
   * Called when something beside the work failed and the work goes on: a disk that is full while a
   * download is kept.
   */
  set onWarning(listener: ((warning: MkaError) => void) | undefined) {
    this.#connection.onWarning = listener ?? (() => {});
  }

  /** Opens a model by its headers; the weights are read when a step needs them. */
  async open(files: ModelFiles, { token, keep, hub, assume, ...watch }: OpenOptions = {}): Promise<Model> {
    const source = toSource(files, { token, keep, hub });
    // Asks the browser not to clear it when the disk gets full; a refusal changes nothing here.
    if (keep) void navigator.storage?.persist?.().catch(() => {});
    return openModel(this.#connection, source, assume, watch);
  }

  /** The models that are kept in this browser, the largest first. */
  stored(): Promise<StoredModel[]> {
    return stored();
  }

  /**
   * Deletes what is kept of a model, named as it was opened. A model that is open stays so, and is
   * read over the network.
   */
  forget(source: string | URL, options: { hub?: string } = {}): Promise<void> {
    return forget(source, options);
  }

  /**
   * How fast the engine multiplies matrices [m, k] and [k, n] in float32: billions of
   * floating-point operations a second, the best of several runs within about a second.
   */
  async productRate(m = 512, n = 512, k = 512): Promise<number> {
    return (await this.#connection.run(undefined, (send) => send("productRate", 0, [m, n, k]))) as number;
  }

  /** Memory in bytes, as of the worker's latest message. */
  memory(): Memory {
    const { budget: _, ...memory } = this.#connection.memory;
    return memory;
  }

  /**
   * Bytes of weights that may be on the engine at once, as of the worker's latest message. What
   * fits stays there for the next pass, the rest is read again. At first it is a quarter (on a GPU)
   * or a sixteenth, at most 768 MiB (in the page), of the memory that the machine has according to
   * the browser, 512 MiB where the browser states none; it is halved when memory runs out.
   */
  get budget(): number {
    return this.#connection.memory.budget;
  }

  /** Sets the budget, in bytes: at least 1 MiB. One block is always on the engine. */
  async setBudget(bytes: number): Promise<void> {
    await this.#connection.run(undefined, (send) => send("setBudget", 0, [bytes]));
    this.#chosen.budget = bytes;
  }

  /** Ends the worker and frees everything. */
  close(): void {
    this.#connection.close();
  }
}
