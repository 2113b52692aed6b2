// What several test files need: a page with its console and requests watched, files, and archives
// read back.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { DIST } from "./chromium.mjs";

export const PAGES = fileURLToPath(new URL("pages", import.meta.url));
const WWW = new URL("../../www/", import.meta.url);
export const FIXTURES = fileURLToPath(new URL("../fixtures", import.meta.url));

/**
 * A new page. `problems` collects what the console must not say; `requests` every address that it
 * asked for.
 */
export async function watchedPage(browser, options = {}) {
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 }, ...options });
  const problems = [];
  const requests = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") problems.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`uncaught: ${error.message}`));
  page.on("request", (request) => requests.push(request.url()));
  // the method that the page starts with takes a minute on a slow machine
  page.setDefaultTimeout(180_000);
  return { page, problems, requests };
}

const axe = await readFile(createRequire(new URL("../../www/package.json", import.meta.url)).resolve("axe-core/axe.min.js"), "utf8");

/**
 * Everything that axe finds fault with, as text; the size of targets is a rule of WCAG 2.2 that it
 * checks only if asked.
 */
export async function faults(page, options = { rules: { "target-size": { enabled: true } } }, within = "html") {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe);
  // Only faults, and as text: all that axe has looked at takes longer to hand over than to look at.
  return page.evaluate(async ([within, options]) => {
    const { violations } = await window.axe.run(within, { ...options, resultTypes: ["violations"] });
    return violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${target}: ${failureSummary}`));
  }, [within, options]);
}

/** What the page shows where there is no value yet. */
export const DASH = "—";

/** Waits until nothing runs. */
export const idle = (page) => page.waitForFunction(() => !document.querySelector(".status.busy"));

/** Waits until a model is open and nothing runs. */
export async function opened(page) {
  await page.waitForFunction((dash) => document.querySelector("#facts dd").innerText !== dash, DASH);
  await idle(page);
}

/**
 * Whether all of a matrix is run, or what has found faults before: `cargo xtask test --all` and
 * `cargo xtask test`.
 */
export const ALL = process.env.MKA_TESTS === "all";

/**
 * Less text, and a method that tries nothing, for tests that need a merged model and not how it
 * came about: the method that the page begins with tries a dozen merges and fits each. Call it when
 * a model is open.
 */
export async function quickly(page) {
  await page.selectOption("#preset", "mka");
  for (const [part, sequences] of [["#calibrate", 4], ["#compare", 2]]) {
    await page.locator(part).getByLabel("Sequences").fill(String(sequences));
    await page.keyboard.press("Tab");
  }
}

/** Merges, and waits until the result is measured and offered. */
export async function merge(page) {
  await page.click("#run-merge");
  await page.waitForSelector("#files");
  await idle(page);
}

/** Computes the example in this browser, and waits for it. */
export async function runHere(page) {
  await page.click("#run-here");
  await page.waitForSelector("#agreement, #error", { timeout: 400_000 });
  await idle(page);
}

/** A module of the page's sources, for tests of what needs no page. */
export async function sourceModule(path) {
  const { build } = await import(pathToFileURL(createRequire(new URL("../../www/package.json", import.meta.url)).resolve("vite")).href);
  const entry = fileURLToPath(new URL(`../../www/src/${path}`, import.meta.url));
  const [{ output }] = await build({ configFile: false, logLevel: "silent", build: { write: false, minify: false, lib: { entry, formats: ["es"] } } });
  return import(`data:text/javascript,${encodeURIComponent(output[0].code)}`);
}

/** A page that has the interface as `window.mka`. */
export async function interfacePage(browser, server) {
  const watched = await watchedPage(browser);
  await watched.page.goto(server.url("/pages/interface.html"));
  await watched.page.waitForFunction(() => window.mka);
  return watched;
}

/** A file of a built-in model, as base64 for the page. */
export async function modelFile(model, name) {
  return (await readFile(join(DIST, "models", model, name))).toString("base64");
}

/** The members of a zip archive whose members are stored: { name: Buffer }. */
export function unzip(archive) {
  let end = archive.length - 22;
  while (archive.readUInt32LE(end) !== 0x06054b50) end -= 1;
  const members = {};
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left -= 1) {
    const [method, size] = [archive.readUInt16LE(at + 10), archive.readUInt32LE(at + 24)];
    const [nameLength, extra, comment] = [28, 30, 32].map((field) => archive.readUInt16LE(at + field));
    const local = archive.readUInt32LE(at + 42);
    const name = archive.toString("utf8", at + 46, at + 46 + nameLength);
    if (method !== 0) throw new Error(`${name} is compressed`);
    const data = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
    members[name] = archive.subarray(data, data + size);
    at += 46 + nameLength + extra + comment;
  }
  return members;
}

/** The header of a safetensors file: { tensor: { dtype, shape, data_offsets } }. */
export function safetensorsHeader(file) {
  return JSON.parse(file.toString("utf8", 8, 8 + Number(file.readBigUInt64LE(0))));
}

/** One tensor of a safetensors file as a typed array. */
export function safetensor(file, name) {
  const start = 8 + Number(file.readBigUInt64LE(0));
  const { dtype, data_offsets } = safetensorsHeader(file)[name];
  const bytes = new Uint8Array(file.subarray(start + data_offsets[0], start + data_offsets[1])).buffer;
  const kinds = { F32: Float32Array, F64: Float64Array, I32: Int32Array };
  return new kinds[dtype](bytes);
}

/** A module of the page that needs no browser. */
export async function bundled(path) {
  const { rolldown } = createRequire(new URL("package.json", WWW))("rolldown");
  const bundle = await rolldown({ input: fileURLToPath(new URL(path, WWW)), treeshake: true });
  const { output } = await bundle.generate({ format: "es" });
  await bundle.close();
  return import(`data:text/javascript;base64,${Buffer.from(output[0].code).toString("base64")}`);
}
