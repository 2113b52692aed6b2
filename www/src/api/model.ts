/** A model that is open, and one that was merged from it. */
import { calibratedOn } from "./builtin";
import { Calibration } from "./calibration";
import type { Connection } from "./connection";
import { generate } from "./generate";
import { lineup } from "./lineup";
import { split } from "./options";
import { type Made, Remote } from "./proxy";
import { saveFiles } from "./save";
import type {
  CalibrateOptions,
  ChoiceOptions,
  ChoiceResult,
  ClozeOptions,
  ClozeResult,
  CalibrationInfo,
  Comparison,
  Estimate,
  EstimateOptions,
  EvaluateOptions,
  Evaluation,
  GenerateOptions,
  Input,
  LineupOptions,
  LineupPoint,
  Logits,
  ModelFile,
  Recipe,
  Summary,
  Token,
  Watch,
} from "./types";
import type { Source } from "../shared/protocol";
import type { MergeOptions as MergeChoices } from "../wasm/mka_lab.js";

/** Every choice of a merge. Without `recipe`, a calibration of the same model is needed for all selections that measure. */
export type MergeOptions = Omit<MergeChoices, "repair"> & {
  calibration?: Calibration;
  /** `"none"` (default), `"scale"`, `"linear"` or `"refit"`; beside a `recipe`, the `repair.safetensors` that was exported with it. */
  repair?: "none" | "scale" | "linear" | "refit" | Blob | ArrayBuffer | Uint8Array;
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

export class Model {
  /** @internal */
  constructor(
    /** @internal */
    readonly remote: Remote<Made>,
    /** What the headers of the files tell. Sizes in bytes. */
    readonly summary: Summary,
    /** The commit that a hub's revision stood for when the model was opened; it stays at it. */
    readonly commit?: string,
    /** What names it on the network, in its usual form; undefined for a model from files. */
    readonly source?: string,
  ) {}

  /**
   * Downloads all of it and keeps it in this browser, for use without a network. Goes on where an earlier download ended.
   * Fails with `storage` where the disk has no room.
   */
  async download(options: Watch = {}): Promise<void> {
    void navigator.storage?.persist?.().catch(() => {}); // the browser may say no, which changes nothing here
    await this.remote.call("download", [], options);
  }

  /**
   * What a calibration on so many windows, merging a pair, and an evaluation of as many windows will take: from the headers, and a
   * measurement of about a second on the model's own weights.
   */
  async estimate(options: EstimateOptions = {}): Promise<Estimate> {
    const [rest, watch] = split(options);
    return (await this.remote.call("estimate", [rest], watch)) as Estimate;
  }

  /** The logits after the last token of a text, or of token ids. */
  async logits(options: Input & Watch): Promise<Logits> {
    const [rest, watch] = split(options);
    return (await this.remote.call("logits", [rest], watch)) as Logits;
  }

  /** Mean negative log likelihood (nats per token) and perplexity on a text. */
  async evaluate(options: EvaluateOptions): Promise<Evaluation> {
    const [rest, watch] = split(options);
    return (await this.remote.call("evaluate", [rest], watch)) as Evaluation;
  }

  /**
   * Runs a text through the model and keeps the hidden states at chosen rows. Without a text it takes the built-in mix, but for the last
   * fifth of each text, which is left to measure on.
   */
  async calibrate(options: CalibrateOptions = {}): Promise<Calibration> {
    const [rest, watch] = split(options);
    const choices = await calibratedOn(rest, watch.signal);
    const remote = new Remote<MadeCalibration>(this.remote.connection, "calibration", async (send, call) => {
      const model = await this.remote.handle(send, call);
      return (await send("calibrate", model, [choices], call)) as MadeCalibration;
    });
    const { info } = await remote.create(watch);
    return new Calibration(remote, info);
  }

  /** Merges layers, or replays a recipe. The model itself stays as it is. */
  async merge(options: MergeOptions): Promise<MergedModel> {
    const { calibration, repair, ...others } = options;
    const [rest, watch] = split(others);
    const choices = { ...rest, ...(repair !== undefined && { repair: await bytesOf(repair) }) };
    let replay: unknown = choices;
    const remote = new Remote<MadeModel>(this.remote.connection, "merged model", async (send, call) => {
      const model = await this.remote.handle(send, call);
      const wanted = calibration && (replay === choices || options.recipe);
      const handle = wanted ? await calibration.remote.handle(send, call) : 0;
      return (await send("merge", model, [replay, handle], call)) as MadeModel;
    });
    const made = await remote.create(watch);
    const recipe = made.recipe as Recipe;
    replay = { recipe, ...(made.repair && { repair: await bytesOf(made.repair) }) };
    return new MergedModel(remote, made.summary, recipe);
  }

  /**
   * Holds methods against each other at several sizes, under one calibration and on the same texts. `onPoint` gets each
   * result as it comes; all of them are returned. A method that fails gives a point that says why.
   */
  lineup(options: LineupOptions, onPoint: (point: LineupPoint) => void = () => {}): Promise<LineupPoint[]> {
    return lineup(this.remote, options, onPoint);
  }

  /** Questions with four choices (MMLU's csv). Letter accuracy deceives without the perplexity beside it. */
  async choice(options: ChoiceOptions & Watch): Promise<ChoiceResult> {
    const [rest, watch] = split(options);
    return (await this.remote.call("choice", [rest], watch)) as ChoiceResult;
  }

  /** Facts to complete: where the true next token stands among all. */
  async cloze(options: ClozeOptions & Watch): Promise<ClozeResult> {
    const [rest, watch] = split(options);
    return (await this.remote.call("cloze", [rest], watch)) as ClozeResult;
  }

  /** Writes on from a prompt, token by token. Leaving the loop early cancels. */
  generate(options: GenerateOptions): AsyncGenerator<Token, void, undefined> {
    return generate(this.remote, options);
  }

  /** Frees its memory. What was made from it stays usable. */
  close(): void {
    this.remote.close();
  }
}

/** The bytes of a file of repairs; a word stays a word. */
async function bytesOf(repair: NonNullable<MergeOptions["repair"]>): Promise<string | Uint8Array> {
  if (typeof repair === "string" || repair instanceof Uint8Array) return repair;
  return new Uint8Array(repair instanceof Blob ? await repair.arrayBuffer() : repair);
}

export class MergedModel {
  /** @internal */
  constructor(
    /** @internal */
    readonly remote: Remote<Made>,
    /** As of the model, and for each tensor that is new how far it is from both parents. */
    readonly summary: Summary,
    /** What was done, as JSON: `model.merge({ recipe })` gives the same bytes again. */
    readonly recipe: Recipe,
  ) {}

  /**
   * What a calibration on so many windows, merging a pair, and an evaluation of as many windows will take: from the headers, and a
   * measurement of about a second on the model's own weights.
   */
  async estimate(options: EstimateOptions = {}): Promise<Estimate> {
    const [rest, watch] = split(options);
    return (await this.remote.call("estimate", [rest], watch)) as Estimate;
  }

  /** The logits after the last token of a text, or of token ids. */
  async logits(options: Input & Watch): Promise<Logits> {
    const [rest, watch] = split(options);
    return (await this.remote.call("logits", [rest], watch)) as Logits;
  }

  /** Both models on one text: perplexities, KL(dense || merged) in nats and top-1 agreement, teacher-forced. */
  async evaluate(options: EvaluateOptions): Promise<Comparison> {
    const [rest, watch] = split(options);
    return (await this.remote.call("evaluate", [rest], watch)) as Comparison;
  }

  /** Questions with four choices (MMLU's csv). Letter accuracy deceives without the perplexity beside it. */
  async choice(options: ChoiceOptions & Watch): Promise<ChoiceResult> {
    const [rest, watch] = split(options);
    return (await this.remote.call("choice", [rest], watch)) as ChoiceResult;
  }

  /** Facts to complete: where the true next token stands among all. */
  async cloze(options: ClozeOptions & Watch): Promise<ClozeResult> {
    const [rest, watch] = split(options);
    return (await this.remote.call("cloze", [rest], watch)) as ClozeResult;
  }

  /** Writes on from a prompt, token by token. Leaving the loop early cancels. */
  generate(options: GenerateOptions): AsyncGenerator<Token, void, undefined> {
    return generate(this.remote, options);
  }

  /** All files of the merged model's folder. */
  async files(options: Watch = {}): Promise<ModelFile[]> {
    return (await this.remote.call("files", [], options)) as ModelFile[];
  }

  /** Writes all files into a folder of the user's, slice by slice. */
  async save(directory: FileSystemDirectoryHandle, options: Watch = {}): Promise<void> {
    await saveFiles(directory, await this.files(options), options);
  }

  /** Frees its memory. */
  close(): void {
    this.remote.close();
  }
}

/** Opens a model by its headers. @internal */
export async function openModel(connection: Connection, source: Source, options: Watch): Promise<Model> {
  let where = source;
  const remote = new Remote<OpenedModel>(
    connection,
    "model",
    async (send, call) => (await send("open", 0, [where], call)) as OpenedModel,
  );
  const { summary, commit } = await remote.create({ signal: options.signal, onProgress: options.onProgress });
  // Where the worker has to be started again, the model is the same, also if its branch has moved on.
  if (commit) where = { ...source, commit } as Source;
  return new Model(remote, summary, commit, "source" in source ? source.source : undefined);
}
