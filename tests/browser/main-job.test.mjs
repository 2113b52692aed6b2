// The main job of the built page, with the method that it begins with: as a person does it, from
// the model to the files and back.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { ALL, DASH, idle, opened, safetensorsHeader, unzip, watchedPage } from "./helpers.mjs";
import { serve } from "./server.mjs";

const BASE = "/some/sub/path/";
let server, browser;

before(async () => {
  server = await serve({ [BASE]: DIST });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

async function openPage() {
  const watched = await watchedPage(browser);
  // Without a picker the page downloads in the way that a test can see.
  await watched.page.addInitScript(() => {
    delete window.showSaveFilePicker;
    window.shifts = [];
    new PerformanceObserver((list) => window.shifts.push(...list.getEntries().filter(({ hadRecentInput }) => !hadRecentInput).map(({ value }) => value))).observe({ type: "layout-shift", buffered: true });
  });
  await watched.page.goto(server.url(BASE));
  await watched.page.waitForSelector("#open-demo");
  return watched;
}

const text = (page, selector) => page.locator(selector).innerText();
const cellsOf = (page, row) => page.locator(`#before-after tbody tr:nth-child(${row}) td`).allInnerTexts();

test("the main job: load, calibrate, look, merge, compare, keep", async () => {
  const { page, problems, requests } = await openPage();
  assert.equal(await page.locator("#facts dd").first().innerText(), DASH);

  await page.click("#open-demo");
  await opened(page);
  const facts = await page.locator("#facts dd").allInnerTexts();
  assert.deepEqual(facts.slice(1, 4), ["llama", "12", "128 wide, 4 heads"]);

  // A quarter of the text: trials and fits take a quarter of the time. The full run takes all of
  // it.
  if (!ALL) await page.locator("#calibrate").getByLabel("Sequences").fill("8");
  await page.click("#run-calibrate");
  await page.waitForSelector("#map rect.pair");
  await idle(page);
  assert.equal(await page.locator('#map g[aria-label="cell"] rect').count(), 144);
  await page.locator("#map rect.pair").first().hover();
  assert.match(await text(page, "#reading"), /Layers 0 and 1\s+0\.\d{5}/);
  assert.equal(await page.locator("#influence svg").count(), 1);

  for (const measure of ["cka", "angular", "cosine", "npib-knn", "npib"]) {
    await page.selectOption("#measure", measure);
    await idle(page);
  }

  await page.locator("#remove").fill("3");
  const promised = await text(page, "#result-size");
  assert.match(promised, /^9 layers, /);
  await page.click("#run-merge");
  await page.waitForFunction((dash) => ![dash, ""].includes(document.querySelector("#before-after tbody tr:nth-child(4) td:nth-child(3)").innerText), DASH);
  await idle(page);

  assert.equal(await page.locator("#steps li").count(), 3);
  const [before, now] = await cellsOf(page, 1);
  assert.deepEqual([before, now], ["12", "9"]);
  assert.ok(promised.includes((await cellsOf(page, 2))[1]), "the promised size is the size");
  const [perplexity, perplexityAfter] = await cellsOf(page, 4);
  assert.ok(Number(perplexity) > 5 && Number(perplexityAfter.replace(/,/g, "")) > Number(perplexity));
  assert.ok(Number((await cellsOf(page, 5))[1]) > 0);
  assert.match((await cellsOf(page, 6))[1], /^\d+\.\d\s%$/);
  for (const side of ["before", "after"]) assert.ok((await text(page, `#written-${side}`)).length > 40);
  assert.ok((await page.locator("#proof tbody tr").count()) >= 14);

  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#download-zip")]);
  const members = unzip(await readFile(await download.path()));
  const inside = Object.fromEntries(Object.entries(members).map(([name, data]) => [name.split("/").pop(), data]));
  for (const name of ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "README.md", "recipe.json", "repair.safetensors"]) {
    assert.ok(inside[name], name);
  }
  assert.equal(JSON.parse(inside["config.json"]).num_hidden_layers, 9);
  const tensors = Object.keys(safetensorsHeader(inside["model.safetensors"]));
  assert.equal(new Set(tensors.map((name) => /layers\.(\d+)\./.exec(name)?.[1]).filter(Boolean)).size, 9);

  const [single] = await Promise.all([page.waitForEvent("download"), page.locator("#files button", { hasText: "recipe.json" }).click()]);
  const recipe = { name: "recipe.json", mimeType: "application/json", buffer: await readFile(await single.path()) };
  assert.equal(JSON.parse(recipe.buffer).steps.length, 3);

  const repair = { name: "repair.safetensors", mimeType: "application/octet-stream", buffer: inside["repair.safetensors"] };
  for (const [how, files] of [["with its repairs", [recipe, repair]], ["fitted anew", [recipe]]]) {
    await page.setInputFiles("#replay", files);
    await page.waitForTimeout(50);
    await idle(page);
    assert.equal((await cellsOf(page, 4))[1], perplexityAfter, `the recipe replayed ${how} measures the same`);
  }

  const origin = new URL(server.url("/")).origin;
  assert.deepEqual(requests.filter((url) => !url.startsWith(origin + BASE) && !url.startsWith(`blob:${origin}`)), []);
  assert.deepEqual(problems, []);
  const shift = (await page.evaluate(() => window.shifts)).reduce((sum, value) => sum + value, 0);
  // The limit of smooth.test.mjs: on a busy machine what a step reports comes in more pieces.
  assert.ok(shift < 0.05, `layout shift ${shift}`);
  await page.close();
});
