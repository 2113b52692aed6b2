// The address keeps the state: as a pure function, with random states and random garbage. No
// browser.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { bundled, sourceModule } from "./helpers.mjs";

let address;

before(async () => {
  address = await bundled("src/page/state/address.ts");
});

/** Random numbers that are the same in each run. */
function draws(seed) {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return {
    next,
    whole: (min, max) => min + Math.floor(next() * (max - min + 1)),
    of: (list) => list[Math.floor(next() * list.length)],
  };
}

/** A state that the page can be in. */
function randomState(draw, { defaults, modelNamed }) {
  const kept = defaults();
  kept.theme = draw.of(["system", "light", "dark"]);
  kept.part = draw.of([undefined, "look", "merge", "keep"]);
  kept.tour = draw.of([undefined, "activations", "kernel", "evaluation"]);
  kept.model = draw.of([undefined, "demo", "stories260k", "hub:owner/name@main", modelNamed("https://host.example/a b/?x=1&y=#z"), "models/own/"]);
  kept.ownText = draw.next() < 0.2;
  kept.ownTestText = draw.next() < 0.2;
  kept.calibrate.window = draw.whole(16, 8192);
  kept.calibrate.sequences = draw.whole(1, Math.floor(65_536 / kept.calibrate.window));
  kept.calibrate.rows = draw.whole(32, 2048);
  kept.calibrate.seed = draw.whole(0, 2 ** 32 - 1);
  kept.calibrate.skip = draw.whole(0, kept.calibrate.window - 1);
  kept.measure = draw.of(["npib", "npib-knn", "cosine", "angular", "cka"]);
  kept.map = { dimensions: draw.whole(1, 64), sigma: draw.of([undefined, 1e-6, draw.next() * 1e6 + 1e-6]), power: 0.1 + draw.next() * 7.9 };
  kept.preset = draw.of(["mka", "shortgpt", ""]);
  if (kept.preset === "") {
    kept.selection = draw.of(["tail", "similarity", "block-influence", "window", "loss", "manual"]);
    kept.combination = draw.of(["drop", "average"]);
    kept.alpha = draw.of(["similarity", "search", "published", "fixed"]);
    if (kept.alpha === "fixed") kept.alphaFixed = draw.next();
    kept.norms = draw.of(["fold", "keep"]);
    kept.repair = draw.of(["none", "linear"]);
    if (kept.selection === "manual") kept.picked = [...new Set(Array.from({ length: draw.whole(1, 9) }, () => draw.whole(0, 40)))];
  }
  kept.remove = draw.whole(1, 200);
  kept.protect = { first: draw.next() < 0.5, last: draw.next() < 0.5 };
  kept.measureAfter = draw.next() < 0.5;
  kept.compare = { sequences: draw.whole(1, 4096), window: draw.whole(2, 8192) };
  kept.write = { prompt: draw.of(["Once upon a time", "", "a&b=c#d%e+f", "日本 🦊 \"<b>", "x".repeat(500)]), tokens: draw.whole(1, 2000), temperature: draw.next() * 5, seed: draw.whole(0, 2 ** 32 - 1) };
  kept.autorun = draw.next() < 0.5;
  return kept;
}

test("a thousand random states come back from their addresses as they were, also beside other defaults", () => {
  const { defaults, format, parse } = address;
  const draw = draws(7);
  assert.equal(format(defaults()), "", "what is as at the start is not written");
  for (let round = 0; round < 1000; round += 1) {
    const kept = randomState(draw, address);
    const start = round % 2 ? defaults() : { ...defaults(), remove: draw.whole(1, 9), calibrate: { ...defaults().calibrate, window: 64 } };
    const text = format(kept, start);
    const back = parse(text, start);
    assert.deepEqual(back.kept, kept, text);
    assert.deepEqual(back.corrections, [], text);
    assert.ok(!/[\s"<>]/.test(text), text);
  }
});

test("ten thousand addresses of garbage give valid states, and what was wrong is told", () => {
  const { defaults, format, parse, KEYS } = address;
  const draw = draws(11);
  const names = [..."abc", "__proto__", "constructor", "toString", "model", "text", "sequences", "window", "rows", "seed", "skip", "measure", "dimensions", "sigma", "power", "method", "selection", "combination", "alpha", "norms", "repair", "pairs", "remove", "protect", "cost", "test-text", "test-sequences", "test-window", "prompt", "tokens", "temperature", "write-seed", "at", "tour", "theme", "autorun"];
  const values = ["", "0", "-1", "1", "3.5", "1e309", "-1e309", "1e-400", "NaN", "Infinity", "0x10", "1_000", "９", "null", "undefined", "true", "[]", "{}", "__proto__", "constructor", "javascript:alert(1)", "data:text/html,x", "//evil.example/", "https://u:p@host.example/m", "ftp://host/", "hub:../..", "hub:a/b", "../../etc", "<script>alert(1)</script>", "%", "%00", "\u0000", "9".repeat(400), "1,2,3", "3,3,3", "-1,2", ",,", "a".repeat(20_000), "npib", "demo", "own", "dark"];
  const within = (value, min, max, whole = true) => assert.ok(value >= min && value <= max && (!whole || Number.isInteger(value)), `${value}`);
  for (let round = 0; round < 10_000; round += 1) {
    const text = Array.from({ length: draw.whole(0, 12) }, () => `${draw.of(names)}${draw.of(["=", "=", "=", "", "=="])}${draw.next() < 0.5 ? encodeURIComponent(draw.of(values)) : draw.of(values)}`).join(draw.of(["&", "&", "&", "&&", ";", "#"]));
    const { kept, corrections } = parse(text);
    within(kept.calibrate.window, 16, 8192);
    within(kept.calibrate.sequences, 1, 1e6);
    if (!kept.ownText) within(kept.calibrate.sequences * kept.calibrate.window, 1, 65_536);
    within(kept.calibrate.rows, 32, 2048);
    within(kept.calibrate.seed, 0, 2 ** 32 - 1);
    within(kept.calibrate.skip, 0, kept.calibrate.window - 1);
    within(kept.map.dimensions, 1, 64);
    within(kept.map.power, 0.1, 8, false);
    if (kept.map.sigma !== undefined) within(kept.map.sigma, 1e-6, 1e6, false);
    within(kept.remove, 1, 9999);
    within(kept.alphaFixed, 0, 1, false);
    within(kept.compare.sequences, 1, 4096);
    within(kept.compare.window, 2, 8192);
    within(kept.write.tokens, 1, 2000);
    within(kept.write.temperature, 0, 5, false);
    within(kept.write.seed, 0, 2 ** 32 - 1);
    assert.ok(kept.write.prompt.length <= 1000);
    assert.ok(["npib", "npib-knn", "cosine", "angular", "cka"].includes(kept.measure));
    assert.ok(["system", "light", "dark"].includes(kept.theme));
    assert.match(kept.preset, /^[a-z0-9-]{0,40}$/);
    for (const boundary of kept.picked) within(boundary, 0, 9998);
    if (kept.model !== undefined) {
      assert.ok(!/^(javascript|data|ftp|blob|file):|^\/\/|:\/\/[^/]*@/i.test(kept.model), kept.model);
      assert.ok(!/[?#]/.test(kept.model), kept.model);
      assert.ok(["http:", "https:", "hub:"].includes(new URL(kept.model, "https://self.example/").protocol), kept.model);
    }
    for (const { name, given, taken } of corrections) for (const shown of [name, given, taken ?? ""]) assert.ok(shown.length <= 61);
    assert.deepEqual(parse(format(kept)).kept, kept, "a state that was taken can be written");
    assert.deepEqual(Object.keys(kept).sort(), [...KEYS, "model", "ownText", "ownTestText", "autorun"].sort());
    assert.equal(Object.getPrototypeOf(kept), Object.prototype);
  }
  assert.deepEqual(parse("rows=1e9&foo=1&seed=NaN&rows=40&selection=tail&method=mka").corrections, [
    { name: "rows", given: "1e9", taken: "2048" },
    { name: "foo", given: "1", taken: undefined },
    { name: "seed", given: "NaN", taken: undefined },
    { name: "rows", given: "40", taken: undefined },
    { name: "selection", given: "tail", taken: undefined },
  ]);
  assert.equal(parse("selection=tail").kept.preset, "", "a choice without a method is one's own");
  assert.deepEqual(parse(format(defaults())).corrections, []);
});

test("what stands behind the ? of a folder's address is in no source, and a revision that can't be decoded is a bad argument", async () => {
  const { named } = await sourceModule("api/source.ts");
  globalThis.location ??= { href: "https://self.example/" };
  const bare = { source: "https://host.example/a/b/", folder: "https://host.example/a/b/" };
  assert.deepEqual(named("https://host.example/a/b?sig=secret#x"), bare);
  assert.throws(() => named("https://huggingface.co/owner/name/tree/%zz"), { name: "MkaError", code: "bad-argument" });
});
