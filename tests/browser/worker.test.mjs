// The worker with the engine that was built, in Node: drawn calls, of any method with any
// arguments, are each answered once, by a result or by an error with a code; nothing ends the
// engine. MKA_DRAWS says how many. No browser.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { bundled } from "./helpers.mjs";

const require = createRequire(new URL("../../www/package.json", import.meta.url));
const fc = await import(pathToFileURL(require.resolve("fast-check")).href);
const DRAWS = Number(process.env.MKA_DRAWS ?? 300);
/** Milliseconds after which a call is cancelled, and those that it may take in all. */
const PATIENCE = 300;
const LONGEST = 20_000;
const TEXT = "Once upon a time there was a dog. ".repeat(20);

/** A blob that can be read at once, which Node's cannot. */
class Bytes {
  constructor(bytes) {
    this.bytes = bytes;
  }

  get size() {
    return this.bytes.length;
  }

  slice(start, end) {
    return new Bytes(this.bytes.subarray(start, end));
  }
}

const waiting = new Map();
let lastId = 0;

/** What the worker says. */
function heard(message) {
  if (message.kind === "crash") {
    for (const answered of waiting.values()) answered(message);
    return waiting.clear();
  }
  if (message.kind !== "result" && message.kind !== "error") return;
  const answered = waiting.get(message.id);
  assert.ok(answered, `a second answer to call ${message.id}`);
  waiting.delete(message.id);
  answered(message);
}

/** Calls a method, and cancels it where it takes long. */
function call(method, target, args, patience = PATIENCE) {
  lastId += 1;
  const id = lastId;
  const timer = setTimeout(() => waiting.has(id) && self.onmessage({ data: { kind: "cancel", id } }), patience);
  return new Promise((answered) => {
    waiting.set(id, answered);
    self.onmessage({ data: { kind: "call", id, method, target, args } });
  }).finally(() => clearTimeout(timer));
}

let model, calibration;
before(async () => {
  globalThis.navigator ??= {};
  globalThis.FileReaderSync = class {
    readAsArrayBuffer = ({ bytes }) => bytes.slice().buffer;
  };
  globalThis.self = globalThis;
  globalThis.postMessage = heard;
  globalThis.addEventListener = () => {};
  await bundled("src/worker/worker.ts");
  const bytes = async (path) => new Uint8Array(await readFile(fileURLToPath(new URL(`../../www/${path}`, import.meta.url))));
  const wasm = Buffer.from(await bytes("src/wasm/mka_lab_bg.wasm")).toString("base64");
  self.onmessage({ data: { kind: "start", wasm: `data:application/wasm;base64,${wasm}` } });
  const names = ["config.json", "model.safetensors", "tokenizer.json"];
  const files = await Promise.all(names.map(async (name) => ({ name, blob: new Bytes(await bytes(`public/models/stories260k/${name}`)) })));
  const made = async (...request) => {
    const { kind, value, error } = await call(...request, 60_000);
    assert.equal(kind, "result", JSON.stringify(error));
    return value;
  };
  await made("create", 0, ["cpu", undefined]);
  model = (await made("open", 0, [{ files }])).handle;
  calibration = (await made("calibrate", model, [{ text: TEXT, sequences: 2, window: 32, rows: 32 }])).handle;
});

test("any call is answered once, by a result or an error with a code, and the engine goes on", async () => {
  const odd = fc.oneof(fc.constantFrom(0, 1, 2, -1, 0.5, 1e9, 2 ** 32, 2 ** 53, Number.NaN, Infinity, -0, "", "all", null, undefined, true, [], {}), fc.anything());
  const among = (words) => fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...words) }, odd);
  const count = among([0, 1, 2, 3, 4, 5, 16, 32, 64]);
  const word = among(["tail", "similarity", "block-influence", "window", "loss", "manual", "drop", "average", "difference", "concatenate", "none", "scale", "linear", "refit", "search", "published", "equal", "fixed", "fold", "keep", "npib", "npib-knn", "cosine", "angular", "cka", "mka", "shortgpt"]);
  const text = fc.oneof(among([TEXT, "a", ""]), fc.string({ unit: "binary" }));
  const some = (fields) => fc.record(fields, { requiredKeys: [] });
  const list = (item) => fc.oneof(fc.array(item, { maxLength: 3 }), odd);
  const input = { text, texts: list(text), ids: fc.oneof(fc.array(fc.oneof(fc.nat(511), odd), { maxLength: 80 }), odd) };
  const map = some({ dimensions: count, sigma: count, power: count, seeds: list(count) });
  const merge = some({ selection: word, combination: word, repair: word, norms: word, alpha: fc.oneof(word, count), remove: count, pairs: list(fc.tuple(count, count)), preset: word, measure: word, protect: fc.oneof(some({ first: odd, last: odd }), odd), candidates: count, ridge: count, oneShot: odd, recipe: odd });
  const drawn = {
    evaluate: [some({ ...input, window: count, sequences: count })],
    calibrate: [some({ ...input, window: count, sequences: count, rows: fc.oneof(count, list(fc.tuple(count, count))), skip: count, seed: count })],
    logits: [some(input)],
    estimate: [some({ ...input, window: count, sequences: count, rows: count, remove: count, preset: word })],
    merge: [merge, fc.constantFrom(0, 2, 99)],
    similarity: [word, map],
    embedding: [count, map],
    hidden: [count],
    norms: [],
    rows: [],
    blockInfluence: [],
    generate: [some({ prompt: text, tokens: count, temperature: count, seed: count })],
    choice: [some({ csv: text, limit: count })],
    cloze: [some({ facts: list(some({ prompt: text, answer: text })) })],
    lineup: [some({ methods: list(some({ preset: word, options: odd })), remove: list(count), seeds: list(count), calibrate: fc.oneof(some(input), odd), texts: list(some(input)) })],
    productRate: [among([1, 8]), among([1, 8]), among([1, 8])].map((size) => size.filter((value) => !(value > 64))),
    setBudget: [fc.oneof(count, fc.constant(1 << 28))],
    files: [],
    download: [],
    toString: [odd],
    nothing: [odd],
  };
  const ofCalibrations = new Set(["similarity", "embedding", "hidden", "norms", "rows", "blockInfluence"]);
  const request = fc.constantFrom(...Object.keys(drawn)).chain((method) =>
    fc.tuple(fc.constant(method), fc.oneof({ weight: 9, arbitrary: fc.constant(ofCalibrations.has(method) ? calibration : model) }, odd), fc.tuple(...drawn[method])),
  );
  let results = 0;
  await fc.assert(
    fc.asyncProperty(request, async ([method, target, args]) => {
      const begun = performance.now();
      const answer = await call(method, target, args);
      assert.ok(performance.now() - begun < LONGEST, `${method} took long`);
      assert.notEqual(answer.kind, "crash", answer.message);
      if (answer.kind === "error") {
        const { name, code, message } = answer.error;
        return assert.ok(name === "AbortError" || (name === "MkaError" && code && message), `${method}: ${name}: ${message}`);
      }
      results += 1;
      if (answer.value?.handle) await call("close", answer.value.handle, []);
    }),
    { numRuns: DRAWS },
  );
  assert.ok(results > DRAWS / 20, `${results} results`);
});

/** In a process of its own, since it ends the engine, which panics where there is no clock. */
const PANIC = `
  import { readFile } from "node:fs/promises";
  import { bundled } from ${JSON.stringify(new URL("helpers.mjs", import.meta.url).href)};
  globalThis.navigator ??= {};
  globalThis.self = globalThis;
  const listeners = {};
  globalThis.addEventListener = (name, listener) => (listeners[name] = listener);
  process.on("uncaughtException", (error) => listeners.error({ error }));
  globalThis.postMessage = (message) => console.log(JSON.stringify(message));
  await bundled("src/worker/worker.ts");
  const wasm = (await readFile(new URL(${JSON.stringify(new URL("../../www/src/wasm/mka_lab_bg.wasm", import.meta.url).href)}))).toString("base64");
  Object.defineProperty(globalThis, "performance", { value: undefined });
  self.onmessage({ data: { kind: "start", wasm: "data:application/wasm;base64," + wasm } });
  self.onmessage({ data: { kind: "call", id: 1, method: "create", target: 0, args: ["cpu"] } });
`;

test("a panic reaches the page with its own words", () => {
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", PANIC], { encoding: "utf8" });
  const crash = stdout.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line)).find(({ kind }) => kind === "crash");
  assert.ok(crash, stdout.slice(0, 1000) + stderr.slice(0, 1000));
  assert.equal(crash.cause, "other");
  assert.match(crash.message, /^panicked at \S+:\d+:\d+:\n./);
});
