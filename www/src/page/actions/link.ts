/**
 * The address of the page: it follows the state, and sets it when the page is opened or the user
 * goes back. The state is after the #, so that no server receives it; what is after a ? is read
 * too.
 */
import { defaults, format, type Kept, KEYS, keptOf, parse, type Parsed } from "../state/address";
import { loadExample } from "./example";
import { forecast } from "./forecast";
import { choosePreset, closeModel, openBuiltIn, openModel, suggested, suggestedFor } from "./load";
import { chooseMeasure, remapSoon } from "./measure";
import { merge } from "./merge";
import { EXAMPLE_MODEL } from "../run/file";
import { isPart } from "../state/part";
import { state, update } from "../state/state";
import { isBuiltIn, lastName, openAddress } from "../state/where";
import { setTheme } from "./theme";
import { unfolded } from "./unfold";

/** Browsers let an address change a hundred times in half a minute; a slider changes more often. */
const WRITE_EVERY = 300;

/** The address, as it was read or written last. */
let current = "";
/** The address is setting the state: until that is done, it does not follow. */
let taking = 0;
let timer: number | undefined;
/** The next change is a new entry of the history. */
let visiting = false;
/** Model and step of the tour in the address: another one is a new entry of the history. */
let place = "";
/** Named models that the user has agreed to open: they are opened again without asking. */
const agreed = new Set<string>();

/** Opens the state that the address keeps, and follows it from then on. */
export async function openLink(): Promise<void> {
  addEventListener("popstate", () => void take(read(), false));
  await take(read(), true);
}

/** Called after each change of the state. */
export function followState(): void {
  if (taking > 0 || timer !== undefined) return;
  if (stateText() === current && !visiting) return;
  const push = visiting || placeOf() !== place;
  timer = window.setTimeout(write, push ? 0 : WRITE_EVERY);
}

/** Makes the next change of the state a new entry of the history. */
export function visit(): void {
  visiting = true;
}

/** The address of this state, for others. */
export function link(autorun: boolean): string {
  return `${base()}#${stateText(autorun)}`;
}

/** The user agrees to open the model that the address names. */
export async function openWanted(): Promise<void> {
  const { wanted } = state;
  if (wanted === undefined) return;
  agreed.add(wanted);
  await take(stateText(), false);
}

function base(): string {
  return location.origin + location.pathname;
}

/** What the address has after ? and #; a # with one word is the name of a part. */
function read(): string {
  const hash = location.hash.slice(1);
  const kept = hash.includes("=") ? hash : isPart(hash) ? `at=${hash}` : "";
  return [location.search.slice(1), kept].filter(Boolean).join("&");
}

/** What the page starts with, with what opening the model sets. */
function start(values = suggested()): Kept {
  const kept = defaults();
  if (!values) return kept;
  kept.remove = values.remove;
  kept.calibrate.window = values.window;
  kept.compare.window = values.window;
  return kept;
}

function stateText(autorun = false): string {
  const model = openAddress() ?? state.wanted ?? state.linked;
  return format({ ...keptOf(state, model), autorun }, start());
}

function placeOf(): string {
  return JSON.stringify([openAddress(), state.tour]);
}

function write(): void {
  timer = undefined;
  if (taking > 0) return;
  const text = stateText();
  const push = visiting || placeOf() !== place;
  visiting = false;
  place = placeOf();
  if (text === current && !push) return;
  current = text;
  history[push ? "pushState" : "replaceState"](null, "", text ? `${base()}#${text}` : base());
}

async function take(text: string, first: boolean): Promise<void> {
  taking += 1;
  try {
    const parsed = parse(text);
    const { model, part, tour, autorun, ownText, ownTestText } = parsed.kept;
    if (first) {
      state.corrections = parsed.corrections;
      state.textMissing = ownText || ownTestText;
    }
    // Of what opening a model sets, an address has only what is different.
    const settle = (): void => apply(parse(text, start()));
    if (model !== undefined && model === openAddress()) settle();
    else apply(parsed);
    if (first && !autorun && (await isFinishedRun(text))) state.linked = model;
    const open = state.linked === undefined && (await openNamed(model, settle));
    if (!first) return;
    // Notices above the panels come first.
    const noticed = state.wanted !== undefined || state.textMissing || state.corrections.length > 0;
    if (part && !tour && !noticed) await unfolded.then(() => document.getElementById(part)?.scrollIntoView());
    const complete = open && isBuiltIn(model) && !ownText && !ownTestText;
    if (autorun && complete) return await merge();
    state.offered = complete;
    // A wrong guess is better than none, and none is no failure.
    if (complete) await forecast();
  } finally {
    taking -= 1;
    place = placeOf();
    current = ""; // written anew, in the page's own spelling
    update();
  }
}

/** Whether what an address is about is the precomputed run: that is on the screen already. */
async function isFinishedRun(text: string): Promise<boolean> {
  if (!/(^|&)model=/.test(text)) return false;
  await loadExample();
  const { settings, results } = state.example ?? {};
  if (!settings || !results?.summary) return false;
  const { kept } = parse(text, start(suggestedFor(results.summary)));
  const { calibrate, map, preset, remove, compare, write } = settings;
  const wanted = { calibrate, map, preset, remove, compare, write };
  const given: typeof wanted = { calibrate: kept.calibrate, map: kept.map, preset: kept.preset, remove: kept.remove, compare: kept.compare, write: kept.write };
  const same = format({ ...kept, ...structuredClone(wanted) }) === format({ ...kept, ...given });
  const { protect, ownText, ownTestText } = kept;
  // More draws than asked for are more exact.
  return kept.model === EXAMPLE_MODEL && same && kept.seeds <= settings.seeds && protect.first && protect.last && !ownText && !ownTestText;
}

/** Opens what an address names where that is allowed; true if it is open then. */
async function openNamed(model: string | undefined, opened: () => void): Promise<boolean> {
  const has = openAddress();
  state.wanted = undefined;
  if (model === undefined) {
    if (has !== undefined) closeModel();
    state.linked = undefined;
    return false;
  }
  if (model === has) return true;
  if (isBuiltIn(model)) await openBuiltIn(model, opened);
  else if (agreed.has(model)) await openModel(model, lastName(model), undefined, opened);
  else state.wanted = model;
  return openAddress() === model;
}

function apply({ kept, named }: Parsed): void {
  const { theme, ...rest } = Object.fromEntries(KEYS.map((key) => [key, kept[key]])) as Pick<Kept, (typeof KEYS)[number]>;
  const mapChanged = JSON.stringify(rest.map) !== JSON.stringify(state.map);
  Object.assign(state, rest);
  state.calibrateText.own = kept.ownText;
  state.compareText.own = kept.ownTestText;
  if (named.has("theme")) setTheme(theme, false);
  if (state.lab) choosePreset(state.preset);
  const { model } = state;
  if (model) state.picked = state.picked.filter((boundary) => boundary < model.summary.layers - 1);
  update();
  if (!state.calibration) return;
  if (mapChanged) remapSoon();
  else void chooseMeasure(state.measure);
}
