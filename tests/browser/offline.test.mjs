// Without a network: what the service worker keeps, that it mixes no two builds, and what it leaves
// alone.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFile, cp, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { DIST, launch } from "./chromium.mjs";
import { PAGES } from "./helpers.mjs";
import { hub } from "./hub.mjs";
import { serve } from "./server.mjs";

const OFFLINE = fileURLToPath(new URL("../../www/scripts/offline.mjs", import.meta.url));
let folder, browser;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mka-offline-"));
  await cp(DIST, join(folder, "site"), { recursive: true });
  finish();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Makes the service worker of the site as it is now. */
const finish = () => execFileSync(process.execPath, [OFFLINE, join(folder, "site")], { stdio: "pipe" });
const mounts = () => ({ "/lab/": join(folder, "site"), "/pages/": PAGES, "/other/": PAGES });
// 127.0.0.1: on localhost the page keeps nothing.
const address = (server) => server.url("/lab/", "127.0.0.1");
const build = (page) => page.locator('meta[name="mka-build"]').getAttribute("content");

async function visit(context, url) {
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(url);
  return page;
}

/** Runs the interface on a built-in model, in the page; the perplexity. */
const run = (page, model) => page.evaluate(async (model) => {
  const { Lab } = await import("./mka.js");
  const lab = await Lab.create({ backend: "cpu" });
  const opened = await lab.open(`models/${model}/`);
  const calibration = await opened.calibrate({ sequences: 4, window: 64, rows: 96 });
  const merged = await opened.merge({ calibration, remove: 1 });
  const { merged: after } = await merged.evaluate({ text: "Once upon a time there was a little dog. ".repeat(20), window: 32 });
  lab.close();
  return after.perplexity;
}, model);

test("after one visit the page and a run of the demo work without a network", async () => {
  const server = await serve(mounts());
  const url = address(server);
  const context = await browser.newContext();
  const first = await visit(context, url);
  await first.waitForFunction(() => navigator.serviceWorker.controller);
  const wanted = await run(first, "demo");
  await first.close();
  await server.close();

  const problems = [];
  const second = await visit(context, url);
  second.on("pageerror", (error) => problems.push(error.message));
  assert.match(await second.title(), /MKA Lab/);
  assert.equal(await run(second, "demo"), wanted);
  const missing = await run(second, "stories260k").catch((error) => error.message);
  assert.match(missing, /could not be reached|missing|404|Failed/, "what was never used is not there, and that is said");
  assert.equal(await second.evaluate(() => fetch("embed.html?model=demo").then(({ ok }) => ok)), true, "parameters do not matter");
  const { size } = await stat(join(folder, "site/models/demo/model.safetensors"));
  const parts = await second.evaluate(async () => {
    const get = (range) => fetch("models/demo/model.safetensors", { headers: { Range: range } });
    const [one, end] = [await get("bytes=10-19"), await get("bytes=999999999-")];
    return { status: one.status, length: (await one.arrayBuffer()).byteLength, range: one.headers.get("Content-Range"), beyond: end.status };
  });
  assert.deepEqual(parts, { status: 206, length: 10, range: `bytes 10-19/${size}`, beyond: 416 });
  assert.deepEqual(problems, []);
  await context.close();
});

test("a model of a hub that is kept runs with neither the page's server nor the hub", async () => {
  const stories = join(folder, "stories");
  await cp(join(DIST, "models/stories260k"), stories, { recursive: true });
  const [server, remote] = await Promise.all([serve(mounts()), hub({ "tiny/stories": { folder: stories } })]);
  const url = address(server);
  const context = await browser.newContext();
  const use = async () => {
    const page = await visit(context, url);
    await page.waitForFunction(() => navigator.serviceWorker.controller);
    return page.evaluate(async (hub) => {
      const { Lab } = await import("./mka.js");
      const lab = await Lab.create({ backend: "cpu" });
      const model = await lab.open("hub:tiny/stories", { hub, keep: true });
      const { perplexity } = await model.evaluate({ text: "Once upon a time there was a little dog. ".repeat(9), window: 32, sequences: 1 });
      lab.close();
      return perplexity;
    }, remote.url);
  };
  const wanted = await use();
  await Promise.all([server.close(), remote.close()]);
  assert.equal(await use(), wanted);
  await context.close();
});

test("it can be installed", async () => {
  const server = await serve(mounts());
  const page = await visit(await browser.newContext(), address(server));
  const manifest = await page.evaluate(async () => {
    const link = document.querySelector("link[rel=manifest]");
    const found = await (await fetch(link.href)).json();
    const icons = await Promise.all(found.icons.map(async ({ src, sizes }) => {
      const image = new Image();
      image.src = new URL(src, link.href).href;
      await image.decode();
      return [sizes, `${image.naturalWidth}x${image.naturalHeight}`];
    }));
    return { ...found, icons };
  });
  assert.ok(manifest.name && manifest.start_url && manifest.display === "standalone");
  for (const [said, is] of manifest.icons) if (said !== "any") assert.equal(is, said);
  assert.deepEqual(manifest.icons.map(([sizes]) => sizes), ["any", "192x192", "512x512", "512x512"]);
  await page.context().close();
  await server.close();
});

test("it answers for its own files only", async () => {
  const server = await serve(mounts());
  const context = await browser.newContext();
  const page = await visit(context, address(server));
  await page.waitForFunction(() => navigator.serviceWorker.controller);
  server.requests.length = 0;
  await page.evaluate(() => Promise.all(["/pages/foreign.html", "nothing.json", "mka.js", "/other/foreign.html"].map((path) => fetch(path))));
  const asked = server.requests.map(({ path }) => path).sort();
  assert.deepEqual(asked, ["/lab/nothing.json", "/other/foreign.html", "/pages/foreign.html"], "its own come from the cache");
  const stored = await page.evaluate(async () => {
    const keys = await Promise.all((await caches.keys()).map(async (name) => (await (await caches.open(name)).keys()).map(({ url }) => new URL(url).pathname)));
    return keys.flat();
  });
  assert.ok(stored.includes("/lab/mka.js") && stored.every((path) => path.startsWith("/lab/") && !path.includes("/models/")));
  const outside = await visit(context, server.url("/pages/foreign.html", "127.0.0.1"));
  assert.equal(await outside.evaluate(() => navigator.serviceWorker.controller), null, "a page elsewhere on the origin is left alone");
  await context.close();
  await server.close();
});

test("a full disk ends the keeping, not the answers", async () => {
  const program = join(folder, "site/sw.js");
  const whole = await readFile(program, "utf8");
  await writeFile(program, `const put = Cache.prototype.put;
    Cache.prototype.put = function (key, response) {
      return String(key).includes("/models/") ? Promise.reject(new DOMException("full", "QuotaExceededError")) : put.call(this, key, response);
    };
    ${whole}`);
  const server = await serve(mounts());
  const context = await browser.newContext();
  const page = await visit(context, address(server));
  await page.waitForFunction(() => navigator.serviceWorker.controller);
  assert.ok((await run(page, "demo")) > 1);
  assert.equal(await page.evaluate(async () => (await caches.match("models/demo/config.json")) === undefined), true);
  await context.close();
  await server.close();
  await writeFile(program, whole);
});

test("a newer build takes over at the next visit, as a whole; until then the old one is whole too", async () => {
  const server = await serve(mounts());
  const url = address(server);
  const context = await browser.newContext();
  const first = await visit(context, url);
  await first.waitForFunction(() => navigator.serviceWorker.controller);
  const [old, wanted] = [await build(first), await run(first, "demo")];

  // The newer build: another wasm file under another name, another mka.js under the same one.
  const site = join(folder, "site");
  const [wasm] = (await readdir(site)).filter((name) => name.endsWith(".wasm"));
  const renamed = wasm.replace(/-\w+\.wasm$/, "-newer00.wasm");
  await rename(join(site, wasm), join(site, renamed));
  const program = await readFile(join(site, "mka.js"), "utf8");
  await writeFile(join(site, "mka.js"), `${program.replaceAll(wasm, renamed)}\nexport const newer = true;\n`);
  await appendFile(join(site, "texts/fables.txt"), "\n");
  finish();

  const second = await visit(context, url);
  assert.equal(await build(second), old);
  assert.equal(await second.evaluate(async () => (await import("./mka.js")).newer), undefined);
  assert.equal(await run(second, "demo"), wanted, "with the wasm file that belongs to it, which the server no longer has");
  await second.evaluate(async () => {
    const registration = await navigator.serviceWorker.ready;
    await registration.update();
    while (!registration.waiting) await new Promise((resolve) => setTimeout(resolve, 50));
  });
  assert.equal(await run(second, "demo"), wanted, "also while the newer one waits");
  await first.close();
  await second.close();

  let third = await visit(context, url);
  // The browser may need a moment to see that no page of the old build is left.
  for (let tries = 0; tries < 20 && (await build(third)) === old; tries += 1) {
    await third.close();
    await new Promise((resolve) => setTimeout(resolve, 200));
    third = await visit(context, url);
  }
  assert.notEqual(await build(third), old);
  assert.equal(await third.evaluate(async () => (await import("./mka.js")).newer), true);
  server.requests.length = 0;
  assert.equal(await run(third, "demo"), wanted);
  assert.deepEqual(server.requests.filter(({ path }) => path.includes("models/demo")), [], "the model is the same, and was kept");
  const names = await third.evaluate(() => caches.keys());
  assert.equal(names.length, 1, "the old build is gone");
  await context.close();
  await server.close();
});

test("a build that is not whole is not kept", async () => {
  const server = await serve(mounts());
  await appendFile(join(folder, "site/mka.js"), "\n// half of another build\n");
  const context = await browser.newContext();
  const page = await visit(context, address(server));
  await page.waitForTimeout(2000);
  assert.deepEqual(await page.evaluate(async () => [(await caches.keys()).length, navigator.serviceWorker.controller]), [0, null]);
  assert.match(await page.title(), /MKA Lab/);
  await context.close();
  await server.close();
});
