// The page stays calm and light: nothing jumps, answers come at once while the worker computes, and
// a phone's memory is enough. What depends on the machine is told as a figure, and held against a
// generous bound only.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { ALL, idle, merge, opened, quickly, watchedPage } from "./helpers.mjs";
import { serve } from "./server.mjs";

const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 3, isMobile: true, hasTouch: true };
let server, browser;

before(async () => {
  server = await serve({ "/": DIST });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/**
 * A page that keeps what the browser says about shifts of the layout, and about how long each input
 * took to be answered.
 */
async function measuredPage(options) {
  const watched = await watchedPage(browser, options);
  await watched.page.addInitScript(() => {
    window.shifts = [];
    window.inputs = [];
    new PerformanceObserver((list) => window.shifts.push(...list.getEntries().filter(({ hadRecentInput }) => !hadRecentInput).map(({ value }) => value))).observe({ type: "layout-shift", buffered: true });
    new PerformanceObserver((list) => window.inputs.push(...list.getEntries().filter(({ interactionId }) => interactionId).map(({ name, duration }) => ({ name, duration })))).observe({ type: "event", durationThreshold: 16, buffered: true });
  });
  await watched.page.goto(server.url("/"));
  await watched.page.waitForSelector("#open-demo");
  return watched;
}

for (const options of [{ viewport: { width: 1400, height: 900 } }, PHONE]) {
  test(`nothing moves from the start to a merged model, ${options.viewport.width} pixels`, async (t) => {
    const { page } = await measuredPage(options);
    await page.waitForTimeout(1500);
    await page.click("#open-demo");
    await opened(page);
    const begun = await page.evaluate(() => window.shifts.splice(0));
    await quickly(page); // the method that the page begins with: main-job.test.mjs
    // What moves because a script chose a method would follow an input, had a person chosen it.
    await page.waitForTimeout(500);
    await page.evaluate(() => window.shifts.splice(0));
    for (const [button, done] of [["#run-calibrate", "#map rect.pair"], ["#run-merge", "#files"]]) {
      await page.click(button);
      await page.waitForSelector(done);
      await idle(page);
    }
    const shift = [...begun, ...(await page.evaluate(() => window.shifts))].reduce((sum, value) => sum + value, 0);
    t.diagnostic(`cumulative layout shift ${shift.toFixed(4)}`);
    assert.ok(shift < 0.05, `layout shift ${shift}`);
    await page.close();
  });
}

test("inputs are answered while the worker computes", async (t) => {
  const { page } = await measuredPage();
  await page.click("#open-demo");
  await opened(page);
  await page.locator("#calibrate").getByLabel("Sequences").fill("128");
  await page.keyboard.press("Tab");
  await page.evaluate(() => (window.inputs.length = 0));
  await page.click("#run-calibrate");
  await page.waitForSelector("[role=progressbar]");
  for (let round = 0; round < 4; round += 1) {
    for (const part of ["merge", "compare", "look"]) await page.click(`.parts a[href='#${part}']`);
    await page.locator("#prompt").click();
    await page.keyboard.type("abc");
    await page.locator("#merge details summary").first().click();
    await page.getByLabel("Measure the cost right after").click();
  }
  assert.equal(await page.locator("[role=progressbar]").count(), 1, "it still computes");
  await page.waitForTimeout(300);
  const durations = (await page.evaluate(() => window.inputs)).map(({ duration }) => duration).sort((a, b) => a - b);
  await page.click("#cancel");
  assert.ok(await page.evaluate(() => PerformanceObserver.supportedEntryTypes.includes("event")), "the browser measures inputs");
  const at = (share) => durations[Math.min(durations.length - 1, Math.floor(durations.length * share))] ?? 16;
  t.diagnostic(`${durations.length} inputs took 16 ms or more: median ${at(0.5)} ms, 98 % within ${at(0.98)} ms, longest ${at(1)} ms`);
  assert.ok(at(1) < 600, `an input took ${at(1)} ms`);
  await page.close();
});

/** Resident memory of the page's process in bytes: all of it, and what is its own alone. */
async function memoryOf(session) {
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const sizes = await Promise.all(
    processInfo
      .filter(({ type }) => type === "renderer")
      .map(async ({ id }) => {
        const status = await readFile(`/proc/${id}/status`, "utf8").catch(() => "");
        const field = (name) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) * 1024;
        return { all: field("VmRSS"), own: field("RssAnon") + field("RssShmem"), peak: field("VmHWM") };
      }),
  );
  return sizes.sort((a, b) => b.own - a.own)[0];
}

test("a phone's worth of memory is enough for the start and for the demo model", { skip: !ALL && "a minute: in the full run" }, async (t) => {
  const alone = await launch();
  const session = await alone.newBrowserCDPSession();
  const page = await alone.newPage(PHONE);
  page.setDefaultTimeout(180_000);
  const mb = (bytes) => `${Math.round(bytes / 1e6)} MB`;
  const tell = async (state) => {
    const { all, own, peak } = await memoryOf(session);
    t.diagnostic(`${state}: ${mb(own)} of its own, ${mb(all)} with the browser's code, ${mb(peak)} at most`);
    assert.ok(own > 10e6, `${state}: no process of a page has ${own} bytes`);
    assert.ok(own < 300e6, `${state}: ${own} bytes`);
  };
  await page.goto(server.url("/"));
  await page.waitForTimeout(2000);
  await tell("start");
  await page.click("#open-demo");
  await opened(page);
  await merge(page);
  await tell("merged");
  await alone.close();
});
