// What a visitor sees before anything runs, and the pictures. (That it can be computed:
// run-here.test.mjs.)
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { DIST, launch } from "./chromium.mjs";
import { faults, opened, watchedPage } from "./helpers.mjs";
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

test("a finished run is on screen at once, said to be precomputed, without engine, worker or model", async () => {
  const { page, problems, requests } = await openPage();
  assert.match(await text(page, "#example"), /computed earlier.*12 layers/s);
  assert.match(await text(page, "#example"), /Precomputed with mka-lab [\d.]+ on .+, \d{4}-\d\d-\d\d, seed 0/);
  assert.equal(await page.locator('#map g[aria-label="cell"] rect').count(), 144);
  assert.equal(await page.locator("#manifold .points circle").count(), 512);
  assert.equal(await page.locator(".layer").count(), 12);
  for (const name of ["influence", "stream", "stack", "perplexity"]) assert.ok(await page.locator(`#${name} svg`).count(), name);
  const rows = await page.locator("#before-after tbody tr td:nth-child(3)").allInnerTexts();
  assert.deepEqual(rows.filter((value) => !/\d/.test(value)), []);
  for (const side of ["before", "after"]) assert.ok((await text(page, `#written-${side}`)).length > 60);
  for (const measure of ["npib-knn", "cosine", "angular", "cka"]) {
    await page.selectOption("#measure", measure);
    await page.locator("#map rect.pair").first().hover();
    assert.match(await text(page, "#reading"), /\d ± \d/, measure);
  }
  assert.ok(!(await text(page, ".engine-now")).includes("CPU"));
  assert.deepEqual(requests.filter((url) => /wasm|worker|safetensors|models\//.test(url)), []);
  assert.deepEqual(problems, []);
  await page.close();
});

test("what the first visit loads is small", async () => {
  const { page, requests } = await openPage();
  const own = requests.map((url) => new URL(url).pathname).filter((path) => path !== "/");
  const files = await Promise.all(["index.html", ...own].map((path) => readFile(`${DIST}/${path}`)));
  const total = files.reduce((sum, file) => sum + gzipSync(file).length, 0);
  assert.ok(total < 400_000, `${total} bytes: ${own.join(", ")}`);
  const run = gzipSync(await readFile(`${DIST}/precomputed/demo.json`)).length;
  assert.ok(run < 200_000, `the run has ${run} bytes`);
  await page.close();
});

test("the layers can be played, scrubbed and chosen; one token is lit in all of them", async () => {
  const { page, problems } = await openPage();
  const where = () => page.locator("#manifold .points circle").evaluateAll((points) => points.map((point) => point.getAttribute("cx")).join());
  const first = await where();
  await page.click("#play");
  await page.waitForFunction(() => document.querySelector("#scrub").value === "8");
  assert.notEqual(await where(), first);
  await page.click("#play");
  const paused = await page.locator("#scrub").inputValue();
  await page.waitForTimeout(1800);
  assert.equal(await page.locator("#scrub").inputValue(), paused);
  await page.locator("#scrub").fill("7");
  assert.equal(await page.locator('.layer[aria-pressed="true"]').innerText(), "7");
  await page.locator(".layer").nth(3).click();
  assert.equal(await page.locator("#scrub").inputValue(), "3");
  await page.waitForTimeout(900);

  await page.locator("#manifold .points circle").nth(100).hover({ force: true });
  assert.match(await text(page, "#lit-token"), /….+….*sequence \d+, position \d+/s);
  assert.ok((await text(page, "#lit-token mark")).trim().length > 0);
  assert.equal(await page.locator('.layer .halo[visibility="visible"]').count(), 12);

  await page.focus("#manifold circle[tabindex='0']");
  const before = await text(page, "#lit-token");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowDown");
  assert.notEqual(await text(page, "#lit-token"), before);
  assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), /^“.+” in “.+”, sequence \d+, position \d+$/);

  for (const colouring of ["position", "sequence", "token"]) {
    await page.selectOption("#colouring", colouring);
    const colours = await page.locator("#manifold .points circle").evaluateAll((points) => new Set(points.map((point) => getComputedStyle(point).fill)).size);
    assert.equal(colours, 8, colouring);
  }
  await page.locator(".groups button").first().click();
  assert.ok((await page.locator("#manifold .points .dim").count()) > 200);
  assert.deepEqual(problems, []);
  await page.close();
});

test("who wants less motion sees the next layer at once", async () => {
  const { page } = await openPage({ reducedMotion: "reduce" });
  const moved = await page.evaluate(async () => {
    const point = document.querySelector("#manifold .points circle");
    const before = point.getAttribute("cx");
    document.querySelectorAll(".layer")[3].click();
    await new Promise((resolve) => setTimeout(resolve));
    const soon = point.getAttribute("cx");
    await new Promise((resolve) => setTimeout(resolve, 900));
    return [before, soon, point.getAttribute("cx")];
  });
  assert.notEqual(moved[0], moved[1]);
  assert.equal(moved[1], moved[2]);
  await page.close();
});

test("the focus stays on its cell when the map is drawn anew", async () => {
  const { page } = await openPage();
  await page.focus("#map rect[tabindex='0']");
  for (const key of ["ArrowDown", "ArrowDown", "ArrowRight"]) await page.keyboard.press(key);
  const label = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
  const before = await label();
  assert.match(before, /^Layers 2 and 2/);
  await page.setViewportSize({ width: 1000, height: 800 });
  await page.waitForTimeout(400);
  assert.equal(await label(), before);
  await page.close();
});

test("the finished run is drawn again after a model was open and closed", async () => {
  const { page, problems } = await openPage();
  const pictures = ['#map g[aria-label="cell"] rect', "#manifold .points circle", ".layer"];
  const counts = () => Promise.all(pictures.map((selector) => page.locator(selector).count()));
  const before = await counts();
  await page.click("#open-demo");
  await opened(page);
  assert.deepEqual(await counts(), [0, 0, 0]);
  await page.goBack();
  for (const selector of pictures) await page.waitForSelector(selector);
  assert.deepEqual(await counts(), before);
  assert.deepEqual(problems, []);
  await page.close();
});

test("each picture gives its values as a table, CSV, PNG and SVG", async () => {
  const { page, problems } = await openPage();
  for (const name of ["map", "influence", "stream", "cloud", "stack", "perplexity", "texts"]) {
    await page.locator(`#${name}-table summary`).click();
    // opening is told a moment later
    await page.waitForSelector(`#${name}-table tbody tr:nth-child(2)`);
    assert.ok((await page.locator(`#${name}-table tbody tr`).count()) >= 2, name);
    for (const kind of ["CSV", "PNG", "SVG"]) {
      await page.waitForTimeout(120); // Chromium drops what is beyond ten downloads in a second
      const [download] = await Promise.all([page.waitForEvent("download"), page.click(`#${name} [data-take=${kind}]`)]);
      assert.equal(download.suggestedFilename(), `${name}.${kind.toLowerCase()}`);
      const file = await readFile(await download.path());
      if (kind === "CSV") assert.ok(file.toString("utf8").split("\r\n").length > 3, name);
      if (kind === "PNG") assert.ok(file.subarray(1, 4).toString() === "PNG" && file.length > 2000, name);
      if (kind === "SVG") assert.match(file.toString("utf8"), /^<svg[^>]* xmlns=.*<\/svg>$/s, name);
    }
  }
  const [whole] = await Promise.all([page.waitForEvent("download"), page.click("#cloud [data-take=CSV]")]);
  assert.equal((await readFile(await whole.path(), "utf8")).trim().split(/\r\n(?=\d)/).length, 1 + 12 * 512, "every layer");
  assert.deepEqual(problems, []);
  await page.close();
});

test("the diagram shows the merge step by step, and the curves tell the chosen depth", async () => {
  const { page } = await openPage();
  const label = () => page.locator("#stack svg").getAttribute("aria-label");
  assert.match(await label(), /^12 layers become 10\. .*Layer \d+ now is/);
  await page.locator("#stack-steps").fill("1");
  assert.match(await label(), /^12 layers become 11\./);
  await page.locator("#stack-steps").fill("0");
  assert.match(await label(), /^12 layers become 12\./);
  await page.locator("#perplexity svg").last().click({ position: { x: 400, y: 100 } });
  assert.match(await text(page, "#at-depth"), /^With \d removed: .*\d/);
  await page.close();
});

for (const [colorScheme, width] of [["light", 1400], ["dark", 360]]) {
  test(`axe finds no fault in the pictures and their tables, ${colorScheme}, ${width} pixels`, async () => {
    const { page } = await openPage({ colorScheme, viewport: { width, height: 900 } });
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
    await page.locator(".groups button").first().click();
    await page.focus("#manifold circle[tabindex='0']");
    await page.waitForSelector("#cloud-table tbody tr");
    assert.deepEqual(await faults(page, {}), []);
    const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(content <= window, `${content} of ${window} pixels`);
    await page.close();
  });
}
