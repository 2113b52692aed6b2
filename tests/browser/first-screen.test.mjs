// The finished run is drawn on every fresh visit: whatever the browser's frames and observers do,
// on a slow machine, and in a tab that is shown later.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { watchedPage } from "./helpers.mjs";
import { serve } from "./server.mjs";

const VIEWPORT = { width: 1400, height: 900 };
const VISITS = 10;
/** How much slower than this machine a visitor's may be. */
const THROTTLED = 4;
/** Milliseconds from the first thing that the script draws to the picture, on an idle machine. */
const SOON = 1000;
/** Milliseconds that the loop of `slowness` takes on an idle core. */
const LOOP = 60;
let server, browser;

before(async () => {
  server = await serve({ "/": DIST });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/** Notes when the script has drawn something, and when the map is there. */
function watch() {
  window.seen = {};
  new MutationObserver(() => {
    if (document.querySelector("#page > *")) window.seen.script ??= performance.now();
    if (document.querySelector("#map rect.pair")) window.seen.map ??= performance.now();
  }).observe(document, { subtree: true, childList: true, attributes: true });
}

/** Nothing that comes with a frame is called before `window.show()`, as in a tab out of sight. */
function withoutFrames() {
  const waiting = [];
  let shown = false;
  window.show = () => {
    shown = true;
    for (const call of waiting.splice(0)) call();
  };
  const held = (callback) => (...values) => (shown ? callback(...values) : void waiting.push(() => callback(...values)));
  for (const name of ["IntersectionObserver", "ResizeObserver"]) {
    const Observer = window[name];
    window[name] = class extends Observer {
      constructor(callback, options) {
        super(held(callback), options);
      }
    };
  }
  for (const name of ["requestAnimationFrame", "requestIdleCallback"]) {
    const request = window[name].bind(window);
    window[name] = (callback) => request(held(callback));
  }
}

/** How much slower than an idle core the page is now: other work takes its part. */
const slowness = (page) =>
  page.evaluate((loop) => {
    const begun = performance.now();
    let sum = 0;
    for (let i = 0; i < 3e7; i += 1) sum += Math.sqrt(i);
    return Math.max(1, (performance.now() - begun + (sum > 0 ? 0 : 1)) / loop);
  }, LOOP);

/** Milliseconds from the script to the map, divided by how slow the machine was. */
async function visit(prepare = async () => {}) {
  const { page, problems } = await watchedPage(browser, { viewport: VIEWPORT });
  await page.addInitScript(watch);
  await prepare(page);
  const before = await slowness(page);
  await page.goto(server.url("/"));
  await page.waitForFunction(() => window.seen.map !== undefined);
  const { script, map } = await page.evaluate(() => window.seen);
  const slow = Math.max(before, await slowness(page));
  assert.deepEqual(problems, []);
  await page.close();
  return (map - script) / slow;
}

/** Each visit ends in the picture; most of them soon, however busy the machine is. */
async function visits(t, count, prepare) {
  const times = [];
  for (let at = 0; at < count; at += 1) times.push(await visit(prepare));
  times.sort((a, b) => a - b);
  t.diagnostic(`${times.map(Math.round)} ms`);
  assert.ok(times[Math.floor(count / 2)] <= SOON, `${times.map(Math.round)} ms`);
}

test("ten fresh visits, each with its picture", (t) => visits(t, VISITS));

test("the same on a machine that is slowed down", (t) =>
  visits(t, VISITS / 2, async (page) => {
    const session = await page.context().newCDPSession(page);
    await session.send("Emulation.setCPUThrottlingRate", { rate: THROTTLED });
  }));

test("a tab out of sight has its pictures before any frame, and keeps them when it is shown", async () => {
  const { page, problems } = await watchedPage(browser, { viewport: VIEWPORT });
  await page.addInitScript(withoutFrames);
  await page.goto(server.url("/"));
  // polled by a timer: there are no frames
  const drawn = (selector) => page.waitForFunction((selector) => document.querySelector(selector), selector, { polling: 50 });
  for (const picture of ["#map rect.pair", "#influence svg", "#stream svg"]) await drawn(picture);
  const svgs = () => page.locator("#map svg.plot, #influence svg.plot, #stream svg.plot").count();
  assert.equal(await svgs(), 3);
  await page.evaluate(() => window.show());
  await page.keyboard.press("Shift");
  await drawn("#perplexity svg.plot");
  assert.equal(await svgs(), 3);
  assert.deepEqual(problems, []);
  await page.close();
});
