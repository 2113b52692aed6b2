// The page for everybody: axe over its states in light and dark, what is read out, and motion.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { faults, idle, opened, watchedPage } from "./helpers.mjs";
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

for (const [colorScheme, width] of [["light", 1400], ["dark", 360]]) {
  test(`axe finds no fault at the start, with an error and after a merge, ${colorScheme}, ${width} pixels`, async () => {
    const { page } = await openPage({ colorScheme, viewport: { width, height: 900 } });
    assert.deepEqual(await faults(page), []);
    await page.setInputFiles("#pick-files", { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no model") });
    await page.waitForSelector("#error");
    assert.deepEqual(await faults(page), []);
    await page.click("#open-stories260k");
    await opened(page);
    await page.locator("#calibrate").getByLabel("Sequences").fill("4");
    await page.click("#run-merge");
    await page.waitForSelector("#files");
    await idle(page);
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
    assert.deepEqual(await faults(page), []);
    await page.close();
  });
}

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
