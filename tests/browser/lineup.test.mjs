// The line-up on the page: what it shows is about the model that is open, each button says which,
// and axe finds no fault.
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

/** The page with a small model open and less work than the defaults. */
async function smallPage() {
  const watched = await watchedPage(browser, { reducedMotion: "reduce" });
  const { page } = watched;
  await page.goto(server.url("/"));
  await page.click("#open-stories260k");
  await opened(page);
  const fill = async (part, label, value) => {
    await page.locator(part).getByLabel(label, { exact: true }).first().fill(value);
    await page.keyboard.press("Tab");
  };
  await fill("#calibrate", "Sequences", "4");
  return { ...watched, fill };
}

/** That page, with ShortGPT measured at 1 and 2 layers. */
async function linedUp() {
  const { page, problems, fill } = await smallPage();
  await page.click("#open-lineup");
  await page.waitForSelector("#lineup-methods");
  assert.ok(await page.getByLabel("MKA, the paper").last().isChecked(), "this is MKA Lab");
  for (const box of (await page.locator("#lineup-methods input:checked").all()).reverse()) await box.uncheck();
  await page.locator("#lineup-methods").getByLabel("ShortGPT", { exact: false }).first().check();
  await fill("#lineup", "Layers to remove", "1, 2");
  await page.click("#run-lineup");
  await page.waitForSelector("#lineup-table tbody tr:nth-child(2)");
  await idle(page);
  return { page, problems };
}

test("the line-up ends with the model that it is about, and its buttons say which point they take", async () => {
  const { page, problems } = await linedUp();
  const takes = page.locator("#lineup-table button");
  const names = await takes.allInnerTexts();
  assert.equal(names.length, 2);
  assert.equal(new Set(names).size, 2, `${names}`);
  assert.match(names[0], /ShortGPT.*1 removed, seed 0/s);
  await page.evaluate(() => document.querySelectorAll("#lineup details").forEach((details) => (details.open = true)));
  await page.click("#run-cloze");
  await page.waitForSelector("#cloze-result");
  await idle(page);
  await takes.last().click();
  await page.waitForSelector("#lineup-table tr.chosen");
  await idle(page);
  assert.deepEqual(await faults(page), []);

  await page.click("#open-demo");
  await page.waitForFunction(() => document.querySelector("#facts dd:nth-of-type(1)").innerText && !document.querySelector(".status.busy"));
  await page.waitForFunction(() => !document.querySelector("#lineup-table"));
  assert.equal(await page.locator("#cloze-result").count(), 0);
  assert.deepEqual(problems, []);
  await page.close();
});

test("a method has one colour and one glyph in every picture, and its legend shows both", async () => {
  const { page, problems } = await linedUp();
  /** What each line of a picture's legend and its points look like: "name: colour, outline". */
  const looks = (place) => page.evaluate((place) => {
    const legend = [...document.querySelectorAll(`${place} .series-legend li`)].map((item) => {
      const mark = item.querySelector("path, circle");
      return [item.lastChild.textContent, getComputedStyle(mark).stroke, mark.getAttribute("d") ?? mark.tagName];
    });
    const plot = [...document.querySelectorAll(`${place} svg.plot`)].at(-1);
    const marks = [...plot.querySelectorAll("path, circle")].map((mark) => getComputedStyle(mark).stroke);
    return { legend, marks };
  }, place);
  // The line-up on this model, and the curves of the finished run.
  const here = await looks(".lineup-chart");
  assert.equal(here.legend.length, 1);
  await page.click("#show-finished");
  await page.waitForSelector("#perplexity .series-legend li");
  const there = await looks("#perplexity");
  assert.ok(there.legend.some(([name]) => name === "This tool's own"), "the run on the screen is in its own picture");
  const [name, stroke, outline] = here.legend[0];
  const same = there.legend.find(([other]) => other === name);
  assert.deepEqual(same.slice(0, 2), [name, stroke]);
  assert.equal(same[2][0], outline[0]);
  assert.equal(new Set(there.legend.map(([, stroke]) => stroke)).size, there.legend.length);
  for (const { legend, marks } of [here, there]) for (const [, stroke] of legend) assert.ok(marks.includes(stroke), `${stroke}: ${marks}`);
  // One original, one perplexity: the line-up's first text is the one that the page measures on.
  const on = page.locator("#lineup label").filter({ hasText: /^\s*On/ }).locator("select");
  assert.match(await on.inputValue(), /built-in held-out text/);
  const removed = await page.locator("#lineup-table tbody tr td:nth-child(2)").allInnerTexts();
  assert.deepEqual(removed, [...removed].sort((a, b) => a - b));
  assert.deepEqual(problems, []);
  await page.close();
});

test("more evidence by clicks: a text at each depth, questions by letter, a recipe edited and held against the other", async () => {
  const { page, problems } = await linedUp();
  await page.evaluate(() => document.querySelectorAll("#lineup details").forEach((details) => (details.open = true)));

  await page.locator("#lineup-depths button").first().click();
  await page.waitForSelector("#lineup-depths li:nth-child(2)");
  await idle(page);
  const depths = await page.locator("#lineup-depths li").allInnerTexts();
  assert.ok(depths.length >= 2 && depths.every((depth) => /\d/.test(depth)), `${depths}`);

  await page.locator("#lineup-table button").first().click();
  await page.waitForSelector("#lineup-table tr.chosen");
  await idle(page);
  const csv = "Where is the cat?,house,tree,box,bed,A\nWho is sad?,the dog,the boy,the sun,the car,B\n";
  await page.setInputFiles("#choice-csv", { name: "questions.csv", mimeType: "text/csv", buffer: Buffer.from(csv) });
  await page.click("#run-choice");
  await page.waitForSelector("#choice-result tbody tr:nth-child(2)");
  await idle(page);
  for (const row of await page.locator("#choice-result tbody tr").all()) {
    const [perplexity, accuracy] = await row.locator("td").allInnerTexts();
    assert.ok(Number(perplexity.replaceAll(",", "")) > 1 && /\d/.test(accuracy), `${perplexity} ${accuracy}`);
  }

  await page.locator("#lineup-recipes button").first().click();
  const recipe = JSON.parse(await page.inputValue("#recipe-text"));
  assert.equal(recipe.steps.length, 1);
  const gone = recipe.steps[0].gone === 1 ? 2 : 1;
  recipe.steps[0] = { keep: gone - 1, gone, alpha: 1 };
  await page.fill("#recipe-text", JSON.stringify(recipe));
  await page.keyboard.press("Tab");
  await page.click("#replay-edited");
  await page.waitForSelector("#recipes-compared");
  await idle(page);
  const cells = await page.locator("#recipes-compared tbody td").allInnerTexts();
  assert.equal(cells.length, 2);
  assert.notEqual(cells[0], cells[1]);
  assert.deepEqual(await faults(page), []);
  assert.deepEqual(problems, []);
  await page.close();
});

test("a file that cannot be read is told in the line-up", async () => {
  const { page, problems } = await smallPage();
  await page.click("#open-lineup");
  await page.waitForSelector("#recipe-file", { state: "attached" });
  await page.evaluate(() => (File.prototype.arrayBuffer = () => Promise.reject(new DOMException("gone", "NotFoundError"))));
  await page.setInputFiles("#recipe-file", { name: "recipe.json", mimeType: "application/json", buffer: Buffer.from("{}") });
  await page.locator("#lineup #error").waitFor();
  assert.deepEqual(problems, []);
  await page.close();
});
