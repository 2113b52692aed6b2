// What the finished run shows can be computed here, to the same numbers; sliders answer at once.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { ALL, idle, opened, quickly, runHere, watchedPage } from "./helpers.mjs";
import { serve } from "./server.mjs";

let server, browser;

before(async () => {
  server = await serve({ "/": DIST });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/** The page with its precomputed run drawn. */
async function openPage(options) {
  const watched = await watchedPage(browser, options);
  await watched.page.goto(server.url("/"));
  await watched.page.waitForSelector("#map rect.pair");
  // until the user does something, what is out of sight is not drawn
  await watched.page.keyboard.press("Shift");
  await watched.page.waitForSelector("#perplexity svg");
  return watched;
}

const text = (page, selector) => page.locator(selector).innerText();

test("the same run, computed here, gives the numbers of the file", { skip: !ALL && "two minutes: in the full run" }, async () => {
  const { page, problems } = await openPage();
  await runHere(page);
  const said = await page.locator("#example").evaluate((strip) => strip.textContent.replace(/\s+/g, " "));
  assert.equal(await page.locator("#agreement").getAttribute("data-agrees"), "true", said);
  assert.equal(await page.locator(".differences li").count(), 10, said);
  assert.match(said, /similarities of layers: (the same|differ by at most \d)/);
  assert.match(said, /which layers were merged: the same/);
  await page.locator("#map rect.pair").first().hover();
  assert.match(await text(page, "#reading"), /\d ± \d/, "error bars");
  assert.deepEqual(problems, []);
  await page.close();
});

test("sliders work on the activations that are kept, and the page answers while the worker computes", async () => {
  const { page, problems } = await openPage();
  await page.click("#open-demo");
  await opened(page);
  await quickly(page);
  await page.click("#run-calibrate");
  await page.waitForSelector("#map rect.pair");
  await idle(page);
  await page.locator("#seeds").fill("3");
  await page.waitForSelector("#map rect.pair[aria-label*='±']");
  await idle(page);
  await page.evaluate(() => {
    window.steps = [];
    window.waits = [];
    new MutationObserver(() => window.steps.push(document.querySelector(".status .doing").innerText)).observe(document.querySelector(".status"), { subtree: true, childList: true, characterData: true });
    new PerformanceObserver((list) => window.waits.push(...list.getEntries().map(({ processingStart, processingEnd }) => processingEnd - processingStart))).observe({ type: "event", durationThreshold: 16 });
  });
  await page.locator("#seeds").fill("1");
  await page.waitForFunction(() => !document.querySelector("#map rect.pair").getAttribute("aria-label").includes("±"));
  await idle(page);
  await page.evaluate(() => (window.steps = []));
  const cell = await page.locator("#map rect.pair").first().getAttribute("aria-label");
  const points = await page.locator("#manifold .points circle").first().getAttribute("cx");
  for (const [slider, value] of [["dimensions", "3"], ["dimensions", "4"], ["sigma", "1"], ["power", "1"]]) await page.locator(`#${slider}`).fill(value);
  await page.waitForFunction((before) => document.querySelector("#map rect.pair").getAttribute("aria-label") !== before, cell);
  await idle(page);
  assert.notEqual(await page.locator("#manifold .points circle").first().getAttribute("cx"), points);
  const { steps, waits } = await page.evaluate(() => ({ steps, waits }));
  assert.ok(steps.some((step) => /diffusion map/.test(step)));
  assert.deepEqual(steps.filter((step) => /text through/.test(step)), []);
  assert.ok(waits.every((wait) => wait < 100), `${waits.map(Math.round)} ms`);
  assert.deepEqual(problems, []);
  await page.close();
});
