// The page for everybody: axe over its states in light and dark, what is read out, and motion.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { faults, idle, merge, opened, quickly, watchedPage } from "./helpers.mjs";
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

async function openPage(options) {
  const watched = await watchedPage(browser, options);
  await watched.page.goto(server.url("/"));
  await watched.page.waitForSelector("#open-demo");
  return watched;
}

/** Opens everything that can be unfolded. */
const unfold = (page) => page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));

for (const [colorScheme, width] of [["light", 1400], ["dark", 320]]) {
  test(`axe finds no fault in any state of the page, ${colorScheme}, ${width} pixels`, async () => {
    const { page, requests } = await openPage({ colorScheme, reducedMotion: "reduce", viewport: { width, height: 900 } });
    // What a bar covers at one place of scrolling is no smaller for that: here the bars stand
    // still.
    await page.addStyleTag({ content: ".status, .parts { position: static !important }" });
    const none = async (state) => assert.deepEqual(await faults(page), [], state);
    await none("start");
    await unfold(page);
    await none("start, unfolded");
    await page.setInputFiles("#pick-files", { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no model") });
    await page.waitForSelector("#error");
    await none("error");
    await page.click("#share-open");
    await none("share");
    await page.locator("#share").getByRole("button", { name: "Close" }).click();
    await page.click("#open-stories260k");
    await opened(page);
    await quickly(page);
    // what it leaves is drawn otherwise
    if (colorScheme === "light") await page.selectOption("#preset", "loss-guided");
    await page.locator("#compare").getByLabel("Tokens", { exact: true }).fill("400");
    await page.click("#run-merge");
    await page.waitForSelector("[role=progressbar]");
    await none("running");
    await page.waitForSelector("#files");
    // What is still being written is of no interest; it may have ended by itself.
    await page.locator("#cancel").click({ timeout: 1000 }).catch(() => {});
    await idle(page);
    await unfold(page);
    await none("merged, unfolded");
    await page.selectOption("#preset", "");
    await page.selectOption("#combination", "average");
    await page.selectOption("#alpha", "fixed");
    await page.selectOption("#selection", "manual");
    for (const own of await page.getByLabel("My own", { exact: true }).all()) await own.check();
    await none("all choices");
    const elsewhere = requests.filter((url) => !url.replace(/^blob:/, "").startsWith(server.url("/")));
    assert.deepEqual(elsewhere, [], "none of it asks another origin");
    await page.close();
  });

  test(`axe finds no fault in the tour and in what a link tells, ${colorScheme}, ${width} pixels`, async () => {
    const { page } = await openPage({ colorScheme, reducedMotion: "reduce", viewport: { width, height: 900 } });
    await page.goto(server.url("/#model=https://models.example/a/&text=own&rows=1e9&nothing=1"));
    await page.reload();
    await page.waitForSelector("#wanted");
    assert.deepEqual(await faults(page), [], "a model elsewhere");
    await page.goto(server.url("/"));
    await page.click("#tour-open");
    for (let step = 1; step <= 10; step += 1) {
      await page.waitForFunction((step) => document.querySelector("#tour .tour-head")?.innerText.includes(`Step ${step} of`), step);
      // What the panel covers for now is no smaller for that; the panel's own targets are measured.
      if (step % 5 === 1) assert.deepEqual(await faults(page, { rules: { "target-size": { enabled: false } } }), [], `step ${step}`);
      assert.deepEqual(await faults(page, undefined, "#tour"), [], `step ${step}, the panel`);
      await page.click("#tour-next");
    }
    await page.close();
  });
}

for (const [colorScheme, width] of [["dark", 1400], ["light", 320]]) {
  test(`axe finds no fault at the start either, ${colorScheme}, ${width} pixels`, async () => {
    const { page } = await openPage({ colorScheme, viewport: { width, height: 900 } });
    await unfold(page);
    assert.deepEqual(await faults(page), []);
    await page.close();
  });
}

test("every place that Tab reaches shows that it has the focus, and is not hidden by a bar", async () => {
  for (const viewport of [{ width: 1400, height: 900 }, { width: 390, height: 844 }]) {
    const { page } = await openPage({ viewport, reducedMotion: "reduce" });
    await page.click("#open-stories260k");
    await opened(page);
    await unfold(page);
    await page.focus(".skip");
    await page.keyboard.press("Tab"); // a focus that a script gives shows no ring
    const seen = new Set();
    for (let presses = 0; presses < 200; presses += 1) {
      const place = await page.evaluate(() => {
        const element = document.activeElement;
        const ring = element.matches("input[type=radio], input[type=file]") ? element.parentElement.querySelector("span") : element;
        const { outlineStyle, outlineWidth } = getComputedStyle(ring);
        const { top, bottom } = ring.getBoundingClientRect();
        const bar = document.querySelector(".status").getBoundingClientRect().top;
        const name = `${element.tagName} ${element.id || element.getAttribute("aria-label") || element.innerText?.slice(0, 30) || element.name}`;
        return { name, ring: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2, hidden: bottom <= 0 || (top >= bar && !element.closest(".status")) };
      });
      if (place.name.startsWith("BODY")) break;
      assert.ok(place.ring, `${place.name} shows no focus`);
      assert.ok(!place.hidden, `${place.name} is hidden`);
      seen.add(place.name);
      await page.keyboard.press("Tab");
    }
    assert.ok(seen.size > 40, `${seen.size} places`);
    await page.close();
  }
});

test("twice as large, with wide spaces, or in forced colours nothing is lost", async () => {
  for (const [name, options, css] of [
    ["zoomed to 200 %", { viewport: { width: 640, height: 450 }, deviceScaleFactor: 2 }, ""],
    ["text twice as large", { viewport: { width: 1280, height: 900 } }, ":root { font-size: 200% }"],
    ["wide spaces", { viewport: { width: 320, height: 700 } }, "* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important } p { margin-bottom: 2em !important }"],
    ["forced colours", { viewport: { width: 1280, height: 900 }, forcedColors: "active" }, ""],
  ]) {
    const { page } = await openPage({ ...options, reducedMotion: "reduce" });
    if (css) await page.addStyleTag({ content: css });
    await page.click("#open-stories260k");
    await opened(page);
    await quickly(page);
    await merge(page);
    await page.click("#tour-open");
    await page.waitForSelector("#tour");
    const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(content <= window, `${name}: ${content} of ${window} pixels`);
    const cut = await page.evaluate(() =>
      [...document.querySelectorAll("button, summary, label, h2, h3, .lead, .note, .fact dd, .tour-text p")]
        .filter((element) => element.offsetParent && element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== "inline")
        .map((element) => element.innerText.slice(0, 40)),
    );
    assert.deepEqual(cut, [], name);
    if (options.forcedColors) {
      const marks = await page.evaluate(() => {
        const border = (selector) => getComputedStyle(document.querySelector(selector)).borderBottomColor;
        return [border(".parts a[aria-current]") !== border(".parts a:not([aria-current])"), getComputedStyle(document.querySelector("[data-tour-here]")).outlineStyle];
      });
      assert.deepEqual(marks, [true, "solid"]);
    }
    await page.close();
  }
});

test("an error is told where the user acted, read out, and reached from the bar", async () => {
  const { page } = await openPage({ viewport: { width: 360, height: 700 } });
  await page.setInputFiles("#pick-files", { name: "model.gguf", mimeType: "", buffer: Buffer.from("GGUF....") });
  const error = page.locator("#load [role=alert] #error");
  await error.waitFor();
  await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
  await page.click(".status .failed");
  assert.ok(await page.evaluate(() => document.activeElement.id === "error"));
  const box = await error.boundingBox();
  assert.ok(box.y >= 0 && box.y + box.height <= 700, "it is in sight");
  await error.getByRole("button", { name: "Close" }).click();
  assert.equal(await error.count(), 0);
  await page.close();
});

test("what runs is in the window's title and the live region; who wants less motion gets none", async () => {
  const { page } = await openPage({ reducedMotion: "reduce" });
  const said = page.locator(".status [role=status]");
  assert.match(await said.innerText(), /Load a model/);
  await page.click("#open-demo");
  await opened(page);
  assert.match(await said.innerText(), /Fairy tales is open: 12 layers/);
  await page.click("#run-calibrate");
  await page.waitForFunction(() => /^\d+ % Calibrating – MKA Lab$/.test(document.title));
  assert.ok(await page.evaluate(() => document.getAnimations().length === 0));
  assert.equal(await page.getByRole("progressbar", { name: "Calibrating" }).count(), 1);
  await page.click("#cancel");
  await idle(page);
  assert.equal(await page.title(), "MKA Lab");
  assert.equal(await page.getByRole("progressbar").count(), 0);
  assert.match(await said.innerText(), /Cancelled/);
  await page.close();
});

test("a button that can't be used yet keeps the focus and says why", async () => {
  const { page } = await openPage();
  await page.focus("#run-calibrate");
  await page.keyboard.press("Enter");
  assert.match(await page.locator(".status [role=status]").innerText(), /Load a model/);
  assert.ok(await page.evaluate(() => document.activeElement.id === "run-calibrate"));
  await page.close();
});
