/**
 * What <mka-lab> runs, loaded with the first run. All elements of a page share one lab; each has a
 * session, which keeps the model and the calibration as long as the next run needs the same ones.
 * Must not know what is shown.
 */
import {
  builtInModel,
  builtInTexts,
  type Calibration,
  type Comparison,
  Lab,
  type LayerMatrix,
  type MergedModel,
  MkaError,
  type Model,
  type ModelFiles,
  type Progress,
  type Recipe,
  type RowTexts,
  type Summary,
} from "#mka";
import { mostRemovable, pairsOf } from "../ui/rules";
import { heldOut } from "../api/heldout";
import { T } from "../ui/texts";
import { ELEMENT } from "../ui/texts/element";
import { type Piece, pieces } from "../ui/charts/difference";
import { align, type Cloud, leading } from "../ui/charts/procrustes";
import { type BuiltInName, type HubName, isBuiltIn, type Panel } from "./attributes";

const SEQUENCES = 16;
const WINDOW = 256;
const ROWS = 512;
/** Windows of each evaluation: what the page takes too, so that the figures are the same. */
const HELD_OUT = 16;
/** A text of one's own gives about so many windows at least, each of at least so many tokens. */
const OWN = { windows: 4, least: 16, charactersPerToken: 4 };
const WRITTEN = 60;
/** Perplexity by depth is measured for so many layers removed at least, where so many can go. */
const AHEAD = 5;

/** What to run. Each value is valid by itself; the limits of the model are applied here. */
export interface RunOptions {
  model: BuiltInName | HubName | URL | undefined;
  /** Files that stand in for `model`. */
  files: ModelFiles | undefined;
  text: string | undefined;
  /** A text that is no address makes `run` fail. */
  textSource: URL | string | undefined;
  method: string;
  remove: number | undefined;
  /**
   * Boundaries that were picked by hand; where there are any, `method` and `remove` do not count.
   */
  picked: readonly number[];
  seed: number;
  /** What is shown: some panels need further steps. */
  panels: readonly Panel[];
}

/** What has been found out so far. */
export interface Findings {
  before?: Summary;
  influence?: Float32Array;
  similarity?: LayerMatrix;
  /** The map of each layer, laid over one another, and the tokens of their points. */
  maps?: Cloud[];
  rows?: RowTexts;
  /** It is known what is merged: `recipe`, or nothing. */
  stands?: true;
  after?: Summary;
  recipe?: Recipe;
  evaluation?: Comparison;
  /** The windows of it, on the built-in held-out text. */
  measuredOn?: { own: false; sequences: number; window: number };
  /** Perplexities of the method with no layer removed, with one, and so on. */
  depths?: { removed: number; perplexity: number }[];
  written?: { before: string; after: string };
  /** What is in both texts, and what in only one of them; when both are complete. */
  differences?: Piece[];
}

export interface Watch {
  signal: AbortSignal;
  onProgress: (job: keyof typeof T.status.jobs, progress: Progress | undefined) => void;
  /** Called with what is new. */
  onFound: (found: Findings) => void;
}

let shared: Promise<Lab> | undefined;
const users = new Set<Session>();

/** The one lab of this page. */
function theLab(): Promise<Lab> {
  shared ??= Lab.create().catch((error: unknown) => {
    shared = undefined; // the next run tries again
    throw error;
  });
  return shared;
}

/** The model and its calibration, and what they were made from. */
interface Kept<Value> {
  from: readonly unknown[];
  value: Value;
}

export class Session {
  #model: Kept<Model> | undefined;
  #calibration: Kept<Calibration> | undefined;

  /**
   * Runs everything, from the model to the evaluation. Rejects with an MkaError, or an AbortError.
   */
  async run(options: RunOptions, { signal, onProgress, onFound }: Watch): Promise<void> {
    users.add(this);
    const step = (job: Parameters<typeof onProgress>[0]) => {
      signal.throwIfAborted();
      onProgress(job, undefined);
      return { signal, onProgress: (progress: Progress) => onProgress(job, progress) };
    };
    step("start");
    const lab = await theLab();
    const model = await this.#open(lab, options, step("open"));
    onFound({ before: model.summary });

    const calibration = await this.#calibrate(model, options, step("calibrate"));
    const look = step("look");
    const influence = await calibration.blockInfluence(look);
    onFound({ influence });
    const similarity = await calibration.similarity("npib", look);
    onFound({ similarity });

    if (options.panels.includes("manifold")) onFound(await manifolds(calibration, model.summary.layers, look));

    const choices = choicesOf(lab, model.summary, options);
    if (!choices) return onFound({ stands: true });
    const merged = await model.merge({ ...choices, calibration, ...step("merge") });
    try {
      onFound({ after: merged.summary, recipe: merged.recipe, stands: true });
      const text = heldOut(await builtInTexts(signal));
      const windows = { sequences: HELD_OUT, window: Math.min(WINDOW, model.summary.positions) };
      const held = { text, ...windows };
      const evaluation = await merged.evaluate({ ...held, ...step("compare") });
      const costOf = async (choices: Choices): Promise<Comparison["merged"]> => {
        const other = await model.merge({ ...choices, calibration, ...step("merge") });
        try {
          return (await other.evaluate({ ...held, ...step("compare") })).merged;
        } finally {
          other.close();
        }
      };
      onFound({ evaluation, measuredOn: { own: false, ...windows } });
      if (options.panels.includes("perplexity")) {
        const depths = [{ removed: 0, perplexity: evaluation.dense.perplexity }];
        for (const depth of depthsOf(choices, mostOf(lab, model.summary, choices))) {
          const same = depth.removed === merged.recipe.steps.length;
          const { perplexity } = same ? evaluation.merged : await costOf(depth.choices);
          depths.push({ removed: depth.removed, perplexity });
        }
        onFound({ depths });
      }
      if (options.panels.includes("generation")) {
        step("write");
        let written: Findings["written"];
        for await (written of writing(model, merged, options.seed, signal)) onFound({ written });
        if (written) onFound({ differences: pieces(written.before, written.after) });
      }
    } finally {
      merged.close();
    }
  }

  /** Frees what is kept; the last one ends the worker. */
  close(): void {
    this.#forgetModel();
    if (!users.delete(this) || users.size > 0) return;
    // A lab that did not start holds nothing.
    void shared?.then((lab) => lab.close()).catch(() => {});
    shared = undefined;
  }

  async #open(lab: Lab, { model, files }: RunOptions, watch: Parameters<Lab["open"]>[1] & object): Promise<Model> {
    const from = [files ?? String(model)];
    if (this.#model && same(this.#model.from, from)) return this.#model.value;
    this.#forgetModel();
    const source = files ?? (isBuiltIn(model) ? await builtInModel(model, watch) : model);
    if (!source) throw new MkaError("bad-argument", ELEMENT.noModel, ELEMENT.noModelHint);
    this.#model = { from, value: await lab.open(source, watch) };
    return this.#model.value;
  }

  async #calibrate(model: Model, options: RunOptions, watch: Parameters<Model["calibrate"]>[0] & object): Promise<Calibration> {
    const from = [options.text, String(options.textSource), options.seed];
    if (this.#calibration && same(this.#calibration.from, from)) return this.#calibration.value;
    this.#forgetCalibration();
    const text = options.textSource ? await fetchText(options.textSource, watch.signal) : options.text;
    const own = text === undefined ? {} : { text };
    const fits = text === undefined ? WINDOW : Math.floor(text.length / OWN.charactersPerToken / OWN.windows);
    const window = Math.min(WINDOW, model.summary.positions, Math.max(OWN.least, fits));
    const { seed } = options;
    const value = await model.calibrate({ ...own, sequences: SEQUENCES, window, rows: ROWS, seed, ...watch });
    this.#calibration = { from, value };
    return this.#calibration.value;
  }

  #forgetModel(): void {
    this.#forgetCalibration();
    this.#model?.value.close();
    this.#model = undefined;
  }

  #forgetCalibration(): void {
    this.#calibration?.value.close();
    this.#calibration = undefined;
  }
}

type Choices = Parameters<Model["merge"]>[0];

/** The options of the merge; undefined where nothing is removed. */
function choicesOf(lab: Lab, summary: Summary, { method, remove, picked }: RunOptions): Choices | undefined {
  const within = picked.filter((boundary) => boundary < summary.layers - 1);
  if (within.length > 0) return { selection: "manual", pairs: pairsOf(within) };
  const preset = method || lab.presets[0]?.name;
  const most = mostOf(lab, summary, { preset });
  const wanted = Math.min(most, remove ?? Math.max(1, Math.round(summary.layers / 5)));
  return wanted > 0 ? { preset, remove: wanted } : undefined;
}

/** How many layers these choices can remove. */
function mostOf(lab: Lab, { layers, blockKinds }: Summary, { preset, pairs }: Choices): number {
  if (pairs) return pairs.length;
  const options = lab.presets.find(({ name }) => name === preset)?.options;
  if (options) return mostRemovable(layers, options, undefined, blockKinds);
  const names = lab.presets.map(({ name }) => name).join(", ");
  throw new MkaError("bad-argument", ELEMENT.noMethod(preset ?? ""), ELEMENT.noMethodHint(names));
}

/** The same method with one layer removed, two, and so on: the requested number, AHEAD at least. */
function depthsOf(choices: Choices, most: number): { removed: number; choices: Choices }[] {
  const { pairs, remove = 1 } = choices;
  return Array.from({ length: Math.min(most, Math.max(remove, AHEAD)) }, (_, at) => {
    const removed = at + 1;
    return { removed, choices: pairs ? { ...choices, pairs: pairs.slice(0, removed) } : { ...choices, remove: removed } };
  });
}

/** The first two coordinates of each layer's diffusion map, each aligned with the one before. */
async function manifolds(calibration: Calibration, layers: number, watch: Parameters<Calibration["embedding"]>[1]): Promise<Findings> {
  const clouds: Cloud[] = [];
  for (let layer = 0; layer < layers; layer += 1) {
    const { values, dimensions } = await calibration.embedding(layer, watch);
    clouds.push(leading(values, dimensions, 2));
  }
  return { maps: align(clouds), rows: await calibration.rows(watch) };
}

async function fetchText(url: URL | string, signal: AbortSignal | undefined): Promise<string> {
  if (!(url instanceof URL)) throw new MkaError("bad-argument", ELEMENT.noText(url), ELEMENT.noTextHint);
  const fail = (reason: string): MkaError => new MkaError("network", `${url.href}: ${reason}`, ELEMENT.noTextHint);
  const response = await fetch(url, { signal }).catch((cause: unknown) => {
    if (signal?.aborted) throw cause;
    throw fail(String(cause));
  });
  if (!response.ok) throw fail(ELEMENT.answered(response.status));
  return response.text();
}

/** Both models continue one prompt; yields both texts after each token. */
async function* writing(model: Model, merged: MergedModel, seed: number, signal: AbortSignal): AsyncGenerator<NonNullable<Findings["written"]>> {
  const written = { before: "", after: "" };
  for (const [side, writer] of [["before", model], ["after", merged]] as const) {
    for await (const token of writer.generate({ prompt: T.compare.promptDefault, tokens: WRITTEN, seed, signal })) {
      written[side] += token.text;
      yield { ...written };
    }
  }
}

function same(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((value, at) => value === b[at]);
}
