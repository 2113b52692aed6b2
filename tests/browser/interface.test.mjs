// The programming interface, driven by a page that uses nothing but mka.js.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { FIXTURES, interfacePage, modelFile, PAGES, safetensor } from "./helpers.mjs";
import { serve } from "./server.mjs";

let server, browser, page, problems, requests;

before(async () => {
  server = await serve({ "/app/": DIST, "/pages/": PAGES });
  browser = await launch();
  ({ page, problems, requests } = await interfacePage(browser, server));
  await page.evaluate(async () => {
    window.lab = await mka.Lab.create({ backend: "cpu" });
    window.open = (name, options) => lab.open(`/app/models/${name}`, options);
    /** How a call failed. */
    window.failure = (promise) => promise.then(
      () => "it did not fail",
      ({ name, code, message, hint }) => ({ name, code, message, hint }),
    );
    window.files = (entries) => entries.map(([name, content]) => new File([content], name));
    window.fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  });
});

after(async () => {
  await browser?.close();
  await server?.close();
});

test("the lab tells its engine, its presets and its memory", async () => {
  const seen = await page.evaluate(() => ({
    backend: lab.backend,
    adapter: lab.adapter,
    reason: lab.reason,
    presets: lab.presets.map(({ name }) => name),
    memory: lab.memory(),
  }));
  assert.equal(seen.backend, "cpu");
  assert.ok(seen.adapter && seen.reason);
  for (const name of ["mka", "published-code", "published-code-written", "shortgpt", "window-drop", "laco", "prune-comp", "come"]) assert.ok(seen.presets.includes(name), name);
  assert.deepEqual(Object.keys(seen.memory), ["wasm", "wasmPeak", "device", "devicePeak"]);
  assert.ok(seen.memory.wasm > 0);
});

test("a model tells what its headers say", async () => {
  const summary = await page.evaluate(async () => (window.stories = await open("stories260k")).summary);
  const { family, layers, hidden, heads, bytes, tied, warnings } = summary;
  assert.deepEqual({ family, layers, hidden, heads, tied, warnings }, { family: "llama", layers: 5, hidden: 64, heads: 8, tied: true, warnings: [] });
  assert.equal(summary.parameters, 260032);
  assert.ok(bytes > 260032 * 4 - 1 && summary.peakBytes > 0 && summary.dtype);
});

test("evaluation gives transformers' figures", async () => {
  const golden = JSON.parse(await readFile(join(FIXTURES, "golden/stories260k.json"), "utf8"));
  const ids = Array.from(safetensor(await readFile(join(FIXTURES, "golden/stories260k.safetensors")), "input_ids"));
  const found = await page.evaluate((ids) => stories.evaluate({ ids, window: 128, sequences: 8 }), ids);
  assert.equal(found.tokens, 8 * 127);
  assert.ok(Math.abs(found.nll / golden.nll_per_token - 1) < 1e-5, `nll ${found.nll}`);
  assert.ok(Math.abs(found.perplexity / golden.perplexity - 1) < 1e-4, `perplexity ${found.perplexity}`);
});

test("logits come for a text and for ids, and agree", async () => {
  const [byText, byIds] = await page.evaluate(async () => {
    const first = await stories.logits({ text: "Once upon a time" });
    const second = await stories.logits({ ids: Array.from(first.ids) });
    return [first, second].map(({ ids, values }) => ({ ids: [...ids], values: [...values], kinds: [ids, values].map((array) => array.constructor.name) }));
  });
  assert.deepEqual(byText, byIds);
  assert.deepEqual(byText.kinds, ["Uint32Array", "Float32Array"]);
  assert.equal(byText.values.length, 512);
});

test("calibration without a text takes the built-in mix and gives every measure", async () => {
  const seen = await page.evaluate(async () => {
    const steps = [];
    window.calibration = await stories.calibrate({ sequences: 6, window: 64, rows: 96, onProgress: (progress) => steps.push(progress) });
    const matrices = {};
    for (const name of ["npib", "npib-knn", "cosine", "angular", "cka"]) {
      const { layers, values } = await calibration.similarity(name, { dimensions: 4 });
      matrices[name] = { layers, values: [...values], kind: values.constructor.name };
    }
    const embedding = await calibration.embedding(2, { dimensions: 4 });
    const hidden = await calibration.hidden(5);
    return {
      steps,
      info: calibration.info,
      matrices,
      influence: [...(await calibration.blockInfluence())],
      embedding: { ...embedding, values: embedding.values.length, eigenvalues: [...embedding.eigenvalues] },
      hidden: { ...hidden, values: hidden.values.length },
    };
  });
  assert.equal(seen.info.rows, 96);
  assert.equal(seen.info.tokens, 6 * 64);
  for (const [name, { layers, values, kind }] of Object.entries(seen.matrices)) {
    assert.equal(layers, 5, name);
    assert.equal(values.length, 25, name);
    assert.equal(kind, "Float32Array", name);
    assert.ok(values.every((value) => value >= 0 && value <= 1.001), name);
  }
  assert.equal(seen.influence.length, 5);
  assert.deepEqual([seen.embedding.rows, seen.embedding.dimensions, seen.embedding.values, seen.embedding.eigenvalues.length], [96, 4, 384, 5]);
  assert.deepEqual(seen.hidden, { rows: 96, dimensions: 64, values: 96 * 64 });
  const { step, done, total, unit } = seen.steps.at(-1);
  assert.ok(step && unit && done <= total && total > 0);
});

test("rows come with their tokens, norms for every layer, and several seeds with a deviation", async () => {
  const seen = await page.evaluate(async () => {
    const { sequence, position, ids, texts, before, after } = await calibration.rows();
    const norms = await calibration.norms();
    const plain = await calibration.similarity("npib", { dimensions: 4 });
    const spread = await calibration.similarity("npib", { dimensions: 4, seeds: 3 });
    return {
      kinds: [sequence, position, ids, norms, spread.deviation].map((array) => array.constructor.name),
      lengths: [sequence, position, ids, texts, before, after].map(({ length }) => length),
      norms: [...norms],
      row: [before[10], texts[10], after[10]],
      alone: plain.deviation,
      deviation: [...spread.deviation],
      values: [...spread.values],
      refused: await failure(calibration.similarity("npib", { seeds: 0 })),
    };
  });
  assert.deepEqual(seen.kinds, ["Uint32Array", "Uint32Array", "Uint32Array", "Float32Array", "Float32Array"]);
  assert.deepEqual(seen.lengths, Array(6).fill(96));
  assert.ok(seen.norms.length === 6 && seen.norms.every((norm) => norm > 0));
  assert.ok(seen.row.every((text) => typeof text === "string" && text.length > 0), JSON.stringify(seen.row));
  assert.equal(seen.alone, undefined);
  assert.ok(seen.deviation.length === 25 && seen.deviation.every((value) => value >= 0) && seen.deviation.some((value) => value > 0));
  assert.ok(seen.values.every((value) => value >= 0 && value <= 1));
  assert.equal(seen.refused.code, "bad-argument");
});

test("one seed gives the same bits twice", async () => {
  const same = await page.evaluate(async () => {
    const run = async () => {
      const calibration = await stories.calibrate({ sequences: 3, window: 64, rows: 64, seed: 7 });
      return [...(await calibration.similarity("npib", { dimensions: 3 })).values].join();
    };
    return (await run()) === (await run());
  });
  assert.ok(same);
});

test("a merged model tells what was done, is measured, replayed and written to files", async () => {
  const seen = await page.evaluate(async () => {
    const merged = await stories.merge({ preset: "mka", calibration, remove: 1 });
    window.merged = merged;
    const text = async (blob) => [...new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()))].join();
    const files = await merged.files();
    const again = await stories.merge({ recipe: merged.recipe });
    const hashes = async (list) => Object.fromEntries(await Promise.all(list.map(async ({ name, blob }) => [name, await text(blob)])));
    const before = await hashes(files);
    const after = await hashes(await again.files());
    return {
      summary: merged.summary,
      recipe: merged.recipe,
      comparison: await merged.evaluate({ text: "Once upon a time there was a dog. ".repeat(40), window: 64, sequences: 2 }),
      names: files.map(({ name }) => name).sort(),
      same: Object.keys(before).filter((name) => before[name] === after[name]).sort(),
    };
  });
  assert.equal(seen.summary.layers, 4);
  assert.equal(seen.recipe.steps.length, 1);
  assert.ok(seen.summary.tensors.length > 0);
  for (const { name, parents } of seen.summary.tensors) {
    assert.ok(parents.length === 2 && parents.every(({ distance }) => distance > 0), name);
  }
  const { tokens, dense, merged, kl, top1Agreement } = seen.comparison;
  assert.equal(tokens, 2 * 63);
  assert.ok(dense.perplexity > 1 && merged.perplexity > 1 && merged.nll > 0 && kl > 0 && top1Agreement > 0 && top1Agreement <= 1);
  for (const name of ["config.json", "model.safetensors", "tokenizer.json", "README.md", "recipe.json"]) {
    assert.ok(seen.names.includes(name), name);
  }
  assert.deepEqual(seen.same, seen.names);
});

test("merge replays a recipe without calibration and merges picked pairs", async () => {
  const steps = await page.evaluate(async () => {
    const picked = await stories.merge({ selection: "manual", pairs: [[1, 2], [1, 3]], combination: "average", alpha: 0.5 });
    return picked.recipe.steps.map(({ keep, gone, alpha }) => [keep, gone, alpha]);
  });
  assert.deepEqual(steps, [[1, 2, 0.5], [1, 3, 0.5]]);
});

test("save writes every file into a folder", async () => {
  const [wanted, written, steps] = await page.evaluate(async () => {
    const folder = await navigator.storage.getDirectory();
    const steps = [];
    await merged.save(folder, { onProgress: (progress) => steps.push(progress) });
    const sizes = {};
    for await (const [name, handle] of folder.entries()) sizes[name] = (await handle.getFile()).size;
    return [Object.fromEntries((await merged.files()).map(({ name, blob }) => [name, blob.size])), sizes, steps];
  });
  assert.deepEqual(written, wanted);
  assert.equal(steps.at(-1).done, steps.at(-1).total);
});

test("every preset, and a line-up of three of them: points as they come, gone on from, each a model", async () => {
  const seen = await page.evaluate(async () => {
    const text = "Once upon a time there was a dog. He ran to the big red tree and saw a cat. ".repeat(30);
    const options = {
      presets: ["shortgpt", "replaceme", "laco"], budgets: [1, 2], window: 64, sequences: 2, calibrate: { sequences: 4, window: 64, rows: 96 },
      texts: [{ name: "one", text }, { name: "two", ids: (await stories.logits({ text: text.slice(600, 1200) })).ids }],
    };
    const came = [];
    const first = await stories.lineup({ ...options, presets: ["shortgpt", "replaceme"] }, (point) => came.push(point));
    const all = await stories.lineup({ ...options, points: first }, (point) => came.push(point));
    const chosen = all.find(({ preset, removed }) => preset === "replaceme" && removed === 2);
    const merged = await stories.merge({ recipe: chosen.recipe, repair: chosen.repair });
    const again = await merged.evaluate({ text, window: 64, sequences: 2 });
    const abort = new AbortController();
    const cancelled = failure(stories.lineup({ ...options, signal: abort.signal }, () => abort.abort()));
    return {
      came: came.map(({ preset, removed, seed }) => [preset, removed, seed].join(" ")),
      count: all.length,
      failed: all.filter(({ failed }) => failed).map(({ failed }) => failed),
      texts: chosen.measured.map(({ text }) => text),
      measured: chosen.measured[0].merged.nll,
      again: again.merged.nll,
      hasMaps: chosen.repair instanceof Blob,
      cancelled: (await cancelled).name,
      refused: (await failure(stories.lineup({ ...options, presets: ["magic"] }))).code,
    };
  });
  assert.deepEqual(seen.came, ["shortgpt 1 0", "shortgpt 2 0", "replaceme 1 0", "replaceme 2 0", "laco 1 0", "laco 2 0"]);
  assert.deepEqual([seen.count, seen.failed, seen.texts, seen.cancelled, seen.refused], [6, [], ["one", "two"], "AbortError", "bad-argument"]);
  assert.ok(Math.abs(seen.measured - seen.again) < 1e-6, `${seen.measured} ${seen.again}`);
});

test("no draw of windows gets to the held-out ends of the built-in texts, and points of another model are not mixed in", async () => {
  const seen = await page.evaluate(async () => {
    const calibrate = { sequences: 40, window: 64, rows: 96 };
    const texts = (await mka.builtInTexts()).map((text) => text.slice(0, Math.floor(text.length * 0.8)));
    const drawn = { ...calibrate, seed: 3, shuffle: true };
    const idsOf = async (options) => {
      const calibration = await stories.calibrate(options);
      const { recipe } = await stories.merge({ preset: "shortgpt", calibration, remove: 1 });
      calibration.close();
      return recipe.calibration.idsSha256;
    };
    const options = { presets: ["shortgpt"], budgets: [1], seeds: [3], window: 64, sequences: 1, calibrate, texts: [{ name: "one", text: "Once upon a time there was a dog. ".repeat(20) }] };
    const points = await stories.lineup(options);
    const other = structuredClone(points[0]);
    other.recipe.model.fingerprint = "0".repeat(64);
    const came = [];
    const mixed = await failure(stories.lineup({ ...options, seeds: [0], points: [other] }, (point) => came.push(point)));
    return {
      ids: [await idsOf({ ...drawn, texts }), await idsOf(drawn), points[0].recipe.calibration.idsSha256],
      whole: await idsOf({ ...drawn, texts: await mka.builtInTexts() }),
      mixed: mixed.code,
      came: came.length,
    };
  });
  assert.equal(new Set(seen.ids).size, 1);
  assert.notEqual(seen.whole, seen.ids[0], "the ends would be drawn from otherwise");
  assert.deepEqual([seen.mixed, seen.came], ["bad-argument", 0]);
});

test("questions by letter and facts by rank, each with the perplexity on its text", async () => {
  const seen = await page.evaluate(async () => {
    const csv = '"What is ""up"", here?",down,up,"left, or so",right,B\nWho?,me,you,she,he,a\n';
    const choice = await stories.choice({ csv });
    const cloze = await merged.cloze({ facts: [{ prompt: "Once upon a", answer: " time" }, { prompt: "The dog", answer: " was" }] });
    return { choice, cloze, refused: [(await failure(stories.choice({ csv: "a,b" }))).code, (await failure(stories.cloze({ facts: [] }))).code] };
  });
  assert.equal(seen.choice.questions, 2);
  assert.ok(seen.choice.perplexity > 1 && seen.choice.confidence > 0 && seen.choice.confidence < 1 && [0, 0.5, 1].includes(seen.choice.accuracy));
  assert.ok(seen.choice.answers.every((letter) => ["A", "B", "C", "D"].includes(letter)));
  assert.ok(seen.cloze.facts.every(({ rank, probability, token }) => rank >= 1 && rank <= 512 && probability > 0 && token.length > 0));
  assert.ok(seen.cloze.facts[0].rank <= 20, JSON.stringify(seen.cloze.facts[0]));
  assert.ok(seen.cloze.perplexity > 1 && seen.cloze.meanReciprocalRank > 0);
  assert.deepEqual(seen.refused, ["bad-argument", "bad-argument"]);
});

test("generation gives tokens as they come; one seed gives one text; leaving the loop early is fine", async () => {
  const [first, second, cut] = await page.evaluate(async () => {
    const write = async (writer, most = Infinity) => {
      const tokens = [];
      for await (const token of writer.generate({ prompt: "Once upon a time", tokens: 12, temperature: 0.8, seed: 3 })) {
        tokens.push(token);
        if (tokens.length === most) break;
      }
      return tokens;
    };
    return [await write(stories), await write(stories), await write(merged, 2)];
  });
  assert.equal(first.length, 12);
  assert.deepEqual(first, second);
  assert.ok(first.every(({ id, text }) => Number.isInteger(id) && typeof text === "string"));
  assert.equal(cut.length, 2);
});

test("cancelling rejects with an AbortError and leaves the lab usable", async () => {
  const seen = await page.evaluate(async () => {
    const demo = await open("demo");
    const names = [];
    for (let run = 0; run < 3; run += 1) {
      const abort = new AbortController();
      const call = demo.calibrate({ sequences: 128, window: 256, signal: abort.signal, onProgress: ({ done }) => done > 0 && abort.abort() });
      names.push((await failure(call)).name);
    }
    const queued = new AbortController();
    const running = stories.evaluate({ text: "Once upon a time ".repeat(100), window: 32, sequences: 4 });
    const waiting = failure(stories.evaluate({ text: "Once upon a time", signal: queued.signal }));
    queued.abort();
    names.push((await waiting).name, (await failure(stories.calibrate({ signal: AbortSignal.abort() }))).name);
    return { names, perplexity: (await running).perplexity, instance: (await stories.calibrate({ signal: AbortSignal.abort() }).catch((error) => error)) instanceof DOMException };
  });
  assert.deepEqual(seen.names, Array(5).fill("AbortError"));
  assert.ok(seen.perplexity > 1);
  assert.ok(seen.instance);
});

test("ten cancelled runs do not raise the peak of the memory", async () => {
  const [before, afterwards] = await page.evaluate(async () => {
    const demo = await open("demo");
    const run = async () => {
      const abort = new AbortController();
      await failure(demo.calibrate({ sequences: 16, window: 256, signal: abort.signal, onProgress: ({ done }) => done > 2 && abort.abort() }));
    };
    await run();
    const first = lab.memory().wasmPeak;
    for (let count = 0; count < 10; count += 1) await run();
    await demo.logits({ text: "Once" });
    demo.close();
    return [first, lab.memory().wasmPeak];
  });
  assert.ok(afterwards <= before * 1.1 + 2 ** 20, `${before} before, ${afterwards} after`);
});

test("a worker that does not answer a cancel is replaced, and every handle stays valid", async () => {
  const [worker] = page.workers();
  const run = page.evaluate(async () => {
    const abort = new AbortController();
    // Long enough that it still runs when the worker is held up, on a busy machine too.
    const call = failure(stories.evaluate({ text: "Once upon a time ".repeat(20_000), window: 256, sequences: 200, signal: abort.signal }));
    setTimeout(() => abort.abort(), 100);
    const { name } = await call;
    const comparison = await merged.evaluate({ text: "Once upon a time there was a dog. ".repeat(20), window: 32, sequences: 2 });
    const matrix = await calibration.similarity("cosine");
    return { name, layers: merged.summary.layers, kl: comparison.kl, cells: matrix.values.length };
  });
  void worker.evaluate(() => { for (const end = Date.now() + 5000; Date.now() < end; ); }).catch(() => {});
  const { name, layers, kl, cells } = await run;
  assert.deepEqual({ name, layers, cells }, { name: "AbortError", layers: 4, cells: 25 });
  assert.ok(kl > 0);
});

test("a trap is an error that can be read, and the lab goes on", async () => {
  // Without a panic the program ends itself where an allocation fails.
  for (const [message, code] of [["memory access out of bounds", "device-lost"], ["unreachable", "out-of-memory"]]) {
    const run = page.evaluate(async () => {
      const failed = failure(stories.calibrate({ sequences: 64, window: 256 }));
      return { failed: await failed, perplexity: (await stories.evaluate({ text: "Once upon a time there was a dog.", window: 8 })).perplexity };
    });
    await page.workers().at(-1).evaluate((message) => void setTimeout(() => { throw new WebAssembly.RuntimeError(message); }), message);
    const { failed, perplexity } = await run;
    assert.equal(failed.name, "MkaError");
    assert.equal(failed.code, code);
    assert.ok(failed.message.includes(message) && failed.hint);
    assert.ok(perplexity > 1);
  }
});

test("a wrong file is named for what it is", async () => {
  const [config, weights, tokenizer] = await Promise.all(["config.json", "model.safetensors", "tokenizer.json"].map((name) => modelFile("stories260k", name)));
  const found = await page.evaluate(async ([config, weights, tokenizer]) => {
    const good = { "config.json": fromBase64(config), "model.safetensors": fromBase64(weights), "tokenizer.json": fromBase64(tokenizer) };
    const cases = {
      pickle: { "model.safetensors": Uint8Array.from([0x80, 2, 0x7d, 0x71, 0, 0x2e, 0, 0, 0, 0, 0, 0]) },
      lfs: { "model.safetensors": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n" },
      page: { "model.safetensors": "<!DOCTYPE html><html></html>" },
      gguf: { "model.safetensors": "GGUF\x03\0\0\0 and more of it" },
      empty: { "model.safetensors": "" },
      truncated: { "model.safetensors": good["model.safetensors"].slice(0, 500_000) },
      config: { "config.json": "{ not json" },
      family: { "config.json": '{"model_type":"t5"}' },
      tokenizer: { "tokenizer.json": "{}" },
    };
    const result = {};
    for (const [name, change] of Object.entries(cases)) {
      result[name] = await failure(lab.open(files(Object.entries({ ...good, ...change }))));
    }
    result.weightsOnly = await failure(lab.open(files([["model.safetensors", good["model.safetensors"]]])));
    result.configOnly = await failure(lab.open(files([["config.json", good["config.json"]]])));
    result.nothing = await failure(lab.open([]));
    result.notFiles = await failure(lab.open([1, 2]));
    result.nowhere = await failure(lab.open("http://localhost:1/nothing/"));
    result.notFound = await failure(lab.open("/app/models/none"));
    result.argument = await failure(stories.calibrate({ sequences: 2, window: 0 }));
    result.word = await failure(stories.merge({ selection: "nonsense", calibration }));
    return result;
  }, [config, weights, tokenizer]);
  const codes = Object.fromEntries(Object.entries(found).map(([name, { code }]) => [name, code]));
  assert.deepEqual(codes, {
    pickle: "not-a-checkpoint",
    lfs: "not-a-checkpoint",
    page: "not-a-checkpoint",
    gguf: "not-a-checkpoint",
    empty: "not-a-checkpoint",
    truncated: "bad-header",
    config: "bad-config",
    family: "unsupported-family",
    tokenizer: "bad-tokenizer",
    weightsOnly: "missing-file",
    configOnly: "missing-file",
    nothing: "missing-file",
    notFiles: "bad-argument",
    nowhere: "network",
    notFound: "missing-file",
    argument: "bad-argument",
    word: "bad-argument",
  });
  for (const [name, error] of Object.entries(found)) {
    assert.equal(error.name, "MkaError", name);
    assert.ok(error.message.length > 10 && error.hint.length > 10, name);
  }
  assert.match(found.nowhere.message, /http:\/\/localhost:1\/nothing\//);
});

test("what was closed says so, and what was made from it goes on", async () => {
  const seen = await page.evaluate(async () => {
    const model = await open("stories260k");
    const child = await model.merge({ selection: "tail", combination: "drop", remove: 1 });
    model.close();
    const closed = await failure(model.logits({ text: "Once" }));
    const { values } = await child.logits({ text: "Once" });
    child.close();
    const other = await mka.Lab.create({ backend: "cpu" });
    other.close();
    return { closed, values: values.length, lab: await failure(other.open("/app/models/demo")) };
  });
  assert.equal(seen.closed.code, "bad-argument");
  assert.equal(seen.values, 512);
  assert.equal(seen.lab.code, "bad-argument");
});

test("the WebGPU engine does the same", async () => {
  const seen = await page.evaluate(async () => {
    const gpu = await mka.Lab.create({ backend: "webgpu" });
    const model = await gpu.open("/app/models/stories260k");
    const text = "Once upon a time there was a little dog. ".repeat(10);
    const [here, there] = [await stories.evaluate({ text, window: 32, sequences: 2 }), await model.evaluate({ text, window: 32, sequences: 2 })];
    const { backend, adapter } = gpu;
    gpu.close();
    return { backend, adapter, cpu: here.nll, webgpu: there.nll };
  });
  assert.equal(seen.backend, "webgpu");
  assert.ok(seen.adapter);
  assert.ok(Math.abs(seen.webgpu / seen.cpu - 1) < 1e-4, JSON.stringify(seen));
});

test("the WebGPU engine is cancelled, and goes on; a start can be cancelled too", async () => {
  const seen = await page.evaluate(async () => {
    const gpu = await mka.Lab.create({ backend: "webgpu" });
    const model = await gpu.open("/app/models/demo");
    const abort = new AbortController();
    const call = model.calibrate({ sequences: 64, window: 256, signal: abort.signal, onProgress: ({ done }) => done > 0 && abort.abort() });
    const { name } = await failure(call);
    const { rows } = (await model.calibrate({ sequences: 2, window: 32, rows: 32 })).info;
    gpu.close();
    return { name, rows, start: (await failure(mka.Lab.create({ backend: "cpu", signal: AbortSignal.abort() }))).name };
  });
  assert.deepEqual(seen, { name: "AbortError", rows: 32, start: "AbortError" });
});

test("nothing went to another origin, and the console is clean", () => {
  const own = new URL(server.url("/")).origin;
  const foreign = requests.filter((url) => !url.startsWith(own) && !url.startsWith("data:") && !url.startsWith("http://localhost:1/"));
  assert.deepEqual(foreign, []);
  // The two addresses that a test asked for on purpose are reported by the browser itself, and so
  // are missing files.
  assert.deepEqual(problems.filter((text) => !/Failed to load resource/.test(text)), []);
});
