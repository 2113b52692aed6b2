/**
 * The state of the page as the end of an address, and back. Pure: what the browser does with an
 * address is in actions/link.ts. People edit addresses, so whatever one contains, the parsed values
 * are valid, and what had to be corrected is listed. To keep one more value, add its key to KEYS
 * and a line to FIELDS.
 */
import { isHubName } from "../../api/source";
import { BOUNDS, type Bounds, BUILT_IN_TOKENS } from "./bounds";
import { PARTS } from "./part";
import { type Correction, state, type State } from "./state";
import { T } from "../../ui/texts";
import { STEPS } from "./tour-steps";

/** What an address keeps of the state. */
export const KEYS = [
  "theme",
  "part",
  "tour",
  "calibrate",
  "measure",
  "map",
  "seeds",
  "manifold",
  "preset",
  "remove",
  "selection",
  "combination",
  "alpha",
  "alphaFixed",
  "norms",
  "repair",
  "protect",
  "picked",
  "measureAfter",
  "compare",
  "write",
] as const satisfies (keyof State)[];

export type Kept = Pick<State, (typeof KEYS)[number]> & {
  /** Name of a built-in model, "hub:owner/name[@revision]", or the address of a folder. */
  model: string | undefined;
  /** A text of the user's own was used. The text itself is not kept. */
  ownText: boolean;
  ownTestText: boolean;
  /** It is computed at once when the link is opened. */
  autorun: boolean;
};

export interface Parsed {
  kept: Kept;
  /** The names that were found and known. */
  named: Set<string>;
  corrections: Correction[];
}

interface Field {
  name: string;
  read: (kept: Kept) => string;
  /**
   * False: the text has no value that could be taken, and the old one stays. A number out of its
   * bounds is moved into them.
   */
  take: (kept: Kept, text: string) => boolean;
}

/** No state needs more characters; further ones are not read. */
const LONGEST = 16_384;
const LONGEST_TEXT = 1000;
/** So much of a wrong value is shown. */
const SHOWN = 60;

export function keptOf(page: State, model: string | undefined): Kept {
  const own = Object.fromEntries(KEYS.map((key) => [key, page[key]])) as Pick<State, (typeof KEYS)[number]>;
  const texts = { ownText: page.calibrateText.own, ownTestText: page.compareText.own };
  return structuredClone({ ...own, ...texts, model, autorun: false });
}

/** What the page starts with: computed before anything can have changed it. */
const START = keptOf(state, undefined);

export function defaults(): Kept {
  return structuredClone(START);
}

/** A number, or undefined where the text is none. */
function number(text: string, { min, max }: Bounds): number | undefined {
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim())) return undefined;
  return Math.min(max, Math.max(min, Number(text)));
}

type Numbers<K extends string> = { [key in K]: number };

/** A number that is the property `key` of what `of` gives. */
function real<K extends string>(name: string, bounds: Bounds, of: (kept: Kept) => Numbers<K>, key: K, round = false): Field {
  return {
    name,
    read: (kept) => String(of(kept)[key]),
    take: (kept, text) => {
      const value = number(text, bounds);
      if (value === undefined) return false;
      of(kept)[key] = (round ? Math.round(value) : value) as Numbers<K>[K];
      return true;
    },
  };
}

const whole = <K extends string>(name: string, bounds: Bounds, of: (kept: Kept) => Numbers<K>, key: K): Field =>
  real(name, bounds, of, key, true);

/** One of several words. "" stands for "none of them", where that is a value. */
function word<V extends string | undefined>(
  name: string,
  words: readonly string[],
  get: (kept: Kept) => V,
  set: (kept: Kept, value: V) => void,
): Field {
  return {
    name,
    read: (kept) => get(kept) ?? "",
    take: (kept, text) => {
      if (!words.includes(text)) return false;
      set(kept, text as V);
      return true;
    },
  };
}

function flag(name: string, key: "measureAfter" | "autorun"): Field {
  return word(name, ["0", "1"], (kept) => (kept[key] ? "1" : "0"), (kept, value) => (kept[key] = value === "1"));
}

/** Only that it was another text than the built-in one can be kept. */
function ownText(name: string, key: "ownText" | "ownTestText"): Field {
  return word(name, ["built-in", "own"], (kept) => (kept[key] ? "own" : "built-in"), (kept, value) => (kept[key] = value === "own"));
}

const MODEL: Field = {
  name: "model",
  read: ({ model }) => model ?? "",
  take: (kept, text) => {
    const model = modelNamed(text);
    if (model !== undefined) kept.model = model;
    return model !== undefined;
  },
};

/** The methods are known when the engine runs; until then a name must only look like one. */
const METHOD: Field = {
  name: "method",
  read: ({ preset }) => preset || "own",
  take: (kept, text) => {
    if (!/^[a-z0-9-]{1,40}$/.test(text)) return false;
    kept.preset = text === "own" ? "" : text;
    return true;
  },
};

const ALPHA: Field = {
  name: "alpha",
  read: ({ alpha, alphaFixed }) => (alpha === "fixed" ? String(alphaFixed) : alpha),
  take: (kept, text) => {
    const fixed = number(text, BOUNDS.alpha);
    if (fixed !== undefined) {
      kept.alpha = "fixed";
      kept.alphaFixed = fixed;
    } else if (text !== "fixed" && Object.keys(T.merge.alphas).includes(text)) kept.alpha = text as Kept["alpha"];
    else return false;
    return true;
  },
};

const PROTECT: Field = word(
  "protect",
  ["both", "first", "last", "none"],
  ({ protect: { first, last } }) => (first ? (last ? "both" : "first") : last ? "last" : "none"),
  (kept, value) => {
    kept.protect = { first: value === "both" || value === "first", last: value === "both" || value === "last" };
  },
);

/** The boundaries that were picked, in order: 3 is the one between the layers 3 and 4. */
const PAIRS: Field = {
  name: "pairs",
  read: ({ picked }) => picked.join(","),
  take: (kept, text) => {
    const most = BOUNDS.remove.max;
    if (!/^\d+(,\d+)*$/.test(text)) return false;
    kept.picked = [...new Set(text.split(",").map(Number))].filter((boundary) => boundary < most).slice(0, most);
    return kept.picked.length > 0;
  },
};

const SIGMA: Field = {
  name: "sigma",
  read: ({ map }) => (map.sigma === undefined ? "" : String(map.sigma)),
  take: (kept, text) => {
    const sigma = number(text, BOUNDS.sigma);
    if (sigma !== undefined) kept.map.sigma = sigma;
    return sigma !== undefined;
  },
};

const PROMPT: Field = {
  name: "prompt",
  read: ({ write }) => write.prompt,
  take: (kept, text) => {
    kept.write.prompt = text.slice(0, LONGEST_TEXT);
    return true;
  },
};

/** What a named method sets; of one's own choice each is kept. */
const CHOICES: Field[] = [
  word("selection", Object.keys(T.merge.selections), ({ selection }) => selection, (kept, value) => (kept.selection = value)),
  word("combination", Object.keys(T.merge.combinations), ({ combination }) => combination, (kept, value) => (kept.combination = value)),
  ALPHA,
  word("norms", Object.keys(T.merge.normsOf), ({ norms }) => norms, (kept, value) => (kept.norms = value)),
  word("repair", Object.keys(T.merge.repairs), ({ repair }) => repair, (kept, value) => (kept.repair = value)),
  PAIRS,
];

const FIELDS: Field[] = [
  MODEL,
  ownText("text", "ownText"),
  whole("sequences", BOUNDS.sequences, ({ calibrate }) => calibrate, "sequences"),
  whole("window", BOUNDS.window, ({ calibrate }) => calibrate, "window"),
  whole("rows", BOUNDS.rows, ({ calibrate }) => calibrate, "rows"),
  whole("seed", BOUNDS.seed, ({ calibrate }) => calibrate, "seed"),
  whole("skip", BOUNDS.skip, ({ calibrate }) => calibrate, "skip"),
  word("measure", Object.keys(T.look.measures), ({ measure }) => measure, (kept, value) => (kept.measure = value)),
  whole("dimensions", BOUNDS.dimensions, ({ map }) => map, "dimensions"),
  SIGMA,
  real("power", BOUNDS.power, ({ map }) => map, "power"),
  whole("draws", BOUNDS.seeds, (kept) => kept, "seeds"),
  whole("layer", BOUNDS.layer, ({ manifold }) => manifold, "layer"),
  word("colours", Object.keys(T.manifold.colours), ({ manifold }) => manifold.colouring, ({ manifold }, value) => (manifold.colouring = value)),
  word("aligned", ["2", "3"], ({ manifold }) => String(manifold.coordinates) as "2" | "3", ({ manifold }, value) => (manifold.coordinates = value === "2" ? 2 : 3)),
  METHOD,
  ...CHOICES,
  whole("remove", BOUNDS.remove, (kept) => kept, "remove"),
  PROTECT,
  flag("cost", "measureAfter"),
  ownText("test-text", "ownTestText"),
  whole("test-sequences", BOUNDS.testSequences, ({ compare }) => compare, "sequences"),
  whole("test-window", BOUNDS.testWindow, ({ compare }) => compare, "window"),
  PROMPT,
  whole("tokens", BOUNDS.tokens, ({ write }) => write, "tokens"),
  real("temperature", BOUNDS.temperature, ({ write }) => write, "temperature"),
  whole("write-seed", BOUNDS.writeSeed, ({ write }) => write, "seed"),
  word("at", PARTS, ({ part }) => part, (kept, value) => (kept.part = value)),
  word("tour", STEPS, ({ tour }) => tour, (kept, value) => (kept.tour = value)),
  word("theme", Object.keys(T.theme.themes), ({ theme }) => theme, (kept, value) => (kept.theme = value)),
  flag("autorun", "autorun"),
];
const BY_NAME = new Map(FIELDS.map((field) => [field.name, field]));

/** What differs from `start`, as `name=value&…`. */
export function format(kept: Kept, start: Kept = START): string {
  const own = kept.preset === "";
  const fields = FIELDS.filter((field) => own || !CHOICES.includes(field));
  const pairs = fields.map((field) => [field.name, field.read(kept), field.read(start)] as const);
  const query = new URLSearchParams(pairs.filter(([, now, before]) => now !== before).map(([name, now]) => [name, now]));
  // What people read in an address: characters that need no escape there are not escaped.
  return query.toString().replace(/%(2C|2F|3A|40)/g, decodeURIComponent);
}

/**
 * The values of an address, `name=value&…`; all others are as in `start`. Later values of one name
 * are not read.
 */
export function parse(text: string, start: Kept = START): Parsed {
  const kept = structuredClone(start);
  const named = new Set<string>();
  const corrections: Correction[] = [];
  const correct = (name: string, given: string, taken?: string): void => {
    corrections.push({ name: shown(name), given: shown(given), taken: taken === undefined ? undefined : shown(taken) });
  };
  const query = new URLSearchParams(text.slice(0, LONGEST));
  const method = query.get("method") ?? (CHOICES.some(({ name }) => query.has(name)) ? "own" : undefined);
  if (method !== undefined) query.set("method", method);
  for (const [name, given] of query) {
    const field = BY_NAME.get(name);
    const settled = field && CHOICES.includes(field) && method !== "own";
    if (!field || named.has(name) || settled || !field.take(kept, given)) correct(name, given);
    else if (!same(field.read(kept), given)) correct(name, given, field.read(kept));
    if (field) named.add(name);
  }
  together(kept, correct);
  if (text.length > LONGEST) correct("…", text.slice(LONGEST));
  return { kept, named, corrections };
}

/** Corrects values that do not go together. */
function together({ calibrate, ownText }: Kept, correct: (name: string, given: string, taken: string) => void): void {
  const least = (name: "sequences" | "skip", most: number): void => {
    const given = calibrate[name];
    if (given <= most) return;
    calibrate[name] = most;
    correct(name, String(given), String(most));
  };
  least("skip", calibrate.window - 1);
  if (!ownText) least("sequences", Math.floor(BUILT_IN_TOKENS / calibrate.window));
}

/** Two spellings of one number are the same, and of one folder. */
function same(taken: string, given: string): boolean {
  return taken === given || taken === `${given}/` || (taken !== "" && given.trim() !== "" && Number(taken) === Number(given));
}

function shown(text: string): string {
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}

/**
 * A model's name as an address may have it: undefined where nothing could be opened by it. A name
 * on the hub begins with hub:, also where that was left out.
 * Passwords and what is after a ? are left out.
 */
export function modelNamed(text: string): string | undefined {
  if (text === "" || text.length > LONGEST_TEXT) return undefined;
  if (T.load.models.some(({ id }) => id === text)) return text;
  if (isHubName(text)) return modelNamed(`hub:${text}`);
  if (/^hub:[\w.-]+\/[\w.-]+(@[\w./-]+)?$/.test(text)) return text;
  if (/^(?!\/\/)[\w.~%/-]+$/.test(text)) return text; // a folder on this server
  try {
    const url = new URL(text);
    if (url.protocol !== "https:" && url.protocol !== "http:") return undefined;
    url.username = "";
    url.password = "";
    url.search = "";
    url.hash = "";
    return url.href;
  } catch {
    return undefined;
  }
}
