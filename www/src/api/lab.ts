/** The lab: one worker, one engine, any number of models. */
import { Connection } from "./connection";
import { openModel, type Model } from "./model";
import { toSource, type ModelFiles } from "./source";
import type { Backend, Memory, Preset, Watch } from "./types";

/** What the worker tells once it runs. */
interface Engine {
  backend: "webgpu" | "cpu";
  adapter: string;
  reason: string;
  presets: Preset[];
}

export class Lab {
  readonly #connection: Connection;
  readonly #engine: Engine;

  private constructor(connection: Connection, engine: Engine) {
    this.#connection = connection;
    this.#engine = engine;
  }

  /** Starts the worker and the engine. `auto` (the default) chooses; `webgpu` fails with `no-webgpu` where there is none. */
  static async create({ backend = "auto", signal }: { backend?: Backend; signal?: AbortSignal } = {}): Promise<Lab> {
    let engine: Engine | undefined;
    // A worker that takes the place of another one runs the engine that was chosen at first.
    const connection = new Connection(async (send) => {
      engine = (await send("create", 0, [engine?.backend ?? backend])) as Engine;
    });
    try {
      await connection.run(signal, async () => {});
    } catch (error) {
      connection.close();
      throw error;
    }
    return new Lab(connection, engine as unknown as Engine);
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

  /** Opens a model by its headers; the weights are read when a step needs them. */
  async open(files: ModelFiles, options: Watch = {}): Promise<Model> {
    return openModel(this.#connection, toSource(files), options);
  }

  /**
   * How fast the engine multiplies matrices [m, k] and [k, n] in float32: billions of floating-point operations a second,
   * the best of several runs within about a second.
   */
  async productRate(m = 512, n = 512, k = 512): Promise<number> {
    return (await this.#connection.run(undefined, (send) => send("productRate", 0, [m, n, k]))) as number;
  }

  /** Memory in bytes, as of the worker's latest message. */
  memory(): Memory {
    return { ...this.#connection.memory };
  }

  /** Ends the worker and frees everything. */
  close(): void {
    this.#connection.close();
  }
}
