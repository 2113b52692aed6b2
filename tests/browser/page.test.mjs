// The built page, as a person uses it.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { DASH, idle, merge, opened, PAGES, quickly, watchedPage } from "./helpers.mjs";
import { serve } from "./server.mjs";

const BASE = "/some/sub/path/";
let server, browser;

before(async () => {
  server = await serve({ [BASE]: DIST, "/pages/": PAGES });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

async function openPage(options) {
  const watched = await watchedPage(browser, options);
  // Without a picker the page downloads in the way that a test can see.
  await watched.page.addInitScript(() => {
    delete window.showSaveFilePicker;
  });
  await watched.page.goto(server.url(BASE));
  await watched.page.waitForSelector("#open-demo");
  return watched;
}

const text = (page, selector) => page.locator(selector).innerText();
const cellsOf = (page, row) => page.locator(`#before-after tbody tr:nth-child(${row}) td`).allInnerTexts();

test("two clicks give a merged model, and a click on the map merges a pair", async () => {
  const { page, problems } = await openPage();
  await page.click("#open-stories260k");
  await opened(page);
  await merge(page);
  assert.equal((await cellsOf(page, 1))[1], "4");

  await page.locator('#map rect[aria-label^="Layers 1 and 2"]').click();
  await page.waitForFunction(() => document.querySelectorAll("#pairs li").length === 1);
  await page.locator('#map rect[aria-label^="Layers 2 and 3"]').click();
  await idle(page);
  assert.deepEqual(await page.locator("#pairs li").allInnerTexts(), ["2 into 1", "3 into 1"]);
  assert.equal((await cellsOf(page, 1))[1], "3");
  await page.getByRole("button", { name: "Undo", exact: true }).click();
  await idle(page);
  assert.equal((await cellsOf(page, 1))[1], "4");
  await page.getByRole("button", { name: "Reset", exact: true }).click();
  await idle(page);
  assert.equal((await cellsOf(page, 1))[1], DASH);
  assert.deepEqual(problems, []);
  await page.close();
});

test("the keyboard alone does the whole job", async () => {
  const { page, problems } = await openPage();
  /** Tabs on until the focus is where it should be. */
  const tabTo = async (selector) => {
    for (let presses = 0; presses < 80; presses += 1) {
      if (await page.evaluate((selector) => document.activeElement.matches(selector), selector)) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`${selector} is not reached by Tab`);
  };
  await tabTo("#open-stories260k");
  await page.keyboard.press("Enter");
  await opened(page);
  await tabTo("#run-calibrate");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#map rect.pair");
  await idle(page);
  await tabTo("#map rect");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowRight");
  assert.match(await text(page, "#reading"), /Layers 1 and 2/);
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(outline, "none");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#files");
  await idle(page);
  assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), /^Layers 1 and 2: .*chosen/);
  await tabTo("#run-merge");
  await tabTo("#download-zip");
  const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
  assert.match(download.suggestedFilename(), /\.zip$/);
  assert.deepEqual(problems, []);
  await page.close();
});

test("cancel stops the work, and the page goes on", async () => {
  const { page, problems } = await openPage();
  await page.click("#open-demo");
  await opened(page);
  await page.locator("#calibrate input").nth(2).fill("128");
  await page.locator("#calibrate input").nth(2).press("Tab");
  await page.click("#run-calibrate");
  await page.waitForFunction(() => /\d\s%/.test(document.querySelector(".status .share").innerText));
  await page.click("#cancel");
  await idle(page);
  assert.match(await text(page, ".status .doing"), /Cancelled/);
  await page.locator("#calibrate input").nth(2).fill("4");
  await page.locator("#calibrate input").nth(2).press("Tab");
  await page.click("#run-calibrate");
  await page.waitForSelector("#map rect.pair");
  assert.deepEqual(problems, []);
  await page.close();
});

test("thirty layers stay legible, also on a narrow screen", async () => {
  for (const width of [360, 1600]) {
    const { page, problems } = await openPage({ viewport: { width, height: 900 } });
    await page.evaluate(async () => {
      const { synthetic } = await import("/pages/synthetic.mjs");
      const files = synthetic({ hidden: 64, intermediate: 64, heads: 4, kvHeads: 2, headSize: 16, vocabulary: 512, layers: 30 });
      const tokenizer = await (await fetch("models/stories260k/tokenizer.json")).blob();
      const transfer = new DataTransfer();
      for (const file of [...files, new File([tokenizer], "tokenizer.json")]) transfer.items.add(file);
      const field = document.querySelector("#pick-files");
      field.files = transfer.files;
      field.dispatchEvent(new Event("change"));
    });
    await opened(page);
    await page.locator("#calibrate").getByLabel("Sequences").fill("2");
    await page.locator("#remove").fill("12");
    await page.click("#run-calibrate");
    await page.waitForSelector("#map rect.pair");
    await idle(page);
    const cells = page.locator('#map g[aria-label="cell"] rect');
    assert.equal(await cells.count(), 900);
    assert.equal(await page.locator('#map g[aria-label="text"]').count(), 0, "no values in the cells");
    assert.deepEqual((await page.locator('#map g[aria-label="x-axis tick label"] text').allTextContents()).map(Number), [0, 5, 10, 15, 20, 25]);
    assert.ok((await cells.first().boundingBox()).width >= 8);
    await cells.nth(7 * 30 + 19).hover();
    assert.match(await text(page, "#reading"), /Layers 7 and 19\s+\d\.\d{5}/);
    await page.focus("#map rect[tabindex='0']");
    for (const key of ["End", "ArrowDown", "ArrowLeft"]) await page.keyboard.press(key);
    assert.match(await text(page, "#reading"), /Layers 1 and 28\s+\d\.\d{5}/);
    assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), /^Layers 1 and 28: \d\.\d{4}/);

    await page.selectOption("#preset", "published-code-written");
    await page.getByLabel("Measure the cost right after").uncheck();
    await page.click("#run-merge");
    await page.waitForSelector("#files");
    await idle(page);
    assert.equal((await cellsOf(page, 1))[1], "18");
    const [inside, outside] = await page.evaluate(() => [...document.querySelectorAll("#proof, #proof table")].map((element) => element.scrollWidth - element.clientWidth));
    assert.ok(inside <= 0 && outside <= 0, "the proof needs no scrolling");
    assert.deepEqual(problems, []);
    await page.close();
  }
});

test("the choices at the head of the page are never cut off", async () => {
  const { page } = await openPage();
  for (const width of [320, 390, 600, 820, 870, 1000, 1400]) {
    await page.setViewportSize({ width, height: 900 });
    const cut = await page.locator(".settings select").evaluateAll((fields) => fields.map((field) => {
      const copy = field.parentElement.appendChild(field.cloneNode(true));
      copy.style.cssText = "width: max-content; max-width: none; position: absolute";
      const missing = copy.offsetWidth - field.offsetWidth;
      copy.remove();
      return missing;
    }));
    assert.ok(cut.every((missing) => missing <= 0), `${width}: ${cut}`);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${width}`);
  }
  await page.close();
});

test("what may go is what the engine lets go", async () => {
  const { page } = await openPage();
  await page.click("#open-stories260k");
  await opened(page);
  await page.getByLabel("Measure the cost right after").uncheck();
  await page.locator("#calibrate").getByLabel("Sequences").fill("2");
  await page.locator("#merge details summary", { hasText: "Choices" }).click();
  for (const [selection, combination, most] of [
    ["similarity", "average", 2],
    ["similarity", "drop", 3],
    ["block-influence", "drop", 3],
    ["window", "average", 2],
    ["window", "drop", 3],
    ["tail", "average", 3],
    ["tail", "drop", 4],
  ]) {
    await page.selectOption("#selection", selection);
    await page.selectOption("#combination", combination);
    assert.equal(Number(await page.locator("#remove").getAttribute("max")), most, `${selection}, ${combination}`);
    await page.locator("#remove").fill(String(most));
    await page.click("#run-merge");
    await idle(page);
    assert.equal(await page.locator("#error").count(), 0, `${selection}, ${combination}`);
    assert.equal((await cellsOf(page, 1))[1], String(5 - most), `${selection}, ${combination}`);
  }
  await page.close();
});

test("a file that is no recipe, and a text that is missing, are told where they were asked for", async () => {
  const { page } = await openPage();
  await page.click("#open-stories260k");
  await opened(page);
  await page.locator("#merge details summary", { hasText: "Choices" }).click();
  for (const content of ["no json", "null", '{"steps": 3}']) {
    await page.setInputFiles("#replay", { name: `${content.length}.json`, mimeType: "application/json", buffer: Buffer.from(content) });
    await page.locator("#merge #error", { hasText: `${content.length}.json is not a recipe` }).waitFor();
  }
  await page.locator("#calibrate").getByLabel("My own").check();
  await page.click("#run-calibrate");
  await page.waitForSelector("#calibrate #error");
  assert.notEqual(await page.locator("#error").getAttribute("data-code"), "");
  await page.setInputFiles("#calibrate-file", { name: "text.txt", mimeType: "text/plain", buffer: Buffer.from("Once upon a time there was a dog. ".repeat(300)) });
  await page.locator("#calibrate").getByLabel("Sequences").fill("4");
  await page.click("#run-calibrate");
  await page.waitForSelector("#map rect.pair");
  assert.equal(await page.locator("#error").count(), 0);
  await page.close();
});

test("every long step can be cancelled, and the page goes on", async () => {
  const { page, problems } = await openPage();
  await page.click("#open-demo");
  await opened(page);
  await page.locator("#compare").getByLabel("Tokens", { exact: true }).fill("2000");
  await page.locator("#compare").getByLabel("Sequences").fill("16");
  /** Cancels as soon as the named job runs. */
  const cancelIn = async (start, name) => {
    await page.click(start);
    await page.waitForFunction((name) => document.querySelector(".status .doing b")?.innerText === name, name);
    await page.click("#cancel");
    await idle(page);
    assert.match(await text(page, ".status .doing"), /Cancelled/, name);
    assert.equal(await page.locator("#error").count(), 0, name);
  };
  await page.click("#run-calibrate");
  await page.waitForSelector("#map rect.pair");
  await idle(page);
  await cancelIn("#run-merge", "Merging");
  await page.selectOption("#preset", "mka");
  for (const name of ["Measuring", "Writing"]) await cancelIn("#run-merge", name);
  await cancelIn("#run-write", "Writing");
  await page.locator("#compare").getByLabel("Tokens", { exact: true }).fill("5");
  await page.click("#run-write");
  await idle(page);
  assert.match(await text(page, ".status .doing"), /have written/);
  await page.click("#run-compare");
  await idle(page);
  assert.match(await text(page, ".status .doing"), /Perplexity/);
  assert.deepEqual(problems, []);
  await page.close();
});

test("a wrong file is told in plain words, with what to do", async () => {
  const { page, problems } = await openPage();
  await page.setInputFiles("#pick-files", [
    { name: "config.json", mimeType: "application/json", buffer: await readFile(join(DIST, "models/demo/config.json")) },
    { name: "model.safetensors", mimeType: "", buffer: Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n") },
  ]);
  const alert = page.locator('#load [role="alert"] .error');
  await alert.waitFor();
  assert.equal(await alert.getAttribute("data-code"), "not-a-checkpoint");
  assert.match(await alert.innerText(), /LFS/);
  await page.click("#open-demo");
  await opened(page);
  assert.equal(await alert.count(), 0);
  assert.deepEqual(problems, []);
  await page.close();
});

test("a model is opened by dropping its folder's files on the page", async () => {
  const { page, problems } = await openPage();
  const files = await Promise.all(
    ["config.json", "model.safetensors", "tokenizer.json"].map(async (name) => [name, (await readFile(join(DIST, "models/stories260k", name))).toString("base64")]),
  );
  const transfer = await page.evaluateHandle((files) => {
    const transfer = new DataTransfer();
    for (const [name, content] of files) transfer.items.add(new File([Uint8Array.from(atob(content), (character) => character.charCodeAt(0))], name));
    return transfer;
  }, files);
  await page.dispatchEvent("body", "dragenter", { dataTransfer: transfer });
  await page.waitForSelector(".drop-veil");
  await page.dispatchEvent("body", "drop", { dataTransfer: transfer });
  await opened(page);
  assert.equal(await page.locator(".drop-veil").count(), 0);
  assert.equal(await page.locator("#facts dd").nth(2).innerText(), "5");
  assert.deepEqual(problems, []);
  await page.close();
});

test("no width from 320 to 1600 pixels scrolls sideways, in light and dark", async () => {
  // Opened narrow and made wider, and the other way round; the colours change nothing about widths,
  // so each has one way.
  for (const [colorScheme, widths] of [["light", [320, 360, 768, 1100, 1600]], ["dark", [1600, 1100, 768, 360, 320]]]) {
    const { page, problems } = await openPage({ viewport: { width: widths[0], height: 800 }, colorScheme });
    await page.click("#open-stories260k");
    await opened(page);
    await quickly(page);
    await merge(page);
    for (const summary of await page.locator("details:not([hidden]) > summary").all()) await summary.click();
    for (const width of widths) {
      await page.setViewportSize({ width, height: 800 });
      await page.waitForTimeout(300); // the pictures are drawn anew
      const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(content <= window, `${content} of ${window} pixels, ${colorScheme}`);
    }
    assert.deepEqual(problems, []);
    await page.close();
  }
});

test("the engine and the colours can be chosen", async () => {
  const { page, problems } = await openPage();
  await page.selectOption("#engine", "webgpu");
  await page.waitForFunction(() => /WebGPU/.test(document.querySelector(".engine-now").innerText));
  await idle(page);
  await page.getByLabel("Colours").selectOption("dark");
  const dark = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  await page.getByLabel("Colours").selectOption("light");
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor), dark);
  assert.deepEqual(problems, []);
  await page.close();
});

test("every named method has its texts on the page", async () => {
  const { page } = await openPage();
  await page.click("#open-demo");
  const names = await page.locator("#preset option").evaluateAll((options) => options.map(({ value }) => value));
  for (const name of names.filter(Boolean)) {
    await page.selectOption("#preset", name);
    assert.ok(await page.locator("#selection").inputValue(), name);
    assert.ok(await page.locator("#combination").inputValue(), name);
    assert.match(await text(page, ".preset-note"), /Source/, name);
  }
  await page.close();
});

test("the page tells beforehand what a run will take, and takes a budget for weights", async () => {
  const { page, problems } = await openPage();
  await page.click("#open-stories260k");
  await opened(page);
  assert.match(await page.innerText("#forecast-merge"), /^Pairs are tried/);
  await page.click("#run-forecast");
  await page.waitForSelector("#forecast");
  assert.match(await page.innerText("#forecast"), /Expected: .* to calibrate, .* to average a pair, .* to measure .*; up to .*MB of memory/);
  assert.match(await page.innerText("#forecast-merge"), /Expected: .* to try pairs, merge and fit/);
  await page.selectOption("#preset", "mka");
  assert.equal(await page.locator("#forecast-merge").count(), 0);
  await page.locator("#calibrate summary").click();
  const budget = page.getByLabel("Weights in memory, MB");
  assert.ok(Number(await budget.inputValue()) >= 2);
  await budget.fill("3");
  await budget.press("Enter");
  await page.waitForSelector("#run-forecast");
  assert.equal(await budget.inputValue(), "3");
  assert.deepEqual(problems, []);
  await page.close();
});
