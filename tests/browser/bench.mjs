// Measures the speed of the built page's engines in Chromium: products, the blocks of a
// SmolLM2-shaped model, diffusion maps and similarity of 30 layers. Prints figures and judges
// nothing; run it on an idle machine.
//
//     node bench.mjs [RUNS]
import { DIST, launch } from "./chromium.mjs";
import { PAGES } from "./helpers.mjs";
import { serve } from "./server.mjs";

const RUNS = Number(process.argv[2] ?? 3);
const server = await serve({ "/app/": DIST, "/pages/": PAGES });
const browser = await launch();
try {
  for (const backend of ["cpu", "webgpu"]) {
    const page = await browser.newPage();
    page.setDefaultTimeout(0);
    page.on("console", (message) => console.log(message.text()));
    await page.goto(server.url("/pages/interface.html"));
    await page.waitForFunction(() => window.mka);
    await page.evaluate(measure, { backend, runs: RUNS });
    await page.close();
  }
} finally {
  await browser.close();
  await server.close();
}

/** Runs in the page. */
async function measure({ backend, runs }) {
  const { synthetic } = await import("/pages/synthetic.mjs");
  const lab = await window.mka.Lab.create({ backend });
  console.log(`${lab.backend} engine: ${lab.adapter}`);
  const rates = [];
  for (let run = 0; run < runs; run += 1) rates.push(await lab.productRate(512, 512, 512));
  const rate = Math.max(...rates);
  console.log(`  product 512^3: ${rates.map((r) => r.toFixed(1)).join(", ")} GFLOPS`);

  // The blocks of SmolLM2-135M on 4 windows of 512 tokens, the next block read ahead, as in any
  // pass.
  const shape = { hidden: 576, intermediate: 1536, heads: 9, kvHeads: 3, headSize: 64, vocabulary: 512 };
  const layers = backend === "cpu" ? 6 : 2;
  const model = await lab.open(synthetic({ ...shape, layers }));
  const ids = Uint32Array.from({ length: 2048 }, (_, i) => (i * 197 + (i >> 3)) % shape.vocabulary);
  // scores and values, the causal half
  const attention = 2 * 2 * 512 * (512 / 2) * shape.heads * shape.headSize * 4;
  const projections = 2 * 2048 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536);
  const seconds = [];
  for (let run = 0; run < runs; run += 1) {
    const begun = performance.now();
    (await model.calibrate({ ids, sequences: 4, window: 512, rows: 8 })).close();
    seconds.push((performance.now() - begun) / 1000 / layers);
  }
  const best = Math.min(...seconds);
  const achieved = (attention + projections) / best / 1e9;
  console.log(`  SmolLM2 blocks, 4 x 512 tokens: ${seconds.map((s) => s.toFixed(3)).join(", ")} s a block, ${achieved.toFixed(1)} GFLOPS, ` +
      `${((100 * achieved) / rate).toFixed(0)} % of the product's rate`);
  model.close();

  if (backend === "cpu") {
    const deep = await lab.open(synthetic({ ...shape, intermediate: 64, layers: 30 }));
    for (let run = 0; run < runs; run += 1) {
      const calibration = await deep.calibrate({ ids, sequences: 4, window: 512, rows: 512, seed: run });
      const timed = async (name) => {
        const begun = performance.now();
        await calibration.similarity(name);
        return ((performance.now() - begun) / 1000).toFixed(3);
      };
      // The first one computes the maps, the second finds them.
      const [npib, knn] = [await timed("npib"), await timed("npib-knn")];
      console.log(`  30 layers, N 512, D 576: maps and NPIB Gaussian ${npib} s; kNN NPIB on the same maps ${knn} s`);
      calibration.close();
    }
  }
  const { wasmPeak, devicePeak } = lab.memory();
  console.log(`  wasm peak ${(wasmPeak / 1e6).toFixed(0)} MB, weights and states outside of it ${(devicePeak / 1e6).toFixed(0)} MB`);
  lab.close();
}
