// What the page weighs before anybody asks it for something, and with the engine, which comes with
// the first thing that is asked.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { DIST, launch } from "./chromium.mjs";
import { watchedPage } from "./helpers.mjs";
import { serve } from "./server.mjs";

/** Bytes, each file gzipped on its own; `cargo xtask test` hands it over from wasm-pack.toml. */
const BUDGET = process.env.MKA_FIRST_LOAD_BUDGET;
let server, browser;

before(async () => {
  server = await serve({ "/": DIST });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

const skip = !BUDGET && "MKA_FIRST_LOAD_BUDGET is not set";

/**
 * As it is measured from outside: what the server was asked for by the page and its workers.
 * Without a service worker, which would fetch for later visits what this one does not need.
 */
async function weigh(t, what, viewport, files, act = async () => {}) {
  const { page } = await watchedPage(browser, { viewport, serviceWorkers: "block" });
  server.requests.length = 0;
  await page.goto(server.url());
  await page.waitForSelector("#open-demo");
  await act(page);
  await page.waitForLoadState("networkidle");
  await page.waitForTimeout(1000);
  await page.close();
  const names = new Set(server.requests.map(({ path }) => path.slice(1) || "index.html").filter((name) => files.test(name)));
  const weights = await Promise.all([...names].map(async (name) => [name, gzipSync(await readFile(join(DIST, name)), { level: 9 }).length]));
  weights.sort(([, a], [, b]) => b - a);
  const sum = weights.reduce((total, [, bytes]) => total + bytes, 0);
  for (const [name, bytes] of weights) t.diagnostic(`${String(bytes).padStart(9)}  ${name}`);
  t.diagnostic(`${String(sum).padStart(9)}  ${what}, of ${BUDGET}`);
  assert.ok(sum <= Number(BUDGET), `${what}: ${sum} bytes gzipped, ${BUDGET} allowed`);
  return [...names];
}

test("the page and the engine are within the budget of the first load", { skip }, async (t) => {
  // A window in which no picture is in sight: what draws them comes with the first that is, and is
  // weighed with the first visit below.
  const names = await weigh(t, "page and engine", { width: 800, height: 600 }, /\.(html|js|css|wasm)$/, (page) =>
    page.evaluate(async () => {
      const { Lab } = await import(new URL("mka.js", document.baseURI));
      (await Lab.create({ backend: "cpu" })).close();
    }),
  );
  for (const part of [/^index\.html$/, /^mka\.js$/, /^mka-worker-.*\.js$/, /^mka_lab_bg-.*\.wasm$/, /\.css$/]) assert.ok(names.some((name) => part.test(name)), String(part));
});

test("the first visit is, with the finished run and its pictures, and needs no engine", { skip }, async (t) => {
  const names = await weigh(t, "the first visit", { width: 1400, height: 900 }, /./, (page) => page.waitForSelector("#map rect.pair"));
  assert.ok(names.some((name) => name.startsWith("precomputed/")) && !names.some((name) => name.endsWith(".wasm")), names.join(" "));
});
