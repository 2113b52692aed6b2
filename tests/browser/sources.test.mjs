// Where a model may come from: folders behind URLs on servers of several manners, files in folders,
// another origin.
import assert from "node:assert/strict";
import { cp, mkdtemp, open, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { FIXTURES, interfacePage, PAGES, watchedPage } from "./helpers.mjs";
import { serve } from "./server.mjs";

const TEXT = "Once upon a time there was a little dog. ".repeat(5);
let folder, browser, plain, whole, page;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mka-models-"));
  await cp(join(DIST, "models/stories260k"), join(folder, "bare"), { recursive: true });
  await rm(join(folder, "bare/mka-files.json"));
  const mounts = { "/app/": DIST, "/pages/": PAGES, "/models/": folder, "/fixtures/": FIXTURES };
  [plain, whole] = await Promise.all([serve(mounts), serve(mounts, { ranges: false })]);
  browser = await launch();
  ({ page } = await interfacePage(browser, plain));
  await page.evaluate(async () => {
    window.lab = await mka.Lab.create({ backend: "cpu" });
    window.measure = async (source, text) => {
      const model = await lab.open(source);
      const { perplexity } = await model.evaluate({ text, window: 32, sequences: 1 });
      model.close();
      return perplexity;
    };
  });
});

after(async () => {
  await browser?.close();
  await Promise.all([plain?.close(), whole?.close()]);
  await rm(folder, { recursive: true, force: true });
});

const measure = (source) => page.evaluate(([source, text]) => measure(source, text), [source, TEXT]);

test("a folder with and without a list of its files, with and without ranges, gives one result", async () => {
  const listed = await measure(plain.url("/app/models/stories260k"));
  assert.ok(listed > 1);
  plain.requests.length = 0;
  assert.equal(await measure(plain.url("/models/bare/")), listed);
  const weights = plain.requests.filter(({ path }) => path.endsWith("model.safetensors"));
  assert.ok(weights.length > 1 && weights.every(({ range }) => range?.startsWith("bytes=")), "the weights are read by range");
  assert.equal(await measure(whole.url("/models/bare/")), listed);
  assert.equal(await measure(whole.url("/app/models/stories260k")), listed);
  const asked = whole.requests.filter(({ path }) => path === "/models/bare/model.safetensors");
  assert.equal(asked.length, 1, "a server without ranges is asked once");
});

test("a merge that reads layers again and again asks its server for the file once more, not for each", async () => {
  plain.requests.length = 0;
  const steps = await page.evaluate(async (source) => {
    const model = await lab.open(source);
    const calibration = await model.calibrate({ sequences: 4, window: 64, rows: 96 });
    const merged = await model.merge({ preset: "loss-guided", remove: 2, calibration });
    const { length } = merged.recipe.steps;
    merged.close();
    model.close();
    return length;
  }, plain.url("/app/models/demo/"));
  assert.equal(steps, 2);
  const weights = plain.requests.filter(({ path }) => path.endsWith("model.safetensors"));
  const bytes = (range) => range.match(/\d+/g).map(Number).reduce((start, end) => end + 1 - start);
  const sum = weights.reduce((sum, { range }) => sum + bytes(range), 0);
  const { size } = await stat(join(DIST, "models/demo/model.safetensors"));
  assert.ok(sum <= 2.1 * size, `${sum} of ${size} bytes in ${weights.length} requests`);
});

test("files of a chosen folder, one folder deeper too, and one that was changed", async () => {
  const found = await page.evaluate(async (text) => {
    const load = async (prefix) => {
      const files = [];
      for (const name of ["config.json", "model.safetensors", "tokenizer.json"]) {
        const blob = await (await fetch(`/app/models/stories260k/${name}`)).blob();
        const file = new File([blob], name);
        if (prefix) Object.defineProperty(file, "webkitRelativePath", { value: prefix + name });
        files.push(file);
      }
      if (prefix) {
        const other = new File(["x"], "notes.txt");
        Object.defineProperty(other, "webkitRelativePath", { value: "top/notes.txt" });
        files.push(other);
      }
      return files;
    };
    const results = [];
    for (const prefix of ["", "top/", "top/inner/"]) results.push(await measure(await load(prefix), text));
    const transfer = new DataTransfer();
    for (const file of await load("")) transfer.items.add(file);
    results.push(await measure(transfer.files, text));
    return results;
  }, TEXT);
  assert.equal(new Set(found).size, 1);
});

test("a model in shards behind a URL gives the logits of transformers", async () => {
  const { input_ids, logits_last: wanted } = JSON.parse(await readFile(join(FIXTURES, "llama-sharded/reference.json"), "utf8"));
  const found = await page.evaluate(async ([url, ids]) => {
    const model = await lab.open(url);
    const { values } = await model.logits({ ids });
    model.close();
    return [...values];
  }, [plain.url("/fixtures/llama-sharded/"), input_ids]);
  const largest = Math.max(...wanted.map(Math.abs));
  assert.equal(found.length, wanted.length);
  wanted.forEach((value, at) => assert.ok(Math.abs(value - found[at]) <= 1e-4 * largest, `logit ${at}`));
});

test("weights behind the first 4 GiB of a file are read right, and kept right", async () => {
  const far = join(folder, "far");
  await cp(join(folder, "bare"), far, { recursive: true });
  const plainFile = await readFile(join(far, "model.safetensors"));
  const start = 8 + Number(plainFile.readBigUInt64LE(0));
  const header = JSON.parse(plainFile.toString("utf8", 8, start));
  const hole = 4.5 * 2 ** 30;
  for (const [name, tensor] of Object.entries(header)) if (name !== "__metadata__") tensor.data_offsets = tensor.data_offsets.map((at) => at + hole);
  const json = Buffer.from(JSON.stringify({ ...header, hole: { dtype: "U8", shape: [hole], data_offsets: [0, hole] } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = await open(join(far, "model.safetensors"), "w"); // sparse: the hole takes no room
  await file.write(Buffer.concat([length, json]), 0, undefined, 0);
  await file.write(plainFile.subarray(start), 0, undefined, 8 + json.length + hole);
  await file.close();
  const wanted = await measure(plain.url("/models/bare/"));
  assert.equal(await measure(plain.url("/models/far/")), wanted);
  const kept = await page.evaluate(async ([url, text]) => {
    const found = [];
    for (const keep of [true, false]) {
      const model = await lab.open(url, { keep });
      found.push((await model.evaluate({ text, window: 32, sequences: 1 })).perplexity);
      model.close();
    }
    const [{ total, bytes }] = await lab.stored();
    await lab.forget(url);
    return { found, total, bytes };
  }, [plain.url("/models/far/"), TEXT]);
  assert.deepEqual(kept.found, [wanted, wanted]);
  assert.ok(kept.total > hole && kept.bytes < 100e6);
});

test("a connection that breaks off in every long answer is taken up again where it broke", async () => {
  const wanted = await measure(plain.url("/models/bare/"));
  await page.evaluate(async (url) => (window.remote = await lab.open(url)) && undefined, plain.url("/models/bare/"));
  plain.broken = true;
  plain.requests.length = 0;
  const found = await page.evaluate((text) => remote.evaluate({ text, window: 32, sequences: 1 }), TEXT);
  plain.broken = false;
  assert.equal(found.perplexity, wanted);
  const ends = plain.requests.filter(({ path }) => path.endsWith("model.safetensors")).map(({ range }) => range.split("-")[1]);
  assert.ok(ends.some((end, at) => end === ends[at - 1]), "the rest of a range is asked for");
});

test("a slow download can be cancelled", async () => {
  const slow = await serve({ "/models/": folder }, { delay: 1500 });
  const name = await page.evaluate(async (url) => {
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 200);
    return lab.open(url, { signal: abort.signal }).then(() => "opened", (error) => error.name);
  }, slow.url("/models/bare/"));
  await slow.close();
  assert.equal(name, "AbortError");
});

test("mka.js works when it is imported from another origin", async () => {
  const { page: foreign, problems } = await watchedPage(browser);
  await foreign.goto(plain.url("/pages/foreign.html", "127.0.0.1"));
  const seen = await foreign.evaluate(async ([url, text]) => {
    const { Lab } = await import(url);
    const lab = await Lab.create({ backend: "cpu" });
    const model = await lab.open(new URL("models/stories260k/", url));
    const calibration = await model.calibrate({ sequences: 3, window: 64, rows: 48 });
    const { perplexity } = await model.evaluate({ text, window: 32, sequences: 1 });
    return { origin: location.origin, rows: calibration.info.rows, perplexity };
  }, [plain.url("/app/mka.js"), TEXT]);
  assert.notEqual(seen.origin, new URL(plain.url("/")).origin);
  assert.equal(seen.rows, 48);
  assert.ok(seen.perplexity > 1);
  assert.deepEqual(problems, []);
  await foreign.close();
});

test("a host that does not share its files is told apart", async () => {
  const closed = await serve({ "/app/": DIST }, { cors: false });
  const failed = await page.evaluate(
    (url) => lab.open(url).then(() => undefined, ({ code, message }) => ({ code, message })),
    closed.url("/app/models/demo", "127.0.0.1"),
  );
  await closed.close();
  assert.equal(failed.code, "network");
  assert.match(failed.message, /CORS/);
});
