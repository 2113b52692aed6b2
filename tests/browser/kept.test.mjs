// Downloads that are kept in the browser's private file system: offline afterwards, deleted, broken
// off, in two tabs, with a full disk.
import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { PAGES } from "./helpers.mjs";
import { COMMIT, hub } from "./hub.mjs";
import { serve } from "./server.mjs";

const TEXT = "Once upon a time there was a little dog. ".repeat(5);
const NAME = "hub:tiny/demo";
let folder, browser, server, remote, context, page, total;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mka-kept-"));
  await cp(join(DIST, "models/demo"), join(folder, "demo"), { recursive: true });
  await rm(join(folder, "demo/mka-files.json"));
  await pad(join(folder, "demo/model.safetensors"), 40 << 20);
  server = await serve({ "/app/": DIST, "/pages/": PAGES, "/models/": folder });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Adds a tensor that no family reads, so that a run does not touch all of the file. */
async function pad(path, bytes) {
  const file = await readFile(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, start));
  header["unused.padding"] = { dtype: "U8", shape: [bytes], data_offsets: [file.length - start, file.length - start + bytes] };
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  await writeFile(path, Buffer.concat([length, json, file.subarray(start), Buffer.alloc(bytes, 1)]));
}

/** Each test has a storage of its own, and a hub that it may end. */
beforeEach(async () => {
  remote = await hub({ "tiny/demo": { folder: join(folder, "demo") } });
  context = await browser.newContext();
  page = await tab();
});

afterEach(async () => {
  await context.close();
  await remote.close();
});

async function tab() {
  const page = await context.newPage();
  await page.goto(server.url("/pages/interface.html"));
  await start(page);
  return page;
}

async function start(page) {
  await page.waitForFunction(() => window.mka);
  await page.evaluate(async ([hub, text]) => {
    window.lab = await mka.Lab.create({ backend: "cpu" });
    window.warnings = [];
    lab.onWarning = ({ code, message, hint }) => warnings.push({ code, message, hint });
    window.open = async (source, options) => (window.model = await lab.open(source, { hub, ...options })) && undefined;
    window.measure = () => model.evaluate({ text, window: 32, sequences: 1 }).then(({ perplexity }) => perplexity);
    window.said = ({ name, code, message, hint }) => ({ name, code, message, hint });
  }, [remote.url, TEXT]);
}

async function reload() {
  await page.reload();
  await start(page);
}

const open = (options = {}, source = NAME) => page.evaluate(([source, options]) => open(source, options), [source, options]);
const measure = () => page.evaluate(() => measure());
const stored = (from = page) => from.evaluate(() => lab.stored());
const download = () => page.evaluate(async () => {
  const steps = [];
  await model.download({ onProgress: ({ step, done, total, unit }) => steps.push({ step, done, total, unit }) });
  return steps;
});

test("what was read is kept, the rest can be downloaded, and all of it works without the hub after a reload", async () => {
  await open({ keep: true });
  const perplexity = await measure();
  const [part] = await stored();
  assert.deepEqual([part.source, part.hub, part.commit], [NAME, remote.url, COMMIT]);
  assert.ok(part.bytes > 4e6 && part.bytes < part.total && !part.complete);
  const steps = await download();
  assert.ok(steps.length > 0 && steps.every(({ step, unit }) => step === "download" && unit === "bytes"));
  const [whole] = await stored();
  assert.ok(whole.complete && whole.bytes === whole.total);
  const sizes = await Promise.all(["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"].map(async (name) => (await readFile(join(folder, "demo", name))).length));
  total = sizes.reduce((sum, size) => sum + size, 0);
  assert.equal(whole.total, total);

  await remote.close();
  await reload();
  await open();
  assert.equal(await measure(), perplexity);
  const names = await page.evaluate(async () => {
    const merged = await model.merge({ selection: "manual", pairs: [[1, 2]], combination: "average", alpha: 0.5 });
    const files = await merged.files();
    const size = (await files.find(({ name }) => name === "model.safetensors").blob.arrayBuffer()).byteLength;
    return { names: files.map(({ name }) => name), size };
  });
  assert.ok(names.names.includes("tokenizer.json") && names.size > 3e6);
});

test("with the network switched off, too; and what is not kept is told", async () => {
  await open({ keep: true });
  await measure();
  await context.setOffline(true);
  await open();
  await context.setOffline(false);
  await page.evaluate((hub) => mka.forget("hub:tiny/demo", { hub }), remote.url);
  await context.setOffline(true);
  const error = await page.evaluate(() => open("hub:tiny/demo").catch(said));
  assert.equal(error.code, "network");
  assert.match(error.message, /offline/);
  assert.match(error.hint, /kept on this device/);
});

test("a kept model asks the hub for its commit only, and a new commit takes the place of the old one", async () => {
  await open({ keep: true });
  await download();
  remote.requests.length = 0;
  await open({ keep: true });
  const perplexity = await measure();
  assert.deepEqual(remote.requests.map(({ path }) => path), ["/tiny/demo/resolve/main/config.json"]);

  const next = join(folder, "next");
  await cp(join(folder, "demo"), next, { recursive: true });
  const bytes = await readFile(join(next, "model.safetensors"));
  bytes[bytes.length - 1] ^= 1;
  await writeFile(join(next, "model.safetensors"), bytes);
  remote.models["tiny/demo"] = { folder: next, commit: "f".repeat(40), revisions: { old: COMMIT } };
  await page.evaluate(() => (window.old = model) && undefined);
  await open({ keep: true });
  const models = await stored();
  assert.equal(models.length, 1);
  assert.equal(models[0].commit, "f".repeat(40));
  assert.ok(models[0].bytes > 0 && !models[0].complete);
  assert.ok(Math.abs((await measure()) - perplexity) < 0.1);
});

test("a folder's URL is kept as well, and checked against the server", async () => {
  const url = server.url("/models/demo/");
  await open({ keep: true }, url);
  await download();
  const perplexity = await measure();
  const [kept] = await stored();
  assert.equal(kept.source, url);
  assert.ok(kept.complete);
  server.requests.length = 0;
  await open({}, url);
  assert.equal(await measure(), perplexity);
  const weights = server.requests.filter(({ path }) => path.endsWith(".safetensors"));
  assert.ok(weights.length <= 1, "the weights are looked at, not read");
  await page.evaluate((url) => lab.forget(url), url);
  assert.deepEqual(await stored(), []);
});

test("forgetting deletes the bytes; a model that is open reads over the network again", async () => {
  await open({ keep: true });
  await download();
  const perplexity = await measure();
  const before = await page.evaluate(async () => (await navigator.storage.estimate()).usage);
  await page.evaluate((hub) => lab.forget("hub:tiny/demo", { hub }), remote.url);
  const usage = await page.evaluate(async () => (await navigator.storage.estimate()).usage);
  assert.ok(before - usage > total * 0.9, `${before} ${usage}`);
  assert.deepEqual(await stored(), []);
  assert.equal(await measure(), perplexity);
  assert.deepEqual(await page.evaluate(() => warnings), []);
});

test("a download that is cancelled goes on where it ended", async () => {
  await open({ keep: true });
  remote.faults.push({ path: /large/, times: -1, delay: 100 });
  const name = await page.evaluate(async () => {
    const abort = new AbortController();
    const onProgress = ({ done }) => done > 5e6 && abort.abort();
    return model.download({ signal: abort.signal, onProgress }).then(() => "ended", (error) => error.name);
  });
  assert.equal(name, "AbortError");
  remote.faults.length = 0;
  await reload();
  await open({ keep: true });
  const [part] = await stored();
  assert.ok(part.bytes > 5e6 && !part.complete);
  remote.requests.length = 0;
  await download();
  assert.ok((await stored())[0].complete);
  const read = remote.weights().reduce((sum, { range }) => {
    const [start, end] = range.slice(6).split("-").map(Number);
    return sum + end + 1 - start;
  }, 0);
  assert.ok(read <= part.total - part.bytes, "nothing is downloaded twice");
});

test("what a crash left behind is no piece, and a damaged piece is read anew", async () => {
  await open({ keep: true });
  await download();
  const perplexity = await measure();
  await page.evaluate(async () => {
    const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("mka-lab");
    const weights = [];
    const walk = async (folder) => {
      for await (const handle of folder.values()) {
        if (handle.kind === "directory") await walk(handle);
        else if (handle.name !== "model.json") weights.push([folder, handle]);
      }
    };
    await walk(root);
    const [folder, piece] = weights.find(([, { name }]) => name === "2");
    const cut = await piece.createWritable();
    await cut.write(new Uint8Array(1000));
    await cut.close();
    const part = await (await folder.getFileHandle("3.part", { create: true })).createWritable();
    await part.write("half");
    await part.close();
  });
  await reload();
  remote.requests.length = 0;
  await open({ keep: true });
  assert.equal(await measure(), perplexity);
  assert.equal(remote.weights().length, 1);
});

test("two tabs keep the same model at the same time", async () => {
  const other = await tab();
  const load = (page) => page.evaluate(async () => {
    await open("hub:tiny/demo", { keep: true });
    await model.download();
    return [await measure(), warnings.length];
  });
  const found = await Promise.all([load(page), load(other)]);
  assert.deepEqual(found[0], found[1]);
  assert.equal(found[0][1], 0);
  assert.ok((await stored())[0].complete);
  remote.requests.length = 0;
  assert.equal(await measure(), found[0][0]);
  assert.deepEqual(remote.weights(), []);
});

test("a full disk ends the keeping, not the run, and says what to do", async () => {
  const session = await context.newCDPSession(page);
  const limit = (quotaSize) => session.send("Storage.overrideQuotaForOrigin", { origin: new URL(server.url("/")).origin, ...(quotaSize && { quotaSize }) });
  await limit(1);
  await open({ keep: true });
  assert.deepEqual(await page.evaluate(() => warnings.splice(0).map(({ code }) => code)), ["storage"]);
  await limit(20_000_000);
  await open({ keep: true });
  const perplexity = await measure();
  const [warning] = await page.evaluate(() => warnings);
  assert.equal(warning.code, "storage");
  assert.match(warning.message, /hub:tiny\/demo is not kept/);
  assert.match(warning.hint, /Delete kept models/);
  const error = await page.evaluate(() => model.download().catch(said));
  assert.equal(error.code, "storage");
  assert.match(error.hint, /Delete kept models/);
  assert.equal(await measure(), perplexity, "the model goes on");

  // The browser may promise more than there is: the disk is full in the middle.
  await limit(undefined);
  await page.evaluate((hub) => lab.forget("hub:tiny/demo", { hub }), remote.url);
  await page.evaluate(() => (warnings.length = 0));
  await open({ keep: true });
  await limit(19_000_000);
  assert.equal(await measure(), perplexity);
  const later = await page.evaluate(() => warnings);
  assert.equal(later.length, 1, JSON.stringify(later));
  assert.match(later[0].message, /is not kept any further/);
  const full = await page.evaluate(() => model.download().catch(said));
  assert.equal(full.code, "storage");
  await limit(undefined);
  await download();
  assert.ok((await stored())[0].complete);
});

test("a server without ranges: the whole file comes once, is told when it is large, and can be kept", async () => {
  remote.faults.push({ path: /large/, times: -1, ignoreRange: true });
  await open({ keep: true });
  await measure();
  assert.equal(remote.weights().length, 1);
  const [{ code, message }] = await page.evaluate(() => warnings);
  assert.equal(code, "network");
  assert.match(message, /no parts of files.*4\d MB/);
  assert.ok((await stored())[0].complete || (await download()) && (await stored())[0].complete);
  assert.equal(remote.weights().length, 1);
});

test("a download that fails before its first byte leaves nothing in the list", async () => {
  for (const source of [server.url("/models/nowhere/"), "hub:tiny/nowhere"]) {
    const error = await page.evaluate((source) => open(source, { keep: true }).catch(said), source);
    assert.ok(error?.code, source);
    assert.deepEqual(await stored(), [], source);
  }
});

test("a model from files has nothing to download", async () => {
  const error = await page.evaluate(async () => {
    const files = await Promise.all(["config.json", "model.safetensors"].map(async (name) => new File([await (await fetch(`/app/models/demo/${name}`)).blob()], name)));
    return (await lab.open(files)).download().catch(said);
  });
  assert.equal(error.code, "bad-argument");
});
