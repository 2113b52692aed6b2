// Models on a hub: its layout, gated models, broken connections, refusals in words; against a local
// imitation of one. Nothing leaves this machine.
import assert from "node:assert/strict";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { FIXTURES, interfacePage, PAGES } from "./helpers.mjs";
import { COMMIT, hub, TOKEN } from "./hub.mjs";
import { serve } from "./server.mjs";

const TEXT = "Once upon a time there was a little dog. ".repeat(5);
let folder, browser, server, remote, watched, page, wanted;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mka-hub-"));
  await cp(join(DIST, "models/stories260k"), join(folder, "stories"), { recursive: true });
  await rm(join(folder, "stories/mka-files.json"));
  await cp(join(DIST, "models/demo/model.safetensors"), join(folder, "weights-only/model.safetensors"), { recursive: true });
  const stories = { folder: join(folder, "stories") };
  remote = await hub({
    "tiny/stories": { ...stories, revisions: { v1: "1".repeat(40), "refs/pr/2": "2".repeat(40) } },
    "tiny/gated": { ...stories, gated: true },
    "tiny/refused": { ...stories, gated: "refused" },
    "tiny/sharded": { folder: join(FIXTURES, "llama-sharded") },
    "tiny/bare": { folder: join(folder, "weights-only") },
  });
  server = await serve({ "/app/": DIST, "/pages/": PAGES });
  browser = await launch();
  watched = await interfacePage(browser, server);
  ({ page } = watched);
  await page.evaluate(async ([hub, text]) => {
    window.lab = await mka.Lab.create({ backend: "cpu" });
    window.said = ({ name, code, message, hint }) => ({ name, code, message, hint });
    window.measure = (model) => model.evaluate({ text, window: 32, sequences: 1 }).then(({ perplexity }) => perplexity);
    window.attempt = async (source, options) => {
      try {
        const model = await lab.open(source, { hub, ...options });
        const perplexity = await measure(model);
        model.close();
        return { perplexity, commit: model.commit };
      } catch (error) {
        return said(error);
      }
    };
  }, [remote.url, TEXT]);
  wanted = (await page.evaluate((url) => attempt(url), server.url("/app/models/stories260k/"))).perplexity;
});

beforeEach(() => {
  remote.requests.length = 0;
  remote.faults.length = 0;
  remote.listing = true;
});

after(async () => {
  await browser?.close();
  await Promise.all([server?.close(), remote?.close()]);
  await rm(folder, { recursive: true, force: true });
});

const open = (source, options) => page.evaluate(([source, options]) => attempt(source, options), [source, options]);

/** The error of opening, whose words are all there. */
async function refused(source, options, code = "network") {
  const error = await open(source, options);
  assert.equal(error.name, "MkaError", JSON.stringify(error));
  assert.equal(error.code, code, error.message);
  assert.ok(error.hint.length > 10);
  return `${error.message} ${error.hint}`;
}

test("a model by its name: listed, pinned to a commit, weights by range from another origin", async () => {
  assert.deepEqual(await open("hub:tiny/stories"), { perplexity: wanted, commit: COMMIT });
  const asked = remote.requests.filter(({ host }) => host === "hub").map(({ path }) => path);
  assert.equal(asked[0], "/tiny/stories/resolve/main/config.json");
  assert.ok(asked.slice(1).every((path) => path.includes(COMMIT)), "all the rest is of one commit");
  assert.ok(remote.weights().length > 1 && remote.weights().every(({ range }) => /^bytes=\d+-\d+$/.test(range)));
});

test("the same without a listing, by other revisions, and by the address of its page", async () => {
  remote.listing = false;
  assert.equal((await open("hub:tiny/stories")).perplexity, wanted);
  remote.listing = true;
  assert.deepEqual(await open("hub:tiny/stories@v1"), { perplexity: wanted, commit: "1".repeat(40) });
  assert.deepEqual(await open("hub:tiny/stories@refs/pr/2"), { perplexity: wanted, commit: "2".repeat(40) });
  assert.deepEqual(await open(`hub:tiny/stories@${COMMIT}`), { perplexity: wanted, commit: COMMIT });
  assert.deepEqual(await open(`${remote.url}/tiny/stories`), { perplexity: wanted, commit: COMMIT });
  assert.deepEqual(await open(`${remote.url}/tiny/stories/tree/v1`), { perplexity: wanted, commit: "1".repeat(40) });
  remote.requests.length = 0;
  const shards = await page.evaluate(async (hub) => (await lab.open("hub:tiny/sharded", { hub })).summary.layers, remote.url);
  assert.ok(shards >= 2 && new Set(remote.weights().map(({ path }) => path)).size === 4);
});

test("names that are none are refused before anything is asked", async () => {
  const names = ["stories", "tiny/", "/stories", "../stories", "tiny/..", "tiny/sto..ries", "a/b/c", "tiny/sto ries", "tiny/stories@", "tiny/stories@../x", "tiny/stories@a@b", "tiny/stories@/x", "tiny/%2e%2e"];
  for (const name of names) assert.match(await refused(`hub:${name}`, {}, "bad-argument"), /hub:owner\/name/);
  for (const address of ["file:///etc/passwd", "javascript:1", "http://user:secret@localhost/x/"]) {
    assert.doesNotMatch(await refused(address, {}, "bad-argument"), /secret/);
  }
  assert.match(await refused("hub:tiny/stories", { hub: "ftp://x" }, "bad-argument"), /https/);
  assert.match(await refused("http://mirror.example/tiny/", { token: TOKEN }, "bad-argument"), /not sent over http/);
  assert.match(await refused("hub:tiny/stories", { token: "a b" }, "bad-argument"), /token/);
  assert.deepEqual(remote.requests, []);
});

test("a gated model wants a token, which goes to the hub and nowhere else", async () => {
  assert.match(await refused("hub:tiny/gated"), /401.*gated.*licence.*token/s);
  assert.match(await refused("hub:tiny/gated", { token: "hf_wrong" }), /token.*401/);
  assert.match(await refused("hub:tiny/refused", { token: TOKEN }), /403.*gated.*licence/s);
  remote.requests.length = 0;
  assert.equal((await open("hub:tiny/gated", { token: TOKEN })).perplexity, wanted);
  const sent = remote.requests.filter(({ method }) => method !== "OPTIONS");
  assert.ok(sent.filter(({ host }) => host === "hub").every(({ authorization }) => authorization === `Bearer ${TOKEN}`));
  assert.ok(remote.weights().length > 1);
  assert.ok(remote.weights().every(({ authorization }) => authorization === undefined), "the other origin never sees the token");
  assert.ok(watched.requests.every((url) => !url.includes(TOKEN)));
});

test("the token is in no storage, no error and not in the console, and gone after a reload", async () => {
  const other = await interfacePage(browser, server);
  const { page: own, problems } = other;
  const kept = await own.evaluate(async ([hub, token]) => {
    const lab = await mka.Lab.create({ backend: "cpu" });
    await lab.open("hub:tiny/gated", { hub, token, keep: true });
    const texts = [JSON.stringify({ ...localStorage, ...sessionStorage }), document.cookie, JSON.stringify(await lab.stored())];
    const read = async (folder) => {
      for await (const handle of folder.values()) {
        if (handle.kind === "directory") await read(handle);
        else texts.push(`${handle.name} ${await (await handle.getFile()).text()}`);
      }
    };
    await read(await navigator.storage.getDirectory());
    await lab.forget("hub:tiny/gated", { hub });
    const databases = (await indexedDB.databases()).length + (await caches.keys()).length;
    return { leaked: texts.some((text) => text.includes(token)), files: texts.length, databases };
  }, [remote.url, TOKEN]);
  assert.equal(kept.leaked, false);
  assert.ok(kept.files > 5);
  assert.equal(kept.databases, 0);
  remote.faults.push({ path: /./, times: 1, status: 418 });
  const error = await own.evaluate(async ([hub, token]) => {
    const lab = await mka.Lab.create({ backend: "cpu" });
    return lab.open("hub:tiny/gated", { hub, token }).catch((error) => JSON.stringify([error.message, error.hint, error.stack]));
  }, [remote.url, TOKEN]);
  assert.match(error, /418/);
  assert.ok(!error.includes(TOKEN));
  assert.ok(problems.every((text) => !text.includes(TOKEN)));
  await own.reload();
  await own.waitForFunction(() => window.mka);
  const again = await own.evaluate(async (hub) => {
    const lab = await mka.Lab.create({ backend: "cpu" });
    return lab.open("hub:tiny/gated", { hub }).then(() => "open", ({ message }) => message);
  }, remote.url);
  assert.match(again, /401/);
  await own.close();
});

test("what is missing is named: the model, the revision, the file", async () => {
  assert.match(await refused("hub:tiny/nothing", { token: TOKEN }), /hub:tiny\/nothing.*no model of this name \(404\)/);
  assert.match(await refused("hub:tiny/nothing"), /401.*none of this name/s);
  assert.match(await refused("hub:tiny/stories@v9"), /no such revision \(404\)/);
  assert.match(await refused("hub:tiny/bare"), /no such file \(404\)/);
});

test("too many requests: waits as long as it is told, and says so where that is too long", async () => {
  remote.faults.push({ path: /large.*model\.safetensors/, times: 2, status: 429, headers: { "Retry-After": "1" } });
  const start = Date.now();
  assert.equal((await open("hub:tiny/stories")).perplexity, wanted);
  assert.ok(Date.now() - start >= 2000);
  remote.faults.push({ path: /config\.json/, times: -1, status: 429, headers: { "Retry-After": "3600" } });
  const before = Date.now();
  assert.match(await refused("hub:tiny/stories"), /429.*60 minutes/);
  assert.ok(Date.now() - before < 2000, "an hour is not waited for");
});

test("a server in trouble is tried again, a bounded number of times", async () => {
  remote.faults.push({ path: /config\.json/, times: 2, status: 503 });
  assert.equal((await open("hub:tiny/stories")).perplexity, wanted);
  remote.faults.push({ path: /config\.json/, times: -1, status: 500 });
  remote.requests.length = 0;
  assert.match(await refused("hub:tiny/stories"), /500/);
  assert.equal(remote.requests.filter(({ path }) => path.endsWith("config.json")).length, 6);
});

test("a connection that breaks goes on at the byte where it broke", async () => {
  remote.faults.push({ path: /large/, times: -1, cut: 100_000 });
  assert.equal((await open("hub:tiny/stories")).perplexity, wanted);
  const ranges = remote.weights().map(({ range }) => range.slice(6).split("-").map(Number));
  const resumed = ranges.filter(([start, end], at) => at > 0 && end === ranges[at - 1][1] && start === ranges[at - 1][0] + 100_000);
  assert.ok(resumed.length >= 3, JSON.stringify(ranges));
});

test("a connection that is dead is told, and the model goes on once it is back", async () => {
  await page.evaluate(async (hub) => void (window.kept = await lab.open("hub:tiny/stories", { hub })), remote.url);
  remote.faults.push({ path: /hub.*model\.safetensors/, times: -1, reset: true });
  const error = await page.evaluate(() => measure(kept).catch(said));
  assert.equal(error.code, "network");
  assert.match(error.message, /could not be reached/);
  remote.faults.length = 0;
  assert.equal(await page.evaluate(() => measure(kept)), wanted);
});

test("a file that changes under way is an error, not a mixture", async () => {
  const opened = () => page.evaluate(async (hub) => void (window.kept = await lab.open("hub:tiny/stories", { hub })), remote.url);
  await opened();
  remote.faults.push({ path: /large/, times: -1, etag: '"another"' });
  const error = await page.evaluate(() => measure(kept).catch(said));
  assert.match(error.message, /changed on the server.*content/);
  assert.match(error.hint, /Open the model again/);
});

test("servers without ranges, with hidden sizes, or slow ones, give the same", async () => {
  remote.faults.push({ path: /large/, times: -1, ignoreRange: true });
  assert.equal((await open("hub:tiny/stories")).perplexity, wanted);
  assert.equal(remote.weights().length, 1, "the whole file is asked for once");
  remote.faults.length = 0;
  const others = await Promise.all([hub(remote.models, { hideRange: true, listing: false }), hub(remote.models, { ranges: false, listing: false })]);
  for (const other of others) assert.equal((await open("hub:tiny/stories", { hub: other.url })).perplexity, wanted);
  await Promise.all(others.map((other) => other.close()));
  remote.faults.push({ path: /./, times: -1, delay: 60 });
  assert.equal((await open("hub:tiny/stories")).perplexity, wanted);
});

test("no CORS, no server and no network are told apart", async () => {
  remote.faults.push({ path: /config/, times: -1, cors: false });
  assert.match(await refused("hub:tiny/stories"), /CORS.*Access-Control-Allow-Origin/s);
  remote.faults.length = 0;
  const gone = await hub({});
  await gone.close();
  assert.match(await refused("hub:tiny/stories", { hub: gone.url }), /could not be reached/);
});

test("a download can be cancelled while it waits for the next try", async () => {
  remote.faults.push({ path: /config/, times: -1, status: 429, headers: { "Retry-After": "30" } });
  const [name, after] = await page.evaluate(async (hub) => {
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 300);
    const name = await lab.open("hub:tiny/stories", { hub, signal: abort.signal }).then(() => "opened", (error) => error.name);
    return [name, (await lab.stored()).length];
  }, remote.url);
  assert.deepEqual([name, after], ["AbortError", 0]);
});

test("nothing was asked of any other host", () => {
  const hosts = new Set(watched.requests.filter((url) => url.startsWith("http")).map((url) => new URL(url).hostname));
  assert.deepEqual([...hosts].sort(), ["127.0.0.1", "localhost"]);
});
