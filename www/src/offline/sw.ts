/**
 * The service worker: the page without a network. It serves the files of one build and nothing
 * else, least of all what users load. Every file is checked by its hash, so that two builds are
 * never mixed: while the server has a newer build, this one is served from its cache; the newer
 * one's worker waits until no page of this one is left, and takes over at the next visit.
 */

/** Paths below the scope, each with the SHA-256 of its content. scripts/offline.mjs prepends it. */
interface Build {
  version: string;
  /** What the page, the element and the frame are made of: kept from the start. */
  code: Record<string, string>;
  /** Built-in models and texts, the documentation: kept when they are first used. */
  used: Record<string, string>;
}
declare const BUILD: Build;

const worker = self as unknown as ServiceWorkerGlobalScope;
const SCOPE = worker.registration.scope;
/** Another copy of the site on this origin has another scope, and caches of its own. */
const PREFIX = `mka-lab ${new URL(SCOPE).pathname} `;
const CACHE = PREFIX + BUILD.version;

worker.addEventListener("install", (event) => event.waitUntil(fill()));
worker.addEventListener("activate", (event) => event.waitUntil(clear()));
worker.addEventListener("fetch", (event) => {
  const path = event.request.method === "GET" ? pathOf(event.request.url) : undefined;
  if (path !== undefined) event.respondWith(answer(path, event.request.headers.get("Range")));
});
// The first visit's page came over the network. It may use this worker if it is of the same build.
worker.addEventListener("message", ({ data }) => {
  if (data?.claim === BUILD.version) void worker.clients.claim();
});

/** All or nothing. */
async function fill(): Promise<void> {
  try {
    const cache = await caches.open(CACHE);
    await Promise.all(
      Object.keys(BUILD.code).map(async (path) => {
        const response = await load(path);
        if (!response) throw new TypeError(`${path} is not of this build`);
        await cache.put(address(path), response);
      }),
    );
  } catch (error) {
    await caches.delete(CACHE);
    throw error;
  }
}

/** Takes over what older builds kept and this one has as well, and deletes the rest. */
async function clear(): Promise<void> {
  const cache = await caches.open(CACHE);
  for (const name of await caches.keys()) {
    if (!name.startsWith(PREFIX) || name === CACHE) continue;
    const old = await caches.open(name);
    for (const path of Object.keys(BUILD.used)) {
      const kept = await old.match(address(path));
      if (kept && (await isOfBuild(path, await kept.clone().arrayBuffer()))) await cache.put(address(path), kept).catch(() => {});
    }
    await caches.delete(name);
  }
}

async function answer(path: string, range: string | null): Promise<Response> {
  const cached = await caches.open(CACHE).then((cache) => cache.match(address(path))).catch(() => undefined);
  return part(cached ?? (await first(path)), range);
}

const loading = new Map<string, Promise<Response>>();

/** A file that is not kept yet, loaded once, however many parts of it are asked for meanwhile. */
async function first(path: string): Promise<Response> {
  let one = loading.get(path);
  if (!one) {
    one = loadAndKeep(path).finally(() => loading.delete(path));
    loading.set(path, one);
  }
  return (await one).clone();
}

async function loadAndKeep(path: string): Promise<Response> {
  const response = await load(path);
  if (response) {
    // A full disk ends the keeping, not the answer.
    await caches.open(CACHE).then((cache) => cache.put(address(path), response.clone())).catch(() => {});
    return response;
  }
  // Code of a newer build must not be mixed with this one's; of all else the newest is as good.
  return path in BUILD.code ? Response.error() : fetch(address(path));
}

/**
 * The file as this build has it; undefined where the server has another one. Rejects without a
 * network.
 */
async function load(path: string): Promise<Response | undefined> {
  const response = await fetch(address(path), { cache: "no-cache" });
  const body = await response.arrayBuffer();
  if (!response.ok || !(await isOfBuild(path, body))) return undefined;
  const type = response.headers.get("Content-Type");
  return new Response(body, { headers: { "Content-Length": String(body.byteLength), ...(type && { "Content-Type": type }) } });
}

async function isOfBuild(path: string, body: ArrayBuffer): Promise<boolean> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") === (BUILD.code[path] ?? BUILD.used[path]);
}

/** The requested part of a whole answer; several ranges at once are not supported. */
async function part(response: Response, range: string | null): Promise<Response> {
  const asked = /^bytes=(\d+)-(\d*)$/.exec(range ?? "");
  if (!asked || response.status !== 200) return response;
  const body = await response.blob();
  const start = Number(asked[1]);
  const end = asked[2] ? Math.min(Number(asked[2]), body.size - 1) : body.size - 1;
  if (start > end) return new Response(null, { status: 416, headers: { "Content-Range": `bytes */${body.size}` } });
  return new Response(body.slice(start, end + 1), {
    status: 206,
    headers: {
      "Content-Type": response.headers.get("Content-Type") ?? "application/octet-stream",
      "Content-Range": `bytes ${start}-${end}/${body.size}`,
      "Content-Length": String(end + 1 - start),
    },
  });
}

function address(path: string): string {
  return new URL(path.split("/").map(encodeURIComponent).join("/"), SCOPE).href;
}

/** The path of a file of this build; a folder's is its index.html. */
function pathOf(url: string): string | undefined {
  const { href, origin, pathname } = new URL(url);
  if (!href.startsWith(SCOPE)) return undefined;
  try {
    const below = decodeURIComponent(`${origin}${pathname}`.slice(SCOPE.length));
    const path = below === "" || below.endsWith("/") ? `${below}index.html` : below;
    return Object.hasOwn(BUILD.code, path) || Object.hasOwn(BUILD.used, path) ? path : undefined;
  } catch {
    return undefined; // no name that this site has
  }
}
