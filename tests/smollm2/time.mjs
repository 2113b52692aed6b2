// Times this tool's own method on a real model, in Chromium, through nothing but mka.js:
// calibrates, merges, measures.
//
//     node time.mjs MODEL TEXT [LAYERS] [WINDOWS] [BACKEND]
//
// LAYERS (7) of them are removed, calibrated on WINDOWS (32) of 256 tokens of the file TEXT.
// BACKEND is cpu or webgpu, which is the machine's own adapter. www/dist has to be built.
// MKA_CHROMIUM names the browser where it is not /usr/bin/chromium. Prints the seconds of each step
// and the peak of wasm memory.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { DIST, launch } from "../browser/chromium.mjs";
import { serve } from "../browser/server.mjs";

const [model, file, layers = "7", windows = "32", backend = "cpu"] = process.argv.slice(2);
if (!file) {
  console.error("usage: node time.mjs MODEL TEXT [LAYERS] [WINDOWS] [BACKEND]");
  process.exit(2);
}

const text = await readFile(file, "utf8");
const server = await serve({ "/": fileURLToPath(new URL(".", import.meta.url)), "/site/": DIST, "/model/": model });
const browser = await launch({ hardware: backend === "webgpu" });
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(0); // a slow machine is no failure
  page.on("console", (message) => console.log(message.text()));
  await page.goto(server.url("/page.html"));
  await page.evaluate(drive, { text, remove: Number(layers), sequences: Number(windows), backend });
} finally {
  await browser.close();
  await server.close();
}

/** In the page: the run. */
async function drive({ text, remove, sequences, backend }) {
  const { Lab } = await import(`${location.origin}/site/mka.js`);
  const lab = await Lab.create({ backend });
  console.log(`on ${lab.adapter}`);
  const begun = performance.now();
  const step = async (name, action) => {
    const start = performance.now();
    const result = await action();
    const { wasmPeak } = await lab.memory();
    const seconds = (from) => ((performance.now() - from) / 1000).toFixed(1);
    console.log(`${name}: ${seconds(start)} s, ${seconds(begun)} s in all, wasm peak ${(wasmPeak / 1e6).toFixed(0)} MB`);
    return result;
  };
  const model = await step("open", () => lab.open(`${location.origin}/model/`));
  const { lossGuidedSeconds } = await model.estimate({ sequences, window: 256 });
  console.log(`expected to merge: ${lossGuidedSeconds[remove - 1]?.toFixed(1)} s`);
  const calibration = await step("calibrate", () => model.calibrate({ text, window: 256, sequences, shuffle: true, seed: 1 }));
  const merged = await step("merge", () => model.merge({ preset: "loss-guided", remove, calibration }));
  console.log(merged.recipe.steps.map(({ keep, gone }) => `${gone} into ${keep}`).join(", "));
  const { dense, merged: after, kl } = await step("evaluate", () => merged.evaluate({ text, window: 256, sequences: 4 }));
  console.log(`perplexity ${dense.perplexity.toFixed(3)} before, ${after.perplexity.toFixed(3)} after, KL ${kl.toFixed(3)}, on text that it was calibrated on`);
}
