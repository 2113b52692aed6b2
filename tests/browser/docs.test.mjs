// The documentation site: every link and anchor of its own is there, its pages are for everybody,
// and its elements run.
import assert from "node:assert/strict";
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { made } from "../../xtask/book/charts.mjs";
import { DIST, launch } from "./chromium.mjs";
import { faults, watchedPage } from "./helpers.mjs";
import { serve } from "./server.mjs";

const DOCS = join(DIST, "docs");
let server, browser, pages;

before(async () => {
  pages = (await readdir(DOCS)).filter((name) => name.endsWith(".html"));
  server = await serve({ "/sub/path/": DIST });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

test("every internal link and anchor leads somewhere; nothing is left to fill in", async (t) => {
  const texts = new Map();
  const text = async (file) => texts.get(file) ?? texts.set(file, await readFile(file, "utf8")).get(file);
  const outside = new Set();
  for (const name of pages) {
    const file = join(DOCS, name);
    const html = await text(file);
    assert.ok(!/\{\{\s*[#/]/.test(html.replace(/<pre>[^]*?<\/pre>/g, "")) && !html.includes("{{#include"), `${name}: an include was not found`);
    for (const [, address] of html.replace(/<pre>[^]*?<\/pre>/g, "").matchAll(/\s(?:href|src)="([^"]+)"/g)) {
      const plain = address.replaceAll("&amp;", "&");
      if (/^(\w+:|\/\/)/.test(plain)) {
        outside.add(plain);
        continue;
      }
      const [path, anchor] = plain.split("#");
      const target = path === "" ? file : resolve(dirname(file), decodeURIComponent(path.split("?")[0]));
      assert.ok((await stat(target).catch(() => undefined))?.isFile(), `${name}: ${plain} (${relative(DIST, target)}) is missing`);
      if (anchor) assert.ok((await text(target)).includes(`id="${decodeURIComponent(anchor)}"`), `${name}: ${plain} has no such anchor`);
    }
  }
  t.diagnostic(`not asked for: ${[...outside].join(" ") || "no external links"}`);
});

test("the summary names every page of docs/", async () => {
  const contents = await readFile(join(DOCS, "index.html"), "utf8");
  const sources = (await readdir(fileURLToPath(new URL("../../docs", import.meta.url)))).filter((name) => name.endsWith(".md") && name !== "SUMMARY.md");
  for (const name of sources) assert.ok(contents.includes(`href="${name.replace(/\.md$/, ".html")}"`), `docs/SUMMARY.md has no line for ${name}`);
});

test("the charts and tables are those of the figures in docs/data", async () => {
  for (const [path, content] of made()) {
    const found = await readFile(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8");
    assert.equal(found, content, `${path}: run node xtask/book/charts.mjs`);
  }
});

test("the policy in the documentation is that of the page", async () => {
  const [guide, page] = await Promise.all(["docs/host.md", "www/index.html"].map((path) => readFile(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8")));
  const [, told] = /## Policy[^]*?```text\n([^]*?)```/.exec(guide);
  const [, used] = /http-equiv="Content-Security-Policy"\s+content="([^"]+)"/.exec(page);
  assert.equal(told.trim().replace(/\s+/g, " "), used);
});

for (const [colorScheme, width] of [["light", 1400], ["dark", 360]]) {
  test(`axe finds no fault on any page, nothing is asked of another origin, ${colorScheme}, ${width} pixels`, async () => {
    const { page, problems, requests } = await watchedPage(browser, { colorScheme, viewport: { width, height: 900 } });
    for (const name of pages) {
      await page.goto(server.url(`/sub/path/docs/${name}`));
      await page.waitForFunction(() => customElements.get("mka-lab"));
      assert.deepEqual(await faults(page), [], name);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} scrolls sideways`);
    }
    assert.ok(requests.every((url) => new URL(url).origin === server.url("") || url.startsWith("blob:")));
    assert.deepEqual(problems, []);
    await page.close();
  });
}

test("an element in the text runs, in the colours of the book", async () => {
  const { page, problems } = await watchedPage(browser, { colorScheme: "dark" });
  await page.goto(server.url("/sub/path/docs/element.html"));
  const element = page.locator("mka-lab");
  await element.getByRole("button", { name: "Run it here" }).click();
  await page.waitForFunction(() => document.querySelector("mka-lab").status === "done");
  assert.match(await element.getByRole("status").innerText(), /5 layers became 4/);
  assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector("mka-lab")).color), "rgb(227, 235, 236)");
  assert.deepEqual(await faults(page), []);
  assert.deepEqual(problems, []);
  await page.close();
});
