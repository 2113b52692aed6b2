// The guided tour: by mouse and by keyboard, left and resumed, by its address, wide and narrow.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { merge, opened, quickly, watchedPage } from "./helpers.mjs";
import { serve } from "./server.mjs";

const STEPS = ["activations", "distances", "kernel", "map", "information", "matrix", "merging", "failure", "repair", "evaluation"];
let server, browser;

before(async () => {
  server = await serve({ "/": DIST });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

async function openPage(path = "/", options = {}) {
  const watched = await watchedPage(browser, { reducedMotion: "reduce", ...options });
  await watched.page.goto(server.url(path));
  await watched.page.waitForSelector("#tour-open");
  return watched;
}

const atStep = (page, step) => page.waitForFunction((step) => location.hash.includes(`tour=${step}`) && document.querySelector("#tour"), step);
const focused = (page) => page.evaluate(() => document.activeElement.id);

for (const viewport of [{ width: 1400, height: 900 }, { width: 360, height: 740 }]) {
  test(`each step marks what it is about, in sight and not under the panel, at ${viewport.width} pixels`, async () => {
    const { page, problems, requests } = await openPage("/", { viewport });
    await page.click("#tour-open");
    const marked = new Set();
    for (const [at, step] of STEPS.entries()) {
      await atStep(page, step);
      assert.match(await page.innerText("#tour .tour-head"), new RegExp(`Step ${at + 1} of 10`));
      assert.equal(await focused(page), "tour-title");
      assert.ok((await page.innerText("#tour-text")).length > 100);
      const here = page.locator("[data-tour-here]");
      assert.equal(await here.count(), 1);
      marked.add(await here.evaluate((element) => element.id || element.className));
      const [part, panel] = [await here.boundingBox(), await page.locator("#tour").boundingBox()];
      assert.ok(part.y > -20 && part.y < viewport.height * 0.5, `${step}: it begins at ${part.y}`);
      const apart = part.x + Math.min(part.width, 200) <= panel.x || part.x >= panel.x + panel.width || part.y + Math.min(part.height, 60) <= panel.y;
      assert.ok(apart || part.x + part.width > panel.x + panel.width + 100, `${step}: the panel covers it`);
      assert.ok(panel.x >= 0 && panel.x + panel.width <= viewport.width && panel.y >= 0);
      const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(content <= window, `${step}: ${content} of ${window} pixels`);
      await page.click("#tour-next");
    }
    await page.waitForSelector("#tour", { state: "detached" });
    assert.ok(marked.size >= 7, [...marked].join(" "));
    assert.equal(await page.locator("[data-tour-here]").count(), 0);
    assert.equal(await focused(page), "tour-open");
    assert.match(await page.innerText("#tour-open"), /Take the tour/, "after the last step it begins anew");
    assert.deepEqual(requests.filter((url) => !url.startsWith(server.url("/"))), [], "it asks nobody else");
    assert.deepEqual(problems, []);
    await page.close();
  });
}

test("the keyboard goes through it, out to the page, back, and leaves; it is resumed where it was left", async () => {
  const { page } = await openPage();
  await page.focus("#tour-open");
  await page.keyboard.press("Enter");
  await atStep(page, "activations");
  await page.focus("#tour-next");
  await page.keyboard.press("Enter");
  await atStep(page, "distances");
  await page.waitForFunction(() => document.activeElement.id === "tour-title");
  await page.focus("#tour-next");
  for (const step of ["kernel", "map", "information"]) {
    await page.focus("#tour-next");
    await page.keyboard.press("Enter");
    await atStep(page, step);
  }
  await page.focus("#tour-show");
  await page.keyboard.press("Enter");
  assert.equal(await focused(page), "measure");
  await page.keyboard.press("ArrowDown");
  assert.notEqual(await page.inputValue("#measure"), "npib", "the page is used beside it");
  await page.focus("#tour-open");
  await page.keyboard.press("Enter");
  assert.equal(await focused(page), "tour-title");
  await page.keyboard.press("Escape");
  await page.waitForSelector("#tour", { state: "detached" });
  assert.equal(await focused(page), "tour-open");
  await page.waitForFunction(() => !location.hash.includes("tour="));
  assert.match(await page.innerText("#tour-open"), /step 5 of 10/);
  await page.reload();
  await page.click("#tour-open");
  await atStep(page, "information");
  await page.click("#tour button[aria-label^='Step 2']");
  await atStep(page, "distances");
  await page.goBack();
  await atStep(page, "information");
  await page.close();
});

test("a link opens it at its step, beside a model that is open", async () => {
  const { page, problems } = await openPage("/#model=stories260k&tour=merging");
  await page.waitForSelector("#tour");
  await opened(page);
  assert.match(await page.innerText("#tour-title"), /Merging/);
  await quickly(page);
  await merge(page);
  assert.equal(await page.locator("#tour").count(), 1);
  assert.deepEqual(problems, []);
  await page.close();
});
