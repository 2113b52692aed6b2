// A checkpoint of the shape and size of Llama-3-8B in a page: 16 GB in four shards, of which four
// blocks are real and the rest are holes.
import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { interfacePage, PAGES } from "./helpers.mjs";
import { SHAPES, writeModel } from "./large.mjs";
import { choose, watchRenderers } from "./renderer.mjs";
import { serve } from "./server.mjs";

const REAL = [8, 9, 20, 21];
const GIB = 2 ** 30;
let folder;
let server;
let browser;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "mka-large-"));
  server = await serve({ "/app/": DIST, "/pages/": PAGES });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.close();
  rmSync(folder, { recursive: true, force: true });
});

test("a model of 8 billion parameters is calibrated, merged and offered in a page of less than 1.5 GB", async (t) => {
  const large = writeModel(join(folder, "large"), SHAPES["8b"], { real: REAL });
  // The same real blocks without the holes between them.
  const small = writeModel(join(folder, "small"), SHAPES["8b"], { real: REAL, layers: 4, source: (l) => REAL[l] });
  assert.ok(large.places["model.layers.8.mlp.up_proj.weight"].offset > 4 * GIB, "a real block lies beyond 4 GiB");

  const { page, problems } = await interfacePage(browser, server);
  page.setDefaultTimeout(0);
  const memory = await watchRenderers(browser);
  const run = async (files, what) => {
    const input = await choose(page, files);
    return input.evaluate(async (input, what) => {
      const timed = async (work) => {
        const begun = performance.now();
        const made = await work();
        return [made, (performance.now() - begun) / 1000];
      };
      const lab = await window.mka.Lab.create({ backend: "cpu" });
      const model = await lab.open(input.files);
      const estimate = await model.estimate({ sequences: 2, window: 32, rows: 48 });
      const ids = Uint32Array.from({ length: 64 }, (_, i) => (i * 197) % 2048);
      const [calibration, calibrateSeconds] = await timed(() => model.calibrate({ ids, sequences: 2, window: 32, rows: "all" }));
      const layers = calibration.info.layers;
      const found = {
        summary: model.summary, estimate, calibrateSeconds, warnings: calibration.info.warnings,
        states: Array.from((await calibration.hidden(layers)).values),
      };
      if (what === "merge") {
        const pairs = [[8, 9], [20, 21]];
        const [merged, mergeSeconds] = await timed(() =>
          model.merge({ calibration, selection: "manual", pairs, combination: "average", alpha: 0.5 }));
        const files = await merged.files();
        const index = JSON.parse(await files.find(({ name }) => name.endsWith(".index.json")).blob.text());
        const name = "model.layers.29.mlp.down_proj.weight";
        const { blob } = files.find((file) => file.name === index.weight_map[name]);
        const length = Number(new DataView(await blob.slice(0, 8).arrayBuffer()).getBigUint64(0, true));
        const header = JSON.parse(await blob.slice(8, 8 + length).text());
        const norm = "model.norm.weight";
        const last = files.find((file) => file.name === index.weight_map[norm]);
        const lastLength = Number(new DataView(await last.blob.slice(0, 8).arrayBuffer()).getBigUint64(0, true));
        const place = JSON.parse(await last.blob.slice(8, 8 + lastLength).text())[norm].data_offsets[0] + 8 + lastLength;
        Object.assign(found, {
          mergeSeconds,
          proof: merged.summary.tensors.map(({ name, parents }) => [name, parents.map(({ distance }) => distance)]),
          files: files.map(({ name, blob }) => [name, blob.size]),
          tensors: Object.keys(index.weight_map).length,
          place: header[name].data_offsets,
          norm: [...new Uint8Array(await last.blob.slice(place, place + 16).arrayBuffer())],
        });
      }
      const { wasmPeak, devicePeak } = lab.memory();
      lab.close();
      return { ...found, wasmPeak, devicePeak };
    }, what);
  };

  const part = await run(small.files, "");
  const whole = await run(large.files, "merge");
  const peak = memory.peak();
  const gb = (bytes) => `${(bytes / 1e9).toFixed(2)} GB`;
  t.diagnostic(`calibration ${whole.calibrateSeconds.toFixed(0)} s, expected ${whole.estimate.calibrateSeconds.toFixed(0)} s; ` +
    `two merges ${whole.mergeSeconds.toFixed(0)} s, expected ${(2 * whole.estimate.mergeSeconds).toFixed(0)} s`);
  t.diagnostic(`renderer ${peak ? gb(peak) : "unknown"}, wasm ${gb(whole.wasmPeak)}, outside of it ${gb(whole.devicePeak)}, expected ${gb(whole.estimate.peakBytes)} in all`);

  assert.deepEqual(problems, []);
  assert.equal(whole.summary.layers, 32);
  assert.equal(whole.summary.parameters, 8_030_261_248);
  assert.match(whole.warnings.join(), /weights of these blocks are zero: 0, 1,/);
  // Holes pass the stream on, so what comes out is what the real blocks alone make: each was read
  // from its place.
  assert.deepEqual(whole.states, part.states);
  assert.ok(part.states.some((value) => value !== 0));

  if (peak) assert.ok(peak < 1.5e9, `the page's process took ${gb(peak)}`);
  assert.ok(whole.wasmPeak < 600e6, `wasm took ${gb(whole.wasmPeak)}`);
  if (peak) assert.ok(whole.estimate.peakBytes > peak / 2 && whole.estimate.peakBytes < peak * 2, `expected ${gb(whole.estimate.peakBytes)}, took ${gb(peak)}`);

  // 30 blocks of nine tensors, embedding, norm and head; no shard of more than 4 GB.
  assert.equal(whole.tensors, 30 * 9 + 3);
  const shards = whole.files.filter(([name]) => name.endsWith(".safetensors"));
  assert.ok(shards.length >= 4, JSON.stringify(whole.files));
  for (const [name, bytes] of shards) assert.ok(bytes <= 4_000_100_000, `${name}: ${bytes}`);
  assert.equal(shards.reduce((sum, [, bytes]) => sum + bytes, 0) > 15e9, true);
  for (const layer of [8, 19]) {
    const changed = whole.proof.filter(([name]) => name.startsWith(`model.layers.${layer}.`) && name.endsWith("_proj.weight"));
    assert.equal(changed.length, 7);
    for (const [name, distances] of changed) assert.ok(distances.every((distance) => distance > 0.1), `${name}: ${distances}`);
  }
  // What did not change is the input's bytes.
  const { file, offset } = large.places["model.norm.weight"];
  const bytes = Buffer.alloc(16);
  const input = openSync(join(folder, "large", file), "r");
  readSync(input, bytes, 0, 16, offset);
  closeSync(input);
  assert.deepEqual(whole.norm, [...bytes]);
});
