// Faults that no input leads to, made on purpose: memory that ends, a device that is lost, a disk
// that is full at any place, a tab that is closed while it saves. The page says so, it goes on, and
// nothing of the user's is lost. docs/checks.md lists all faults and their tests.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { interfacePage, PAGES } from "./helpers.mjs";
import { serve } from "./server.mjs";

let server, browser;
before(async () => {
  server = await serve({ "/app/": DIST, "/pages/": PAGES });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.close();
});

const FABLE = "A Fox one day spied a beautiful bunch of ripe grapes hanging from a vine. ".repeat(60);

/** A page with a lab, and a way to say how a call failed. */
async function withLab(from, backend, prepare = () => {}) {
  const watched = await interfacePage({ newPage: async (options) => {
    const page = await from.newPage(options);
    await page.addInitScript(prepare);
    return page;
  } }, server);
  await watched.page.evaluate(async (backend) => {
    window.failure = (promise) => promise.then(() => "it did not fail", ({ code, message, hint }) => ({ code, message, hint }));
    window.lab = await mka.Lab.create({ backend });
    window.model = await lab.open("/app/models/stories260k");
  }, backend);
  return watched;
}

test("memory that ends is told as that, and the model stays open", async () => {
  const small = await launch({ flags: ["--js-flags=--wasm-max-mem-pages=700"] });
  try {
    const { page } = await withLab(small, "cpu");
    const { failed, perplexity } = await page.evaluate(async (text) => {
      const whole = text.repeat(3000); // 14 MB, of which every token is wanted
      const failed = await failure(model.calibrate({ text: whole, window: 256, sequences: 16, seed: 1, from: "all" }).then(() => model.logits({ text: whole })));
      return { failed, perplexity: (await model.evaluate({ text, window: 16, sequences: 2 })).perplexity };
    }, FABLE);
    assert.equal(failed.code, "out-of-memory", JSON.stringify(failed));
    assert.ok(failed.message.length < 700 && failed.hint);
    assert.ok(perplexity > 1);
  } finally {
    await small.close();
  }
});

/** In a page: every worker keeps the device that its engine was given, in `device`. */
function catchDevices() {
  const { Worker } = window;
  const script = (text) => URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  const patch = script(`
    const request = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (descriptor) {
      return (globalThis.device = await request.call(this, descriptor));
    };
  `);
  window.Worker = class extends Worker {
    constructor(url, options) {
      super(script(`import "${patch}"; import ${JSON.stringify(String(url))};`), options);
    }
  };
}

test("a device that is lost is told, and the next step has another one", async () => {
  const { page } = await withLab(browser, "webgpu", catchDevices);
  await page.evaluate(async (text) => void (window.first = await model.evaluate({ text, window: 16, sequences: 2 })), FABLE);
  const run = page.evaluate((text) => failure(model.calibrate({ text, window: 64, sequences: 12 })), FABLE);
  await page.waitForTimeout(100);
  await page.workers().at(-1).evaluate(() => device.destroy());
  const failed = await run;
  assert.equal(failed.code, "device-lost", JSON.stringify(failed));
  assert.match(failed.hint, /next step starts another one/);
  const { before, after, backend } = await page.evaluate(async (text) => ({
    before: first.nll,
    after: (await model.evaluate({ text, window: 16, sequences: 2 })).nll,
    backend: lab.backend,
  }), FABLE);
  assert.equal(backend, "webgpu");
  assert.ok(Math.abs(after / before - 1) < 1e-6, `${before} and ${after}`);
  await page.close();
});

/** In a page: a merged model of four large files, and a folder with files of the user's. */
async function withFolder(page) {
  await page.evaluate(async () => {
    window.SIZE = 8 << 20;
    window.OWN = { "config.json": "mine", "model-00003-of-00004.safetensors": "before", "notes.txt": "mine too" };
    window.home = async () => (await navigator.storage.getDirectory()).getDirectoryHandle("home", { create: true });
    window.content = async () => {
      const found = {};
      for await (const handle of (await home()).values()) {
        const file = await handle.getFile();
        found[handle.name] = file.size < 100 ? await file.text() : file.size;
      }
      return found;
    };
    window.fill = async () => {
      await (await navigator.storage.getDirectory()).removeEntry("home", { recursive: true }).catch(() => {});
      for (const [name, text] of Object.entries(OWN)) {
        const writable = await (await (await home()).getFileHandle(name, { create: true })).createWritable();
        await writable.write(text);
        await writable.close();
      }
    };
    const { files } = mka.MergedModel.prototype;
    mka.MergedModel.prototype.files = async function (options) {
      const own = (await files.call(this, options)).filter(({ name }) => !name.startsWith("model"));
      const name = (at) => `model-${String(at + 1).padStart(5, "0")}-of-00004.safetensors`;
      return [...own, ...Array.from({ length: 4 }, (_, at) => ({ name: name(at), blob: new Blob([new Uint8Array(SIZE)]) }))];
    };
    window.merged = await model.merge({ selection: "manual", pairs: [[1, 2]], combination: "drop" });
    await fill();
  });
}

/** What of the user's is neither as it was nor wholly new, and what else lies there in part. */
function harmed(content) {
  const whole = (name, value) => (/^model-/.test(name) ? value === 8 << 20 : name !== "notes.txt" && value !== "");
  const own = { "config.json": "mine", "model-00003-of-00004.safetensors": "before", "notes.txt": "mine too" };
  const gone = Object.keys(own).filter((name) => !(name in content));
  return [...gone, ...Object.entries(content).filter(([name, value]) => value !== own[name] && !whole(name, value)).map(([name, value]) => `${name}: ${value}`)];
}

test("a disk that is full at any write harms no file, and the file that had no room is named", async () => {
  const context = await browser.newContext();
  const { page } = await withLab(context, "cpu");
  await withFolder(page);
  const session = await context.newCDPSession(page);
  const origin = new URL(server.url("/")).origin;
  const usage = () => page.evaluate(async () => (await navigator.storage.estimate()).usage);
  const failedAt = new Set();
  for (let room = 0; room <= 44 << 20; room += 4 << 20) {
    await page.evaluate(() => fill());
    await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: (await usage()) + room });
    const failed = await page.evaluate(async () => failure(merged.save(await home())));
    await session.send("Storage.overrideQuotaForOrigin", { origin });
    const content = await page.evaluate(() => content());
    assert.deepEqual(harmed(content), [], `${room} bytes of room`);
    if (failed === "it did not fail") continue;
    assert.equal(failed.code, "storage");
    const [, name] = /^(\S+) could not be written: the disk is full/.exec(failed.message) ?? assert.fail(failed.message);
    failedAt.add(name);
    assert.equal(content[name], { "model-00003-of-00004.safetensors": "before", "config.json": "mine" }[name]);
    assert.match(failed.hint, /Make room/);
  }
  assert.ok(failedAt.size >= 3, [...failedAt].join(", "));
  await context.close();
});

test("a tab that is closed while it saves leaves the user's files whole", async () => {
  const context = await browser.newContext();
  for (const share of [0.1, 0.5, 0.8]) {
    const { page } = await withLab(context, "cpu");
    await withFolder(page);
    await page.evaluate(async (share) => {
      window.far = new Promise((resolve) => {
        home().then((folder) => merged.save(folder, { onProgress: ({ done, total }) => done >= share * total && resolve() }).catch(() => {}));
      });
      await far;
    }, share);
    await page.close();
    const { page: next } = await withLab(context, "cpu");
    await next.evaluate(() => void (window.home = async () => (await navigator.storage.getDirectory()).getDirectoryHandle("home")));
    const content = await next.evaluate(async () => {
      const found = {};
      for await (const handle of (await home()).values()) {
        const file = await handle.getFile();
        found[handle.name] = file.size < 100 ? await file.text() : file.size;
      }
      return found;
    });
    // What was begun and is new is there, and empty.
    const begun = Object.entries(content).filter(([, value]) => value === "").map(([name]) => name);
    assert.ok(begun.length <= 1, begun.join(", "));
    for (const name of begun) delete content[name];
    assert.deepEqual(harmed(content), [], `closed at ${share}`);
    assert.equal(content["notes.txt"], "mine too");
    await next.close();
  }
  await context.close();
});
