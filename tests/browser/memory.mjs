// The most memory that the page's process and its wasm take, against the size of the model: each model is opened, calibrated on 2 x 32
// tokens, one pair merged and measured beside the original, in a browser of its own. Writes docs/memory.md and docs/memory.svg.
//
//     node memory.mjs
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DIST, launch } from "./chromium.mjs";
import { interfacePage, PAGES } from "./helpers.mjs";
import { SHAPES, writeModel } from "./large.mjs";
import { choose, watchRenderers } from "./renderer.mjs";
import { serve } from "./server.mjs";

const DOCS = fileURLToPath(new URL("../../docs/", import.meta.url));
const all = (layers) => Array.from({ length: layers }, (_, l) => l);
/** Name, and how its files come about: all blocks real where they fit a disk well, a few otherwise. */
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
writeFileSync(join(DOCS, "memory.svg"), picture(rows));
writeFileSync(join(DOCS, "memory.md"), `# Memory against the size of the model

Each model was opened, calibrated on 2 × 32 tokens, one pair of layers averaged, and the result measured beside the original, in a browser of
its own on the CPU engine. The page's process is its largest resident set as Linux counts it; a bare page takes about 0.15 GB of it.
The blocks of the 8B shape are zeros but for four. Made by \`cargo xtask bench\` with version ${version} on ${cpus().length} cores (${cpus()[0]?.model.trim()}),
${new Date().toISOString().slice(0, 10)}.

| model | weights | page's process | WebAssembly | weights and states outside of it | seconds |
|---|---|---|---|---|---|
${rows.map(line).join("\n")}

![Peak memory against bytes of weights, both axes logarithmic: the process grows with the model until the budget for weights is full, then stays.](memory.svg)
`);

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

/** Two lines over logarithmic axes. */
function picture(rows) {
  const [width, height, left, bottom] = [640, 320, 70, 40];
  const scale = (value, [from, to], [start, end]) => start + ((Math.log10(value) - from) / (to - from)) * (end - start);
  const x = (bytes) => scale(bytes, [6, 10.5], [left, width - 20]);
  const y = (bytes) => scale(bytes, [7, 10], [height - bottom, 20]);
  const ticks = (powers, draw) => powers.map((power) => draw(10 ** power, size(10 ** power))).join("");
  const axis =
    ticks([6, 7, 8, 9, 10], (v, label) => `<text x="${x(v)}" y="${height - 15}" text-anchor="middle">${label}</text>`) +
    ticks([7, 8, 9, 10], (v, label) =>
      `<path d="M${left} ${y(v)}H${width - 20}" stroke="#8884"/><text x="${left - 8}" y="${y(v) + 4}" text-anchor="end">${label}</text>`);
  const curve = (key, colour, name) => {
    const points = rows.filter((row) => row[key]).map((row) => [x(row.bytes), y(row[key])]);
    const dots = points.map(([a, b]) => `<circle cx="${a.toFixed(1)}" cy="${b.toFixed(1)}" r="4" fill="${colour}"/>`).join("");
    const [endX, endY] = points.at(-1);
    return `<polyline points="${points.map((p) => p.map((v) => v.toFixed(1)).join(",")).join(" ")}" fill="none" stroke="${colour}" stroke-width="2"/>${dots}` +
      `<text x="${endX}" y="${endY - 12}" text-anchor="end" fill="${colour}">${name}</text>`;
  };
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="13" fill="#777">
<title>Peak memory against bytes of weights</title>
${axis}
<path d="M${x(1e6)} ${y(1.5e9)}H${width - 20}" stroke="#c33" stroke-dasharray="4 4"/><text x="${left + 6}" y="${y(1.5e9) - 6}" fill="#c33">1.5 GB</text>
${curve("renderer", "#3b6fb6", "page's process")}
${curve("wasm", "#b5651d", "WebAssembly")}
</svg>
`;
}
