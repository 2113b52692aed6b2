// Pictures of each state of the built page, wide and narrow, light and dark, to be looked at, and
// the one that the README shows: npm run screenshots [-- folder], in www/.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DIST, launch } from "./chromium.mjs";
import { idle, opened } from "./helpers.mjs";
import { serve } from "./server.mjs";

const folder = process.argv[2] ?? fileURLToPath(new URL("results", import.meta.url));
const readme = fileURLToPath(new URL("../../docs/screenshot.png", import.meta.url));
await mkdir(folder, { recursive: true });

const server = await serve({ "/": DIST });
const browser = await launch();

/** The states, in the order in which one page goes through them. */
const STATES = {
  start: async (page) => {
    await page.keyboard.press("Shift"); // so that all pictures are drawn
    await page.waitForTimeout(1500);
  },
  error: async (page) => {
    await page.setInputFiles("#pick-files", { name: "model.gguf", mimeType: "", buffer: Buffer.from("GGUF....") });
    await page.waitForSelector("#error");
  },
  open: async (page) => {
    await page.click("#open-demo");
    await opened(page);
  },
  running: async (page) => {
    await page.click("#run-calibrate");
    await page.waitForFunction(() => /\d\s%/.test(document.querySelector(".status .share").innerText));
  },
  calibrated: async (page) => {
    await page.waitForSelector("#map rect.pair");
    await idle(page);
  },
  merged: async (page) => {
    await page.click("#run-merge");
    await page.waitForSelector("#files");
    await idle(page);
  },
  unfolded: async (page) => {
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
    await page.waitForTimeout(300);
  },
  shared: async (page) => {
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = false)));
    await page.click("#share-open");
  },
};

/** A picture of the whole page: a bar that is fixed to the window is put at its end. */
async function shoot(page, name) {
  const style = await page.addStyleTag({ content: ".status, .parts { position: static !important } body { padding: 0 !important }" });
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  await style.evaluate((element) => element.remove());
}

for (const [name, viewport] of [["wide", { width: 1400, height: 900 }], ["narrow", { width: 360, height: 740 }]]) {
  for (const colorScheme of ["light", "dark"]) {
    const page = await browser.newPage({ viewport, colorScheme, reducedMotion: "reduce" });
    await page.goto(server.url("/"));
    await page.waitForSelector("#open-demo");
    for (const [state, enter] of Object.entries(STATES)) {
      await enter(page);
      if (state === "start" && name === "wide" && colorScheme === "light") await page.screenshot({ path: readme });
      await shoot(page, `${name}-${colorScheme}-${state}`);
    }
    await page.goto(server.url("/#model=https://models.example/a-model/&rows=1e9&tour=activations"));
    await page.reload();
    for (let step = 1; step <= 10; step += 1) {
      await page.waitForFunction((step) => document.querySelector("#tour .tour-head")?.innerText.includes(`Step ${step} of`), step);
      await page.waitForTimeout(200);
      await page.screenshot({ path: join(folder, `${name}-${colorScheme}-tour-${step}.png`) });
      await page.click("#tour-next");
    }
    await shoot(page, `${name}-${colorScheme}-linked`);
    await page.close();
  }
}
await browser.close();
await server.close();
console.log(`The pictures are in ${folder}, the README's is ${readme}.`);
