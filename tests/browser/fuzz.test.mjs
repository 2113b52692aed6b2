// Drawn input for what the page takes from outside: messages, addresses, bytes of texts, answers of
// servers. MKA_DRAWS says how many of each; what fails is shrunk, and printed with its seed. No
// browser.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { bundled } from "./helpers.mjs";

const require = createRequire(new URL("../../www/package.json", import.meta.url));
const fc = await import(pathToFileURL(require.resolve("fast-check")).href);

const DRAWS = Number(process.env.MKA_DRAWS ?? 300);
const check = (property, share = 1) => fc.assert(property, { numRuns: Math.ceil(DRAWS * share) });

/** Any words of ours among any others. */
const among = (words, others = fc.string({ unit: "binary" })) => fc.oneof(fc.constantFrom(...words), others);
/** What structured clones of a stranger can be. */
const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true, withSparseArray: true });

let source, address, encoding, messages, attributes, remote, error;
before(async () => {
  globalThis.location ??= { href: "https://self.example/" };
  const modules = ["api/source.ts", "page/state/address.ts", "ui/encoding.ts", "element/messages.ts", "element/attributes.ts", "worker/remote.ts", "api/error.ts"];
  [source, address, encoding, messages, attributes, remote, error] = await Promise.all(modules.map((path) => bundled(`src/${path}`)));
});

test("a model's name gives a source on the web without secrets, or a bad argument", () => {
  const part = among(["https://", "http://", "hub:", "//", "javascript:", "data:", "blob:", "a", "owner/name", "@main", "u:p@", "host.example", "/", "..", "\\", "?x=secret", "#secret", "%2e%2e/", "%zz", "tree/", "huggingface.co/", ":99999", "\t", "[::1]"]);
  check(fc.property(fc.array(part, { maxLength: 8 }).map((parts) => parts.join("")), fc.boolean(), (text, keep) => {
    let found;
    try {
      found = source.toSource(text, { keep });
    } catch (cause) {
      assert.deepEqual([cause.name, cause.code], ["MkaError", "bad-argument"], `${text}: ${cause.stack}`);
      return;
    }
    if (found.repository !== undefined) {
      assert.match(found.repository, /^[\w.-]+\/[\w.-]+$/);
      assert.ok(!`${found.repository}/${found.revision}`.includes(".."));
      return;
    }
    const url = new URL(found.folder);
    assert.match(url.protocol, /^https?:$/);
    assert.deepEqual([url.username, url.password, url.search, url.hash], ["", "", "", ""]);
    assert.ok(url.pathname.endsWith("/"));
  }));
});

test("whatever an address says, the state is valid, and it can be written and read again", () => {
  const name = among([...address.KEYS, "model", "text", "sequences", "window", "rows", "seed", "pairs", "at", "prompt", "method", "__proto__", "constructor"]);
  const value = fc.oneof(among(["", "0", "-1", "1e999", "NaN", "mka", "demo", "hub:a/b", "3,2,1", "..", "%", "%00"]), fc.double().map(String), fc.integer().map(String));
  const pair = fc.tuple(name, among(["=", "==", ""]), value, fc.boolean()).map(([name, sign, value, coded]) => name + sign + (coded ? encodeURIComponent(value.toWellFormed()) : value));
  check(fc.property(fc.oneof(fc.string({ unit: "binary", maxLength: 80 }), fc.array(pair, { maxLength: 9 }).map((pairs) => pairs.join("&"))), (text) => {
    const { kept } = address.parse(text);
    const again = address.parse(address.format(kept));
    assert.deepEqual(again.kept, kept);
    assert.deepEqual(again.corrections, []);
    assert.deepEqual(Object.getPrototypeOf(kept), Object.prototype);
  }));
});

test("a text is read as it was written, in each encoding that has a mark; other bytes give a text or a plain refusal", () => {
  const coded = {
    "utf-8": (text) => new TextEncoder().encode(text),
    "utf-16le": (text) => new Uint8Array(Buffer.from(`\ufeff${text}`, "utf16le")),
    "utf-16be": (text) => new Uint8Array(Buffer.from(`\ufeff${text}`, "utf16le").swap16()),
  };
  const plain = fc.string({ unit: "grapheme" }).map((text) => text.replace(/^\ufeff+|\0/g, ""));
  check(fc.property(plain, fc.constantFrom(...Object.keys(coded)), (text, encodingName) => {
    assert.equal(encoding.decoded(coded[encodingName](text), "a.txt"), text);
  }));
  check(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    try {
      assert.equal(typeof encoding.decoded(bytes, "a.txt"), "string");
    } catch (cause) {
      assert.deepEqual([cause.name, cause.code, cause.message.includes("a.txt")], ["MkaError", "bad-argument", true], String(cause.stack));
    }
  }));
});

test("a stranger's message is a valid request, or none, or named for what is wrong with it", () => {
  const file = fc.oneof(anything, fc.record({ name: among(["model.safetensors", "../x", "/etc", "C:\\x", "a/b", ""]), bytes: fc.oneof(fc.uint8Array(), anything) }));
  const message = fc.record(
    {
      mka: fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, anything),
      id: fc.oneof(fc.integer(), fc.string(), anything),
      ask: among(["status", "open", "set", "run", "cancel"], anything),
      files: fc.oneof(fc.array(file, { maxLength: 4 }), anything),
      attributes: fc.oneof(fc.dictionary(among([...messages.ATTRIBUTES, "onclick", "style"]), fc.oneof(fc.string(), anything)), anything),
    },
    { requiredKeys: [] },
  );
  check(fc.property(fc.oneof({ weight: 4, arbitrary: message }, anything), (data) => {
    const request = messages.readRequest(data);
    if (request === undefined) return;
    assert.equal(data.mka, 1);
    assert.ok(["undefined", "number", "string"].includes(typeof request.id));
    if ("wrong" in request) return assert.ok(request.wrong.length < 400);
    assert.ok(["status", "open", "set", "run", "cancel"].includes(request.ask));
    if (request.ask === "open") for (const { name } of messages.toFiles(request.files)) assert.ok(!name.split(/[/\\]/).includes("..") && !/^[/\\]/.test(name), name);
    if (request.ask === "set") for (const name of Object.keys(request.attributes)) assert.ok(messages.ATTRIBUTES.includes(name));
  }));
  // was found: a list with a hole passed as one of files
  assert.ok("wrong" in messages.readRequest({ mka: 1, ask: "open", files: Array(1) }));
  check(fc.property(anything, (thrown) => {
    const plain = messages.plainError(thrown ?? {});
    assert.doesNotThrow(() => structuredClone({ name: plain.name, message: plain.message }));
  }));
});

test("origins that may talk to the frame are origins; attributes are within their bounds", () => {
  const word = among(["*", "null", "https://a.example", "http://a.example:80/x?y", "file:///x", "https://u:p@a.example", " ", ","]);
  check(fc.property(fc.array(word).map((words) => words.join(" ")), (parameter) => {
    for (const origin of messages.allowedOrigins(parameter, "https://own.example")) assert.equal(new URL(origin).origin, origin);
  }));
  check(fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.double().map(String), fc.constant(null)), (value) => {
    const [seed, remove] = [attributes.seedOf(value), attributes.removeOf(value)];
    assert.ok(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32);
    assert.ok(remove === undefined || (Number.isInteger(remove) && remove >= 0 && remove <= 1000));
    assert.ok(attributes.panelsOf(value).length > 0);
    const model = attributes.modelOf(value, "https://own.example/");
    if (model instanceof URL) assert.match(model.protocol, /^https?:$/);
  }));
});

test("an error of the worker's is thrown as what it is, whatever it holds", () => {
  check(fc.property(fc.record({ name: among(["AbortError", "MkaError", "TypeError"]), message: fc.string(), code: fc.option(fc.string(), { nil: undefined }), hint: fc.option(fc.string(), { nil: undefined }) }), (sent) => {
    const thrown = error.revive(sent);
    assert.ok(thrown instanceof Error || thrown instanceof DOMException);
    assert.equal(thrown.name, sent.name);
  }));
  const causes = { memory: "out-of-memory", tokenizer: "bad-tokenizer", other: "device-lost" };
  check(fc.property(fc.string(), fc.constantFrom(...Object.keys(causes)), (message, cause) => assert.equal(error.crashError(message, cause).code, causes[cause])));
});

/** Answers of a server that sends less than was asked for, or breaks off, as it is told. */
function unreliable(bytes, faults) {
  return async (_, { headers }) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers.get("Range"));
    const [start, end] = [Number(from), Number(to) + 1];
    const fault = faults.shift();
    if (fault?.kind === "busy") return new Response(null, { status: 503 });
    const until = fault ? start + Math.max(1, Math.floor((end - start) * fault.share)) : end;
    const body = bytes.subarray(start, Math.min(until, bytes.length));
    let sent = 0;
    const stream = new ReadableStream({
      pull(controller) {
        if (sent < body.length) {
          const some = body.slice(sent, sent + 70_000);
          sent += some.length;
          return controller.enqueue(some);
        }
        return fault?.kind === "broken" ? controller.error(new TypeError("it broke")) : controller.close();
      },
    });
    return new Response(stream, { status: 206, headers: { "Content-Range": `bytes ${start}-${start + body.length - 1}/${bytes.length}` } });
  };
}

/** Chunks that are kept, in memory. */
function kept(size, there, bytes, CHUNK) {
  const found = new Map(there.map((index) => [index, bytes.slice(index * CHUNK, (index + 1) * CHUNK)]));
  return {
    cache: { keeping: true },
    size,
    has: (index) => found.has(index),
    get: async () => undefined,
    put: async (index, chunk) => void found.set(index, chunk.slice()),
    found,
  };
}

test("any ranges of a file on a server that breaks off are its bytes; what is kept of it is what it is", async () => {
  const CHUNK = 1 << 20;
  const bytes = new Uint8Array(3 * CHUNK + 12_345);
  bytes.forEach((_, at) => (bytes[at] = (at * 31 + (at >> 9)) & 255));
  const fault = fc.record({ kind: fc.constantFrom("short", "broken", "busy"), share: fc.double({ min: 0, max: 1, noNaN: true }) });
  const range = fc.tuple(fc.nat(bytes.length), fc.nat(bytes.length)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)]);
  const [fetch, wait] = [globalThis.fetch, globalThis.setTimeout];
  // the pauses between two tries
  globalThis.setTimeout = (job, milliseconds, ...rest) => wait(job, milliseconds > 10_000 ? milliseconds : 0, ...rest);
  try {
    await check(
      fc.asyncProperty(fc.array(range, { minLength: 1, maxLength: 3 }), fc.array(fault, { maxLength: 4 }), fc.boolean(), async (ranges, faults, keep) => {
        globalThis.fetch = unreliable(bytes, [...faults]);
        const host = { name: "https://host.example/", origin: "https://host.example" };
        const cached = keep ? kept(bytes.length, [], bytes, CHUNK) : undefined;
        const file = new remote.RemoteFile(host, { name: "model.safetensors", url: "https://host.example/m", size: bytes.length }, cached);
        // Whole files that are read again go into a blob, which only a worker can read.
        const sum = ranges.reduce((sum, [from, to]) => sum + to - from, 0);
        for (const [from, to] of sum > bytes.length && !keep ? ranges.slice(0, 1) : ranges) {
          if (cached) cached.get = async (index) => cached.found.has(index) && new Blob([cached.found.get(index)]);
          const parts = [];
          for await (const part of file.parts(from, to)) parts.push(Buffer.from(part instanceof Blob ? await part.arrayBuffer() : part.slice()));
          assert.ok(Buffer.concat(parts).equals(bytes.subarray(from, to)), `${from} to ${to}`);
        }
        for (const [index, chunk] of cached?.found ?? []) assert.ok(Buffer.from(chunk).equals(bytes.subarray(index * CHUNK, (index + 1) * CHUNK)));
      }),
      0.1,
    );
  } finally {
    [globalThis.fetch, globalThis.setTimeout] = [fetch, wait];
  }
});
