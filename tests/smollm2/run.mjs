// Runs the built site on a real model in Chromium, on the CPU engine, through nothing but mka.js:
// opens it by URL and from files, evaluates, generates, merges and exports.
//
//     node run.mjs MODEL TEXTS OUT
//
// OUT receives the merged model's folder, `merged`, and report.json with every figure. www/dist has
// to be built. MKA_CHROMIUM names the browser where it is not /usr/bin/chromium.
import assert from "node:assert/strict";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { DIST, launch } from "../browser/chromium.mjs";
import { serve } from "../browser/server.mjs";

const WINDOWS = { window: 512, sequences: 4 };
const TOKENS = 50;
const MERGE = { remove: 3, selection: "window", combination: "average", alpha: "similarity" };
const WASM_PEAK = 160e6;
// What transformers measures on the folder that convert.py writes (float32, the same windows), and
// how near is near enough.
const EXPECTED = { "wikitext2-test": [25.488, 0.05], tinyshakespeare: [45.274, 0.1] };

const [model, textFolder, out] = process.argv.slice(2);
if (!out) {
  console.error("usage: node run.mjs MODEL TEXTS OUT");
  process.exit(2);
}

const texts = {};
for (const name of Object.keys(EXPECTED)) texts[name] = await readFile(join(textFolder, `${name}.txt`), "utf8");
const exported = join(out, "merged");
await rm(exported, { recursive: true, force: true });
await mkdir(exported, { recursive: true });
const server = await serve({ "/": fileURLToPath(new URL(".", import.meta.url)), "/site/": DIST, "/model/": model });
const browser = await launch();
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(0); // a slow machine is no failure
  page.on("console", (message) => console.log(`  page: ${message.text()}`));
  page.on("pageerror", (error) => console.log(`  page: ${error.stack ?? error}`));
  const saved = [];
  page.on("download", (download) => saved.push(download.saveAs(join(exported, download.suggestedFilename()))));
  await page.goto(server.url("/page.html"));
  const byUrl = await page.evaluate(drive, { texts, WINDOWS, TOKENS, MERGE });
  while (saved.length < byUrl.merged.files.length) await page.waitForEvent("download");
  await Promise.all(saved);

  await page.reload(); // a new lab with memory of its own
  const names = await readdir(model);
  await page.setInputFiles("input", names.map((name) => join(model, name)));
  const fromFiles = await page.evaluate(driveFiles, { text: texts["wikitext2-test"], WINDOWS });

  const report = { byUrl, fromFiles };
  await writeFile(join(out, "report.json"), JSON.stringify(report, null, 2));
  console.log(JSON.stringify(report, null, 2));
  check(report);
  console.log("all as expected");
} finally {
  await browser.close();
  await server.close();
}

function check({ byUrl, fromFiles }) {
  assert.equal(byUrl.backend, "cpu");
  assert.equal(byUrl.summary.layers, 30);
  for (const [name, [expected, within]] of Object.entries(EXPECTED)) {
    const { perplexity, tokens } = byUrl.dense[name];
    assert.equal(tokens, WINDOWS.sequences * (WINDOWS.window - 1));
    assert.ok(Math.abs(perplexity - expected) <= within, `${name}: perplexity ${perplexity}, expected ${expected} +- ${within}`);
  }
  assert.equal(fromFiles.dense.perplexity, byUrl.dense["wikitext2-test"].perplexity, "a file gives what a URL gives");
  assert.equal(byUrl.generated.length, TOKENS);
  assert.equal(byUrl.merged.layers, 30 - MERGE.remove);
  for (const [name, comparison] of Object.entries(byUrl.merged.evaluation)) {
    assert.ok(Math.abs(comparison.dense.perplexity / byUrl.dense[name].perplexity - 1) < 1e-6, `${name}: the dense side is the dense model`);
  }
  for (const { wasmPeak } of [...byUrl.memory, ...fromFiles.memory].map((entry) => entry.memory)) {
    assert.ok(wasmPeak <= WASM_PEAK, `wasm memory peaked at ${wasmPeak} bytes; ${WASM_PEAK} are allowed`);
  }
}

/** In the page: the whole run, on the model's URL. */
async function drive({ texts, WINDOWS, TOKENS, MERGE }) {
  const { Lab } = await import(`${location.origin}/site/mka.js`);
  const lab = await Lab.create({ backend: "cpu" });
  const memory = [];
  const step = async (name, action) => {
    const start = performance.now();
    const result = await action();
    memory.push({ name, seconds: (performance.now() - start) / 1000, memory: await lab.memory() });
    console.log(`${name}: ${memory.at(-1).seconds.toFixed(1)} s, wasm peak ${memory.at(-1).memory.wasmPeak}`);
    return result;
  };

  const model = await step("open by URL", () => lab.open(`${location.origin}/model/`));
  const dense = {};
  for (const [name, text] of Object.entries(texts)) {
    dense[name] = await step(`evaluate ${name}`, () => model.evaluate({ text, ...WINDOWS }));
  }
  const prompt = "Once upon a time, in a small village by the sea, there lived";
  const generate = async (source) => {
    const tokens = [];
    for await (const token of source.generate({ prompt, tokens: TOKENS, temperature: 0, seed: 1 })) tokens.push(token);
    return tokens;
  };
  const generated = await step("generate", () => generate(model));
  const calibration = await step("calibrate", () => model.calibrate({ sequences: 16, window: 256, rows: 512, seed: 1 }));
  const merged = await step("merge", () => model.merge({ calibration, ...MERGE }));
  const evaluation = {};
  for (const [name, text] of Object.entries(texts)) {
    evaluation[name] = await step(`evaluate merged ${name}`, () => merged.evaluate({ text, ...WINDOWS }));
  }
  const generatedMerged = await step("generate merged", () => generate(merged));
  const files = await step("files", () => merged.files());
  for (const { name, blob } of files) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
  }
  return {
    backend: lab.backend,
    adapter: lab.adapter,
    summary: { ...model.summary, tensors: undefined },
    dense,
    generated,
    text: generated.map((token) => token.text).join(""),
    merged: {
      layers: merged.summary.layers,
      bytes: merged.summary.bytes,
      recipe: merged.recipe,
      evaluation,
      text: generatedMerged.map((token) => token.text).join(""),
      files: files.map(({ name, blob }) => [name, blob.size]),
    },
    memory,
  };
}

/** In the page: the same model from an <input type="file">. */
async function driveFiles({ text, WINDOWS }) {
  const { Lab } = await import(`${location.origin}/site/mka.js`);
  const lab = await Lab.create({ backend: "cpu" });
  const model = await lab.open(document.querySelector("input").files);
  const dense = await model.evaluate({ text, ...WINDOWS });
  const report = { dense, memory: [{ name: "evaluate files", memory: await lab.memory() }] };
  lab.close();
  return report;
}
