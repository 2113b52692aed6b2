// The most memory that the page's process and its wasm take, against the size of the model: each
// model is opened, calibrated on 2 x 32 tokens, one pair merged and measured beside the original,
// in a browser of its own. Writes docs/data/memory.csv, and from it what docs/memory.md shows.
//
//     node memory.mjs
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DIST, launch } from "./chromium.mjs";
import { interfacePage, PAGES } from "./helpers.mjs";
import { SHAPES, writeModel } from "./large.mjs";
import { choose, watchRenderers } from "./renderer.mjs";
import { serve } from "./server.mjs";

const all = (layers) => Array.from({ length: layers }, (_, l) => l);
/** Name, and how its files are made: all blocks real where a disk has room, a few otherwise. */
const MODELS = [
  ["stories260K", () => ["config.json", "model.safetensors"].map((name) => join(DIST, "models/stories260k", name))],
  ["SmolLM2-135M's shape", (folder) => writeModel(folder, SHAPES["135m"], { real: all(30) }).files],
  ["Llama-3.2-1B's shape", (folder) => writeModel(folder, SHAPES["1b"], { real: all(16) }).files],
  ["Llama-3-8B's shape", (folder) => writeModel(folder, SHAPES["8b"], { real: [2, 3, 8, 9] }).files],
];

const server = await serve({ "/app/": DIST, "/pages/": PAGES });
const rows = [];
for (const [name, make] of MODELS) {
  const folder = mkdtempSync(join(tmpdir(), "mka-memory-"));
  const browser = await launch();
  try {
    const { page } = await interfacePage(browser, server);
    page.setDefaultTimeout(0);
    const memory = await watchRenderers(browser);
    const input = await choose(page, make(folder));
    const figures = await input.evaluate(run);
    rows.push({ name, renderer: memory.peak(), ...figures });
    console.log(line(rows.at(-1)));
  } finally {
    await browser.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
await server.close();
const version = JSON.parse(readFileSync(new URL("../../www/package.json", import.meta.url), "utf8")).version;
const made = `version ${version}, ${cpus().length} cores (${cpus()[0]?.model.trim()}), ${new Date().toISOString().slice(0, 10)}`;
const megabytes = (bytes) => (bytes ? Number((bytes / 1e6).toPrecision(bytes < 1e7 ? 2 : 4)) : "");
const figures = rows.map(({ name, bytes, renderer, wasm, outside, seconds }) =>
  [name, ...[bytes, renderer, wasm, outside].map(megabytes), seconds.toFixed(0), `"${made}"`].join(","));
const head = "model,weights_mb,process_mb,wasm_mb,outside_mb,seconds,made";
writeFileSync(new URL("../../docs/data/memory.csv", import.meta.url), [head, ...figures, ""].join("\n"));
execFileSync(process.execPath, [fileURLToPath(new URL("../../xtask/book/charts.mjs", import.meta.url))], { stdio: "inherit" });

function line({ name, bytes, renderer, wasm, outside, seconds }) {
  return `| ${name} | ${size(bytes)} | ${renderer ? size(renderer) : "unknown"} | ${size(wasm)} | ${size(outside)} | ${seconds.toFixed(0)} |`;
}

function size(bytes) {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** Runs in the page. */
async function run(input) {
  const lab = await window.mka.Lab.create({ backend: "cpu" });
  const model = await lab.open(input.files);
  const ids = (k) => Uint32Array.from({ length: 64 }, (_, i) => (i * 197 + k) % Math.min(2048, model.summary.vocabulary));
  const begun = performance.now();
  const calibration = await model.calibrate({ ids: ids(0), sequences: 2, window: 32, rows: "all" });
  const merged = await model.merge({ calibration, selection: "manual", pairs: [[2, 3]], combination: "average", alpha: 0.5 });
  await merged.evaluate({ ids: ids(1), sequences: 2, window: 32 });
  await merged.files();
  const { wasmPeak, devicePeak } = lab.memory();
  return { bytes: model.summary.bytes, wasm: wasmPeak, outside: devicePeak, seconds: (performance.now() - begun) / 1000 };
}
