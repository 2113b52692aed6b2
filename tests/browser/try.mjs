// Opens folders in the built page's interface and prints what comes of each: the loss over the
// first 64 ids of a text, or the refusal. `cargo xtask try` calls it; by hand:
//
//     node tests/browser/try.mjs [--engine cpu | webgpu | both] [--text FILE] FOLDER...
//
// A folder without a model of its own stands for the folders in it. Where a folder has an
// expect.json or a reference.json, as those of the tests have, what it says is compared, and the
// program fails where it differs.
import { readdir, readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { DIST, launch } from "./chromium.mjs";
import { bundled, interfacePage, PAGES } from "./helpers.mjs";
import { serve } from "./server.mjs";

const IDS = 64;
/** How far a loss may be from what is expected, as a share of it. */
const ALLOWED = { cpu: 1e-4, webgpu: 1e-3 };
const TEXT = join(DIST, "texts/fables.txt");
const USAGE = "cargo xtask try [--engine cpu | webgpu | both] [--text FILE] FOLDER...";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { engine: { type: "string", default: "cpu" }, text: { type: "string" } },
});
const engines = options.engine === "both" ? Object.keys(ALLOWED) : [options.engine];
if (positionals.length === 0 || !engines.every((engine) => engine in ALLOWED)) {
  console.error(USAGE);
  process.exit(2);
}

/** The folders with something to open at `path`: itself, or those in it. */
async function foldersAt(path) {
  const entries = await readdir(path, { withFileTypes: true });
  const own = entries.some(({ name }) => /config\.json$|^expect\.json$|\.index\.json$|^model.*\.safetensors$/.test(name));
  const inside = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(path, name));
  return own || inside.length === 0 ? [path] : inside.sort();
}

const json = (path) => readFile(path, "utf8").then(JSON.parse, () => undefined);

/** What should come of a folder, where it says so, and what to measure on. */
async function wanted(folder) {
  const [expected, reference] = [await json(join(folder, "expect.json")), await json(join(folder, "reference.json"))];
  const own = options.text && (await readFile(options.text, "utf8"));
  if (own || !(expected ?? reference)) return { text: own || (await readFile(TEXT, "utf8")) };
  if (!expected) return { ids: reference.input_ids, loss: reference.loss, outcome: "loads" };
  const { text, repeat = 1, characters = Infinity, loss, mustMention = [], kind } = expected;
  return { text: Array.from(text.repeat(repeat)).slice(0, characters).join(""), loss, mustMention, kind, outcome: expected.expect };
}

/** In the page: the loss, or how it was refused. */
async function measured({ text, ids, most }) {
  const refusal = ({ name, code, message, hint }) => ({ refused: { code: code ?? name, message, hint } });
  let model;
  try {
    model = await window.lab.open(document.querySelector("#folder").files);
  } catch (error) {
    return refusal(error);
  }
  const once = (input, window) => model.evaluate({ ...input, window, sequences: 1 });
  const fewer = async (error) => {
    if (error.code !== "bad-argument") throw error;
    const { ids } = await model.logits({ text });
    return once({ ids: Array.from(ids) }, ids.length);
  };
  try {
    const { nll, tokens } = await (ids ? once({ ids }, ids.length) : once({ text }, most).catch(fewer));
    return { loss: nll, tokens: tokens + 1, warnings: model.summary.warnings };
  } catch (error) {
    return { opened: true, ...refusal(error) };
  } finally {
    await model.close();
  }
}

/** What is not as it should be; nothing where all is, or where nobody said how it should be. */
function fault(want, found, engine) {
  if (!want.outcome) return undefined;
  if (found.refused) {
    if (want.outcome === "loads") return `expected a loss of ${want.loss}`;
    const said = `${found.refused.message} ${found.refused.hint}`;
    const silent = want.mustMention.find((word) => !new RegExp(word, "i").test(said));
    return silent && `the refusal does not mention ${silent}`;
  }
  if (want.outcome === "rejects") return "expected a refusal";
  const off = Math.abs(found.loss / want.loss - 1);
  return off <= ALLOWED[engine] ? undefined : `expected a loss of ${want.loss}`;
}

const one = (text) => String(text).replace(/\s+/g, " ");
const folders = (await Promise.all(positionals.map((path) => foldersAt(resolve(path))))).flat();
const width = Math.max(...folders.map((folder) => basename(folder).length));
const server = await serve({ "/app/": DIST, "/pages/": PAGES });
const browser = await launch();
let faults = 0;
const { decoded } = await bundled("src/ui/encoding.ts");
for (const engine of engines) {
  const { page } = await interfacePage(browser, server);
  await page.evaluate(async (backend) => {
    window.lab = await window.mka.Lab.create({ backend });
    document.body.innerHTML = '<input type="file" id="folder" webkitdirectory>';
  }, engine);
  for (const folder of folders) {
    const want = await wanted(folder);
    const line = (words) => console.log(`${basename(folder).padEnd(width)}  ${engine.padEnd(6)}  ${words}`);
    if (want.kind === "page") {
      const text = decoded(await readFile(join(folder, "text.txt")), "text.txt");
      const wrong = !text.startsWith(want.text);
      faults += wrong;
      line(`a text for the page: ${JSON.stringify(text.slice(0, 40))}${wrong ? `  WRONG: expected ${JSON.stringify(want.text)}` : ""}`);
      continue;
    }
    await page.setInputFiles("#folder", folder);
    const found = await page.evaluate(measured, { text: want.text, ids: want.ids, most: IDS });
    const wrong = fault(want, found, engine);
    faults += wrong !== undefined;
    const words = found.refused
      ? `${found.opened ? "opened, but " : ""}refused, ${found.refused.code}: ${one(found.refused.message)} | ${one(found.refused.hint)}`
      : `loss ${found.loss.toFixed(6)} over ${found.tokens} ids${want.outcome && !wrong ? `, expected ${want.loss.toFixed(6)}` : ""}`;
    line(words + (wrong ? `  WRONG: ${wrong}` : ""));
    for (const warning of found.warnings ?? []) line(`  ${one(warning)}`);
  }
  await page.close();
}
await browser.close();
await server.close();
console.log(`${folders.length} folders${faults ? `, ${faults} not as expected` : ""}`);
process.exitCode = faults ? 1 : 0;
