// The way home of a merged model in several large files: into a folder, as an archive, cancelled in
// the middle, onto a full disk.
import assert from "node:assert/strict";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { idle, merge, opened, quickly, unzip, watchedPage } from "./helpers.mjs";
import { writeModel } from "./large.mjs";
import { serve } from "./server.mjs";

const SHARDS = 4;
/** Bytes of a shard. */
const SHARD = 40 << 20;
let browser, server, context, page;

before(async () => {
  server = await serve({ "/": DIST });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/**
 * A page with a merged model whose output is made large: its own files, and shards of 40 MB made of
 * repeated slices. The pickers give folders and files of the private file system, since a script
 * can't use the browser's dialogs.
 */
beforeEach(async () => {
  context = await browser.newContext();
  ({ page } = await watchedPage(context));
  await page.addInitScript(([shards, size]) => {
    window.largest = 0;
    const write = FileSystemWritableFileStream.prototype.write;
    FileSystemWritableFileStream.prototype.write = function (chunk) {
      window.largest = Math.max(window.largest, chunk.size ?? chunk.byteLength);
      return write.call(this, chunk);
    };
    window.home = async () => (await navigator.storage.getDirectory()).getDirectoryHandle("home", { create: true });
    window.showDirectoryPicker = window.home;
    window.showSaveFilePicker = async ({ suggestedName }) => (await window.home()).getFileHandle(suggestedName, { create: true });
    window.names = async (folder) => {
      const found = [];
      for await (const handle of (folder ?? (await window.home())).values()) {
        if (handle.kind === "directory") found.push(...(await window.names(handle)));
        else found.push([handle.name, (await handle.getFile()).size]);
      }
      return found;
    };
    /** Gives every merged model more files. */
    window.enlarge = async () => {
      const { MergedModel } = await import(new URL("mka.js", document.baseURI));
      const { files } = MergedModel.prototype;
      MergedModel.prototype.files = async function (options) {
        const own = (await files.call(this, options)).filter(({ name }) => !name.startsWith("model"));
        const part = new Blob([new Uint8Array(1 << 20).fill(7)]);
        const blob = new Blob(Array(size / part.size).fill(part));
        const name = (at) => `model-${String(at + 1).padStart(5, "0")}-of-${String(shards).padStart(5, "0")}.safetensors`;
        const index = { name: "model.safetensors.index.json", blob: new Blob(["{}"]) };
        return [...own, ...Array.from({ length: shards }, (_, at) => ({ name: name(at), blob })), index];
      };
    };
  }, [SHARDS, SHARD]);
  await page.goto(server.url("/"));
  await page.waitForSelector("#open-stories260k");
  await page.evaluate(() => enlarge());
  await page.click("#open-stories260k");
  await opened(page);
  await quickly(page);
  await page.getByLabel("Measure the cost right after").uncheck();
  await merge(page);
});

afterEach(() => context.close());

/** The job starts after the picker has answered. */
const saved = () => page.waitForFunction(() => /Saved/.test(document.querySelector(".status .doing").innerText));
const names = () => page.evaluate(() => names());
const shardsOf = (files) => files.filter(([name, size]) => /^model-0000\d-of-00004\.safetensors$/.test(name) && size === SHARD);
const limit = async (quotaSize) =>
  (await context.newCDPSession(page)).send("Storage.overrideQuotaForOrigin", { origin: new URL(server.url("/")).origin, quotaSize });

test("a folder gets every file, slice by slice", async () => {
  assert.match(await page.locator("#files-note").innerText(), /16\d\sMB/);
  await page.click("#save-folder");
  await saved();
  const found = await names();
  assert.equal(shardsOf(found).length, SHARDS);
  for (const name of ["config.json", "tokenizer.json", "recipe.json", "README.md", "model.safetensors.index.json"]) assert.ok(found.some(([there]) => there === name), name);
  assert.ok((await page.evaluate(() => largest)) <= 4 << 20, "never more than a slice at once");
});

test("a save that is cancelled leaves nothing of its own behind", async () => {
  await page.click("#save-folder");
  await page.waitForFunction(() => Number.parseInt(document.querySelector(".status .share").innerText) >= 30);
  await page.click("#cancel");
  await idle(page);
  assert.match(await page.locator(".status .doing").innerText(), /Cancelled/);
  assert.deepEqual(await names(), []);
  assert.equal(await page.evaluate(async () => (await (await home()).keys().next()).done), true, "the folder is gone, too");
});

test("a full disk is told, what was written is removed, and what was there before stays", async () => {
  await limit(100_000_000);
  await page.click("#save-folder");
  const error = page.locator('#keep [role="alert"] .error');
  await error.waitFor();
  assert.equal(await error.getAttribute("data-code"), "storage");
  assert.match(await error.innerText(), /model-0000\d-of-00004\.safetensors could not be written: the disk is full.*Make room/s);
  await idle(page);
  assert.deepEqual(await names(), []);

  await page.click("#download-zip");
  await page.locator('#keep [role="alert"] .error', { hasText: ".zip could not be written: the disk is full" }).waitFor();
  await idle(page);
  assert.deepEqual(await names(), []);

  const kept = await page.evaluate(async () => {
    const folder = await (await home()).getDirectoryHandle("mine", { create: true });
    const write = async (name, text) => {
      const writable = await (await folder.getFileHandle(name, { create: true })).createWritable();
      await writable.write(text);
      await writable.close();
    };
    await write("model-00002-of-00004.safetensors", "before");
    await write("notes.txt", "mine");
    const { Lab } = await import(new URL("mka.js", document.baseURI));
    const lab = await Lab.create({ backend: "cpu" });
    const model = await lab.open(new URL("models/stories260k/", document.baseURI));
    const merged = await model.merge({ selection: "manual", pairs: [[1, 2]], combination: "drop" });
    const { code, message, hint } = await merged.save(folder).catch((error) => error);
    return { code, message, hint, names: (await names(folder)).sort() };
  });
  assert.equal(kept.code, "storage");
  assert.match(kept.message + kept.hint, /00003-of-00004.*disk is full.*are new already: model-00002/s);
  assert.deepEqual(kept.names, [["model-00002-of-00004.safetensors", SHARD], ["notes.txt", 4]]);
});

test("an archive is streamed into a file", async () => {
  await page.click("#download-zip");
  await saved();
  const [[name, size]] = await names();
  assert.match(name, /^stories260k-4-layers\.zip$/);
  assert.ok(size > SHARDS * SHARD);
});

test("an archive that is cancelled leaves no file", async () => {
  await page.click("#download-zip");
  await page.waitForFunction(() => Number.parseInt(document.querySelector(".status .share").innerText) >= 20);
  await page.click("#cancel");
  await idle(page);
  assert.deepEqual(await names(), []);
});

test("without a picker the archive is downloaded, and so is each file", async () => {
  await page.evaluate(() => delete window.showSaveFilePicker);
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#download-zip")]);
  const members = unzip(await readFile(await download.path()));
  assert.equal(Object.entries(members).filter(([name, data]) => name.includes("-of-00004") && data.length === SHARD && data[SHARD - 1] === 7).length, SHARDS);
  await idle(page);
  const [single] = await Promise.all([page.waitForEvent("download"), page.locator("#files button", { hasText: "00003-of-00004" }).click()]);
  const file = await open(await single.path());
  assert.equal((await file.stat()).size, SHARD);
  await file.close();
});

test("an output above 4 GB leaves in shards that no array ever holds, each at its place in the index", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mka-shards-"));
  const shape = { layers: 12, hidden: 4096, intermediate: 14_336, heads: 32, kvHeads: 8, headSize: 128, vocabulary: 32_000, tied: false, shards: false };
  const { files } = writeModel(folder, shape, { real: [] }); // 5.8 GB of holes
  await page.evaluate(() => document.body.insertAdjacentHTML("beforeend", '<input type="file" multiple id="large">'));
  await page.setInputFiles("#large", files);
  const { saved, largest, index, bytes } = await page.evaluate(async () => {
    // without the files that were added above
    const { Lab } = await import(new URL("mka.js?unchanged", document.baseURI));
    const lab = await Lab.create({ backend: "cpu" });
    const model = await lab.open([...document.querySelector("#large").files]);
    const merged = await model.merge({ selection: "manual", pairs: [[1, 2]], combination: "drop" });
    // Counts what would be written: the disk of a test has no room for it.
    const saved = {};
    let largest = 0;
    let text = "";
    const directory = {
      async getFileHandle(name, { create = false } = {}) {
        if (!create) throw new DOMException("", "NotFoundError");
        saved[name] = 0;
        return {
          createWritable: async () => ({
            async write(chunk) {
              const { byteLength } = await chunk.arrayBuffer();
              saved[name] += byteLength;
              largest = Math.max(largest, byteLength);
              if (name.endsWith(".index.json")) text += await chunk.text();
            },
            async close() {},
            async abort() {},
          }),
        };
      },
      async removeEntry() {},
    };
    await merged.save(directory);
    const { bytes } = merged.summary;
    lab.close();
    return { saved, largest, index: JSON.parse(text), bytes };
  });
  await rm(folder, { recursive: true });
  const shards = Object.entries(saved).filter(([name]) => /^model-\d{5}-of-\d{5}\.safetensors$/.test(name));
  assert.ok(shards.length >= 2 && shards.every(([, size]) => size <= 4e9 + 1e6), JSON.stringify(saved));
  assert.ok(shards.reduce((sum, [, size]) => sum + size, 0) >= bytes && bytes > 4e9);
  assert.ok(largest <= 4 << 20);
  assert.deepEqual([...new Set(Object.values(index.weight_map))].sort(), shards.map(([name]) => name).sort());
});
