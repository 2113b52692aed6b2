/**
 * The line-up, and what belongs to it: questions, facts, a text at each depth, recipes edited and
 * compared.
 */
import { builtInTexts, MkaError, type ChoiceResult, type ClozeResult, type Fact, type LineupPoint, type Recipe } from "#mka";
import { endOf, heldOut } from "../../api/heldout";
import { decoded } from "../../ui/encoding";
import { state, update } from "../state/state";
import { T } from "../../ui/texts";
import { LINEUP } from "../../ui/texts/lineup";
import { job, show, type Watch } from "./job";
import { mergeWithin } from "./merge";

/** Both models' answers. */
interface Both<Result> {
  before: Result;
  after: Result | undefined;
}

/** What this part of the page shows; it ends with the model that it is about. */
export interface Lineup {
  presets: Set<string>;
  budgets: string;
  seeds: number;
  points: readonly LineupPoint[];
  /** The conditions that the points were measured under: under others the run begins anew. */
  key: string;
  measure: "perplexity" | "kl" | "top1";
  text: string;
  chosen: LineupPoint | undefined;
  depths: { removed: number; text: string; perplexity: number }[];
  csv: { name: string; content: string } | undefined;
  questions: number;
  choice: Both<ChoiceResult> | undefined;
  facts: string;
  cloze: Both<ClozeResult> | undefined;
  /** The models that all of it is about. */
  model: typeof state.model;
  source: typeof state.source;
  merged: typeof state.merged;
  recipe: string;
  kept: { title: string; recipe: Recipe }[];
}

export const lineup: Lineup = {
  presets: new Set(["mka", "shortgpt", "replaceme", "loss-guided"]),
  budgets: "1, 2, 3",
  seeds: 1,
  points: [],
  key: "",
  measure: "perplexity",
  text: "",
  chosen: undefined,
  depths: [],
  csv: undefined,
  questions: 20,
  choice: undefined,
  facts: LINEUP.factsDefault,
  cloze: undefined,
  model: undefined,
  source: undefined,
  merged: undefined,
  recipe: "",
  kept: [],
};

/** What was measured of other models and under other conditions: it is there again with them. */
const setAside = new Map<string, Pick<Lineup, "points" | "depths">>();

/** Sets aside what there is, and takes what was measured of this model under these conditions. */
function turnTo(source: typeof state.source, key: string): void {
  if (lineup.points.length > 0) setAside.set(placeOf(lineup.source, lineup.key), { points: lineup.points, depths: lineup.depths });
  Object.assign(lineup, { source, key, chosen: undefined, points: [], depths: [] }, setAside.get(placeOf(source, key)));
}

function placeOf(source: typeof state.source, key: string): string {
  const files = typeof source?.files === "object" && !(source.files instanceof URL) ? Array.from(source.files, ({ name, size, lastModified }) => [name, size, lastModified]) : source?.files;
  return JSON.stringify([source?.name, files, key]);
}

/**
 * Sets aside results of models that are no longer the ones on the page. Recipes stay: they can be
 * replayed on another model.
 */
export function forgetOthers(): void {
  const { model, merged, source } = state;
  if (model !== lineup.model) {
    turnTo(source, lineup.key);
    Object.assign(lineup, { model, text: "", choice: undefined, cloze: undefined });
  }
  if (merged !== lineup.merged) {
    const { choice, cloze } = lineup;
    Object.assign(lineup, {
      merged,
      chosen: undefined,
      choice: choice && { ...choice, after: undefined },
      cloze: cloze && { ...cloze, after: undefined },
    });
  }
}

/** Numbers of layers, as they are typed. */
export function budgets(): number[] {
  const most = (state.model?.summary.layers ?? 1) - 1;
  const typed = lineup.budgets.split(/[^0-9]+/).map(Number).filter((count) => count >= 1 && count <= most);
  return [...new Set(typed)].sort((a, b) => a - b);
}

/** Adds to the points that are there, where they were made under the same conditions. */
export async function run(): Promise<void> {
  const { model } = state;
  if (!model) return;
  await job("lineup", async (watch) => {
    forgetOthers();
    const whole = await builtInTexts(watch.signal);
    const parts = whole.map((text, at) => ({ name: LINEUP.texts[at] ?? String(at), text: endOf(text) }));
    const texts = [{ name: LINEUP.mixed, text: heldOut(whole) }, ...parts];
    const { sequences, window, rows, skip } = state.calibrate;
    const own = state.calibrateText.own ? { text: state.calibrateText.text } : {};
    const calibrate = { sequences, window, rows, skip, ...own };
    const key = JSON.stringify([calibrate, state.compare]);
    if (key !== lineup.key) turnTo(state.source, key);
    const seeds = Array.from({ length: lineup.seeds }, (_, seed) => seed);
    const options = { presets: [...lineup.presets], budgets: budgets(), seeds, calibrate, texts, ...state.compare };
    await model.lineup({ ...options, points: lineup.points, ...watch }, (point) => {
      if (state.model !== model) return; // it was closed just now
      lineup.points = [...lineup.points, point];
      update();
    });
  });
}

/** Makes the model of a point the current one. */
export async function choosePoint(point: LineupPoint): Promise<void> {
  const { recipe, repair } = point;
  if (!recipe) return;
  await job("merge", async (watch) => {
    await mergeWithin({ recipe, ...(repair && { repair }) }, watch);
    forgetOthers();
    lineup.chosen = point;
    keepRecipe(`${point.preset}, ${point.removed}`, recipe);
  });
}

/** One text from each model of a method, from no layer removed on. */
export async function writeDepths(preset: string): Promise<void> {
  const { model } = state;
  if (!model) return;
  const points = lineup.points.filter((point) => point.preset === preset && point.seed === 0 && point.recipe);
  await job("lineup", async (watch) => {
    lineup.depths = [];
    const written = async (writer: Pick<typeof model, "generate">): Promise<string> => {
      let text = "";
      const { prompt, temperature, seed } = state.write;
      for await (const token of writer.generate({ prompt, temperature, seed, tokens: 40, signal: watch.signal })) text += token.text;
      return text;
    };
    const add = (removed: number, text: string, perplexity: number): void => {
      lineup.depths = [...lineup.depths, { removed, text, perplexity }];
      update();
    };
    const dense = points[0]?.measured[0]?.dense.perplexity ?? Number.NaN;
    add(0, await written(model), dense);
    for (const { recipe, repair, removed, measured } of [...points].sort((a, b) => a.removed - b.removed)) {
      if (!recipe) continue;
      const merged = await model.merge({ recipe, ...(repair && { repair }), signal: watch.signal });
      try {
        add(removed, await written(merged), measured[0]?.merged.perplexity ?? Number.NaN);
      } finally {
        merged.close();
      }
    }
  });
}

/** The depth before which the logarithm of the perplexity grows the most for each layer. */
export function cliff(depths: readonly { removed: number; perplexity: number }[]): number | undefined {
  let found: { removed: number; growth: number } | undefined;
  for (const [at, { removed, perplexity }] of depths.entries()) {
    const before = depths[at - 1];
    if (!before) continue;
    const growth = Math.log(perplexity / before.perplexity) / Math.max(1, removed - before.removed);
    if (!found || growth > found.growth) found = { removed, growth };
  }
  return found?.removed;
}

async function both<Result>(ask: (model: NonNullable<typeof state.model | typeof state.merged>) => Promise<Result>): Promise<Both<Result>> {
  const { model, merged } = state;
  if (!model) throw new MkaError("bad-argument", T.status.needModel, "");
  return { before: await ask(model), after: merged && (await ask(merged)) };
}

export async function askQuestions(): Promise<void> {
  const { csv } = lineup;
  if (!csv) return;
  await job("lineup", async (watch) => {
    lineup.choice = await both((model) => model.choice({ csv: csv.content, limit: lineup.questions, ...watch }));
  });
}

/** "The capital of France is | Paris" on each line. */
function facts(): Fact[] {
  return lineup.facts.split("\n").flatMap((line) => {
    const [prompt, answer] = line.split("|").map((part) => part.trim());
    return prompt && answer ? [{ prompt, answer: ` ${answer}` }] : [];
  });
}

export async function askFacts(): Promise<void> {
  await job("lineup", async (watch: Watch) => {
    lineup.cloze = await both((model) => model.cloze({ facts: facts(), ...watch }));
  });
}

/** Reads a file of the user's; an error is shown in the line-up. */
async function read(file: File, take: (content: string) => void): Promise<void> {
  try {
    take(decoded(new Uint8Array(await file.arrayBuffer()), file.name));
    update();
  } catch (error) {
    show(error, "lineup");
  }
}

export function takeCsv(file: File): Promise<void> {
  return read(file, (content) => (lineup.csv = { name: file.name, content }));
}

function parsed(text: string): Recipe | undefined {
  try {
    const recipe = JSON.parse(text) as Partial<Recipe> | null;
    return typeof recipe?.format === "string" && Array.isArray(recipe.steps) ? (recipe as Recipe) : undefined;
  } catch {
    return undefined;
  }
}

export function editCurrent(): void {
  lineup.recipe = state.merged ? JSON.stringify(state.merged.recipe, undefined, 1) : "";
  update();
}

export function takeRecipe(file: File): Promise<void> {
  return read(file, (content) => (lineup.recipe = content));
}

/**
 * Replays the edited recipe. With the calibration its repairs are fitted anew, and it can be of
 * another model of the same shape.
 */
export async function replayEdited(): Promise<void> {
  const recipe = parsed(lineup.recipe);
  if (!recipe) return show(new MkaError("bad-argument", LINEUP.notRecipe, T.merge.notRecipeHint), "lineup");
  await job("merge", async (watch) => {
    await mergeWithin({ recipe, calibration: state.calibration }, watch);
    keepRecipe(`${LINEUP.edited} ${lineup.kept.length + 1}`, recipe);
  });
}

function keepRecipe(title: string, recipe: Recipe): void {
  lineup.kept = [...lineup.kept.filter((kept) => kept.title !== title), { title, recipe }].slice(-4);
}
