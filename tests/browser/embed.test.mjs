// embed.html in a frame: what it tells the page around it, what it takes from it, and from whom it
// takes nothing.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { modelFile, PAGES, watchedPage } from "./helpers.mjs";
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

/** A page at `host` that frames embed.html from localhost, with these parameters. */
async function framed(parameters, host = "localhost", prepare = () => {}) {
  const watched = await watchedPage(browser);
  await prepare(watched.page);
  await watched.page.goto(server.url("/pages/foreign.html", host));
  await watched.page.evaluate((src) => {
    window.heard = [];
    addEventListener("message", ({ data, origin, source }) => heard.push({ data, origin, own: source === frame.contentWindow }));
    window.until = async (test) => {
      for (;;) {
        const found = heard.find(({ data }) => test(data));
        if (found) return found.data;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    window.ask = (message) => frame.contentWindow.postMessage({ mka: 1, ...message }, "*");
    window.frame = document.createElement("iframe");
    frame.title = "MKA Lab";
    frame.style = "width: 600px; height: 400px";
    const loaded = new Promise((resolve) => (frame.onload = resolve));
    frame.src = src;
    document.body.append(frame);
    return loaded;
  }, `${server.url("/app/embed.html")}?${new URLSearchParams(parameters)}`);
  return watched;
}

const status = (page) => page.evaluate(async () => (ask({ id: "s", ask: "status" }), until(({ id, tell }) => id === "s" && tell === "status")));

test("another origin that is allowed runs it, sends a model as bytes, and gets results, errors and sizes", async () => {
  const { page, problems } = await framed({ origin: server.url("", "127.0.0.1"), remove: "1", panels: "summary", theme: "dark", model: "stories260k" }, "127.0.0.1");
  await page.evaluate(() => until(({ tell }) => tell === "ready"));
  const height = await page.evaluate(async () => (await until(({ tell }) => tell === "resize")).height);
  assert.ok(height > 200 && height < 2000);
  assert.deepEqual(await status(page), { mka: 1, id: "s", tell: "status", status: "idle", result: null, error: null });

  const first = await page.evaluate(async () => (ask({ id: 1, ask: "run" }), (await until(({ id, tell }) => id === 1 && tell === "result")).result));
  assert.equal(first.summary.layers, 4);
  assert.equal(first.similarity.values.length, 25);
  assert.ok(first.recipe.steps.length === 1 && first.evaluation.kl > 0);
  assert.ok(await page.evaluate(() => heard.some(({ data }) => data.tell === "progress" && data.progress.job === "calibrate")));
  assert.ok(await page.evaluate(() => heard.some(({ data }) => data.tell === "result" && data.id === undefined)), "as an event too");

  const files = await Promise.all(["config.json", "model.safetensors", "tokenizer.json"].map(async (name) => [name, await modelFile("demo", name)]));
  const second = await page.evaluate(async (files) => {
    const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const [config, ...others] = files.map(([name, text]) => ({ name, bytes: bytes(text) }));
    ask({ id: 2, ask: "open", files: [new File([config.bytes], config.name), { ...others[0], bytes: others[0].bytes.buffer }, others[1]] });
    await until(({ id }) => id === 2);
    ask({ id: 3, ask: "set", attributes: { remove: 2, tour: true } });
    await until(({ id }) => id === 3);
    ask({ id: 4, ask: "run" });
    return (await until(({ id, tell }) => id === 4 && tell === "result")).result;
  }, files);
  const { num_hidden_layers: layers } = JSON.parse(Buffer.from(files[0][1], "base64"));
  assert.equal(second.summary.layers, layers - 2);

  const failed = await page.evaluate(async () => {
    ask({ id: 5, ask: "set", attributes: { method: "magic" } });
    ask({ id: 6, ask: "run" });
    return (await until(({ id, tell }) => id === 6 && tell === "error")).error;
  });
  assert.deepEqual([failed.name, failed.code], ["MkaError", "bad-argument"]);
  const cancelled = await page.evaluate(async () => {
    ask({ id: 7, ask: "set", attributes: { method: null, seed: 5 } });
    ask({ id: 8, ask: "run" });
    await new Promise((resolve) => setTimeout(resolve, 200));
    ask({ id: 9, ask: "cancel" });
    return (await until(({ id, tell }) => id === 8 && tell === "error")).error.name;
  });
  assert.equal(cancelled, "AbortError");
  assert.ok(await page.evaluate((origin) => heard.every((message) => message.own && message.origin === origin), server.url("")));
  assert.deepEqual(problems, []);
  await page.close();
});

test("where the browser does not say which page is around the frame, an allowed one is told all the same, without a referrer too", async () => {
  const blind = (page) => page.route(/\/app\/.*\.js$/, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replaceAll("ancestorOrigins", "unknownHere") });
  });
  const origin = `https://example.org ${server.url("", "127.0.0.1")}`;
  const { page } = await framed({ model: "stories260k", origin }, "127.0.0.1", async (page) => {
    await blind(page);
    await page.addInitScript(() => Object.defineProperty(Document.prototype, "referrer", { get: () => "" }));
  });
  await page.evaluate(() => until(({ tell }) => tell === "ready"));
  await page.evaluate(() => until(({ tell }) => tell === "resize"));
  await page.close();
  const other = await framed({ model: "stories260k", origin: "https://example.org" }, "127.0.0.1", blind);
  await other.page.waitForTimeout(700);
  assert.deepEqual(await other.page.evaluate(() => heard), []);
  await other.page.close();
});

test("an origin that is not allowed hears nothing and changes nothing", async () => {
  for (const parameters of [{}, { origin: "https://example.org" }, { origin: "*" }, { origin: "null" }]) {
    const { page } = await framed({ model: "stories260k", ...parameters }, "127.0.0.1");
    await page.evaluate(() => (ask({ id: 1, ask: "status" }), ask({ id: 2, ask: "run" })));
    await page.waitForTimeout(700);
    assert.deepEqual(await page.evaluate(() => heard), [], JSON.stringify(parameters));
    assert.equal(page.workers().length, 0);
    const inside = page.frames().find((frame) => frame.url().includes("embed.html"));
    assert.equal(await inside.evaluate(() => document.querySelector("mka-lab").status), "idle");
    await page.close();
  }
});

test("the frame's own origin is allowed when none is named; another window of it is not", async () => {
  const { page } = await framed({ model: "stories260k" });
  assert.equal((await status(page)).status, "idle");
  await page.evaluate(async () => {
    const other = document.createElement("iframe");
    document.body.append(other);
    other.contentWindow.eval(`parent.frame.contentWindow.postMessage({ mka: 1, id: "spy", ask: "run" }, "*")`);
  });
  await page.waitForTimeout(500);
  assert.equal((await status(page)).status, "idle");
  assert.ok(await page.evaluate(() => !heard.some(({ data }) => data.id === "spy")));
  await page.close();
});

test("hostile messages are refused, or not heard, and do no harm", async () => {
  const { page, problems } = await framed({ model: "stories260k", panels: "summary", remove: "1" });
  await status(page);
  const answers = await page.evaluate(async () => {
    const raw = [undefined, null, 1, "run", [], { mka: 2, ask: "run" }, { ask: "run" }, new Map([["mka", 1]])];
    for (const message of raw) frame.contentWindow.postMessage(message, "*");
    const bad = [
      {}, { ask: "destroy" }, { ask: ["run"] }, { ask: "open" }, { ask: "open", files: [] }, { ask: "open", files: "config.json" },
      { ask: "open", files: [{ name: "../config.json", bytes: new ArrayBuffer(1) }] },
      { ask: "open", files: [{ name: "/etc/config.json", bytes: new ArrayBuffer(1) }] },
      { ask: "open", files: [{ name: "config.json", bytes: "text" }] },
      { ask: "open", files: new Array(5000).fill({ name: "a", bytes: new ArrayBuffer(1) }) },
      { ask: "set" }, { ask: "set", attributes: { onclick: "alert(1)" } }, { ask: "set", attributes: { style: "display: none" } },
      { ask: "set", attributes: { model: { href: "x" } } }, { ask: "set", attributes: JSON.parse('{ "__proto__": "x" }') },
      { ask: "set", attributes: { text: "x".repeat(5_000_000) } },
    ];
    bad.forEach((message, at) => ask({ id: `bad-${at}`, ...message }));
    ask({ id: { deep: 1 }, ask: "run" });
    ask({ id: "last", ask: "status" });
    await until(({ id }) => id === "last");
    return { expected: bad.length, wrong: heard.filter(({ data }) => String(data.id).startsWith("bad-")).map(({ data }) => data.error?.code) };
  });
  assert.equal(answers.wrong.length, answers.expected);
  assert.ok(answers.wrong.every((code) => code === "bad-argument"), String(answers.wrong));
  const inside = page.frames().find((frame) => frame.url().includes("embed.html"));
  assert.deepEqual(await inside.evaluate(() => document.querySelector("mka-lab").getAttributeNames().sort()), ["model", "panels", "remove"]);
  const result = await page.evaluate(async () => (ask({ id: 1, ask: "run" }), (await until(({ id }) => id === 1)).result));
  assert.equal(result.summary.layers, 4);
  assert.deepEqual(problems, []);
  await page.close();
});
