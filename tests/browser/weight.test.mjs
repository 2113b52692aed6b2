// What the page weighs before anybody asks it for something, and the engine that comes with the first thing that is asked.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { DIST, launch } from "./chromium.mjs";
import { watchedPage } from "./helpers.mjs";
import { serve } from "./server.mjs";

/** Bytes, each file gzipped on its own; `cargo xtask test` hands it over from wasm-pack.toml. */
const BUDGET = process.env.MKA_FIRST_LOAD_BUDGET;

test("the first load is within its budget", { skip: !BUDGET && "MKA_FIRST_LOAD_BUDGET is not set" }, async (t) => {
  const server = await serve({ "/": DIST });
  const browser = await launch();
  const { page, requests } = await watchedPage(browser);
  await page.goto(server.url());
  await page.waitForLoadState("networkidle");
  await page.waitForTimeout(1000);
  await browser.close();
  await server.close();
  const asked = requests.filter((url) => url.startsWith(server.url())).map((url) => new URL(url).pathname.slice(1) || "index.html");
  const engine = (await readdir(DIST)).filter((name) => /^mka(-worker-.*\.js|_lab_bg-.*\.wasm|\.js)$/.test(name));
  assert.equal(engine.length, 3, "the interface, its worker and its wasm file");
  // The pictures of the finished run come with the first visit, the engine when it is asked for: each is weighed with the page.
  const html = await readFile(join(DIST, "index.html"), "utf8");
  const shell = asked.filter((name) => name === "index.html" || html.includes(`./${name}`));
  for (const [what, names] of [["the first visit", asked], ["the page and the engine", [...shell, ...engine]]]) {
    const weights = await Promise.all([...new Set(names)].map(async (name) => [name, gzipSync(await readFile(join(DIST, name)), { level: 9 }).length]));
    weights.sort(([, a], [, b]) => b - a);
    const sum = weights.reduce((total, [, bytes]) => total + bytes, 0);
    for (const [name, bytes] of weights) t.diagnostic(`${String(bytes).padStart(9)}  ${name}`);
    t.diagnostic(`${String(sum).padStart(9)}  ${what}, of ${BUDGET}`);
    assert.ok(sum <= Number(BUDGET), `${what}: ${sum} bytes gzipped, ${BUDGET} allowed`);
  }
});
