/** A model that is open, and one that was merged from it. */
import { calibratedOn } from "./builtin";
import { BaseModel } from "./base-model";
import { Calibration } from "./calibration";
import type { Connection } from "./connection";
import { lineup } from "./lineup";
import { split } from "./options";
import { type Made, WorkerProxy } from "./proxy";
import { saveFiles } from "./save";
import type {
  CalibrateOptions,
  CalibrationInfo,
  Comparison,
  EvaluateOptions,
  Evaluation,
  LineupOptions,
  LineupPoint,
  ModelFile,
  Recipe,
  Summary,
  Watch,
} from "./types";
import type { Source } from "../shared/protocol";
import type { Repair } from "./choices";
import type { Assume, MergeOptions as MergeChoices } from "../wasm/mka_lab.js";

/**
 * Every choice of a merge. Without `recipe`, a calibration of the same model is needed for all
 * selections that measure.
 */
export type MergeOptions = Omit<MergeChoices, "repair"> & {
  calibration?: Calibration;
  /**
   * `"none"` (default), `"scale"`, `"linear"` or `"refit"`; beside a `recipe`, the
   * `repair.safetensors` that was exported with it.
   */
  repair?: Repair | Blob | ArrayBuffer | Uint8Array;
} & Watch;

interface MadeModel extends Made {
  summary: Summary;
  recipe?: Recipe;
  /** The matrices of its repairs, as a file. */
  repair?: Blob;
}

interface OpenedModel extends MadeModel {
  commit?: string;
}

interface MadeCalibration extends Made {
  info: CalibrationInfo;
}

/** A model that was opened. */
export class Model extends BaseModel {
  /** @internal */
  constructor(
    proxy: WorkerProxy<Made>,
    summary: Summary,
    /** The commit that a hub's revision stood for when the model was opened; it stays at it. */
    readonly commit?: string,
    /** What names it on the network, in its usual form; undefined for a model from files. */
    readonly source?: string,
  ) {
    super(proxy, summary);
  }

  /**
   * Downloads all of it and keeps it in this browser, for use without a network. Goes on where an
   * earlier download ended. Fails with `storage` where the disk has no room.
   */
  async download(options: Watch = {}): Promise<void> {
    void navigator.storage?.persist?.().catch(() => {}); // a refusal changes nothing here
    await this.proxy.call("download", [], options);
  }

  /** Mean negative log likelihood (nats per token) and perplexity on a text. */
  async evaluate(options: EvaluateOptions): Promise<Evaluation> {
    const [rest, watch] = split(options);
    return (await this.proxy.call("evaluate", [rest], watch)) as Evaluation;
  }

  /**
   * Runs a text through the model and keeps the hidden states at chosen rows. Without a text it
   * takes the built-in mix without the last fifth of each text, which is left to measure on.
   */
  async calibrate(options: CalibrateOptions = {}): Promise<Calibration> {
    const [rest, watch] = split(options);
    const choices = await calibratedOn(rest, watch.signal);
    const proxy = new WorkerProxy<MadeCalibration>(this.proxy.connection, "calibration", async (send, call) => {
      const model = await this.proxy.handle(send, call);
      return (await send("calibrate", model, [choices], call)) as MadeCalibration;
    });
    const { info } = await proxy.create(watch);
    return new Calibration(proxy, info);
  }

  /** Merges layers, or replays a recipe. The model itself stays as it is. */
  async merge(options: MergeOptions): Promise<MergedModel> {
    const { calibration, repair, ...others } = options;
    const [rest, watch] = split(others);
    const choices = { ...rest, ...(repair !== undefined && { repair: await bytesOf(repair) }) };
    let replay: unknown = choices;
    const proxy = new WorkerProxy<MadeModel>(this.proxy.connection, "merged model", async (send, call) => {
      const model = await this.proxy.handle(send, call);
      const wanted = calibration && (replay === choices || options.recipe);
      const handle = wanted ? await calibration.proxy.handle(send, call) : 0;
      return (await send("merge", model, [replay, handle], call)) as MadeModel;
    });
    const made = await proxy.create(watch);
    const recipe = made.recipe as Recipe;
    replay = { recipe, ...(made.repair && { repair: await bytesOf(made.repair) }) };
    return new MergedModel(proxy, made.summary, recipe);
  }

  /**
   * Compares methods at several sizes, under one calibration and on the same texts. `onPoint` gets
   * each result as it comes; all of them are returned. A method that fails gives a point with the
   * reason.
   */
  lineup(options: LineupOptions, onPoint: (point: LineupPoint) => void = () => {}): Promise<LineupPoint[]> {
    return lineup(this.proxy, options, onPoint);
  }
}

/** The bytes of a file of repairs; a word stays a word. */
async function bytesOf(repair: NonNullable<MergeOptions["repair"]>): Promise<string | Uint8Array> {
  if (typeof repair === "string" || repair instanceof Uint8Array) return repair;
  return new Uint8Array(repair instanceof Blob ? await repair.arrayBuffer() : repair);
}

/** A model that was merged. Its summary has for each new tensor how far it is from both parents. */
export class MergedModel extends BaseModel {
  /** @internal */
  constructor(
    proxy: WorkerProxy<Made>,
    summary: Summary,
    /** What was done, as JSON: `model.merge({ recipe })` gives the same bytes again. */
    readonly recipe: Recipe,
  ) {
    super(proxy, summary);
  }

  /**
   * Both models on one text: perplexities, KL(dense || merged) in nats and top-1 agreement,
   * teacher-forced.
   */
  async evaluate(options: EvaluateOptions): Promise<Comparison> {
    const [rest, watch] = split(options);
    return (await this.proxy.call("evaluate", [rest], watch)) as Comparison;
  }

  /** All files of the merged model's folder. */
  async files(options: Watch = {}): Promise<ModelFile[]> {
    return (await this.proxy.call("files", [], options)) as ModelFile[];
  }

  /** Writes all files into a folder of the user's, slice by slice. */
  async save(directory: FileSystemDirectoryHandle, options: Watch = {}): Promise<void> {
    await saveFiles(directory, await this.files(options), options);
  }
}

/** Opens a model by its headers. @internal */
export async function openModel(
  connection: Connection,
  source: Source,
  assume: Assume | undefined,
  options: Watch,
): Promise<Model> {
  let where = source;
  const proxy = new WorkerProxy<OpenedModel>(
    connection,
    "model",
    async (send, call) => (await send("open", 0, [where, assume], call)) as OpenedModel,
  );
  const { summary, commit } = await proxy.create({ signal: options.signal, onProgress: options.onProgress });
  // A new worker opens the same commit, also if the branch has moved on.
  if (commit) where = { ...source, commit } as Source;
  return new Model(proxy, summary, commit, "source" in source ? source.source : undefined);
}
