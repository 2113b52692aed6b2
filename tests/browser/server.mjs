// A static file server for the tests: MIME types, range requests, CORS, a base path, and a record
// of what was asked for.
import { createReadStream } from "node:fs";
import { createGzip } from "node:zlib";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};

/** An answer of more bytes than these is long. */
const LONG = 50_000;

/**
 * Serves folders: `mounts` is { "/path/": "folder" }, the longest path wins. `ranges: false`
 * imitates a server that answers every request with the whole file. `delay` holds each answer back,
 * in milliseconds. While `broken` of the result is true, the connection breaks off in the middle of
 * every answer that is long. `host` compresses, and lets what has a hash in its name be cached for
 * ever, as hosts of static files do.
 */
export async function serve(mounts, { ranges = true, cors = true, delay = 0, host = false } = {}) {
  const paths = Object.keys(mounts).sort((a, b) => b.length - a.length);
  const requests = [];
  const faults = { broken: false };
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://localhost");
    requests.push({ path: url.pathname, range: request.headers.range, authorization: request.headers.authorization, method: request.method });
    if (delay) await new Promise((resolve) => setTimeout(resolve, delay));
    const mount = paths.find((path) => url.pathname.startsWith(path));
    const inside = normalize(decodeURIComponent(url.pathname.slice(mount?.length ?? 0)) || "index.html");
    const file = mount && !inside.startsWith("..") ? join(mounts[mount], inside.endsWith("/") ? `${inside}index.html` : inside) : undefined;
    const info = file && (await stat(file).catch(() => undefined));
    if (!info?.isFile()) {
      response.writeHead(404, { "Content-Type": "text/plain" }).end("not found");
      return;
    }
    const headers = { "Content-Type": TYPES[extname(file)] ?? "application/octet-stream", "Cache-Control": "no-store" };
    if (cors) headers["Access-Control-Allow-Origin"] = "*";
    const range = ranges && /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const start = range ? Number(range[1]) : 0;
    const end = range && range[2] ? Math.min(Number(range[2]), info.size - 1) : info.size - 1;
    if (range && start >= info.size) {
      response.writeHead(416, headers).end();
      return;
    }
    if (range) headers["Content-Range"] = `bytes ${start}-${end}/${info.size}`;
    if (host) {
      headers["Cache-Control"] = /-[\w-]{8}\.\w+$/.test(file) ? "public, max-age=31536000, immutable" : "no-cache";
      if (!range && extname(file) in TYPES && extname(file) !== ".png" && /gzip/.test(request.headers["accept-encoding"] ?? "")) {
        response.writeHead(200, { ...headers, "Content-Encoding": "gzip" });
        createReadStream(file).pipe(createGzip()).pipe(response);
        return;
      }
    }
    response.writeHead(range ? 206 : 200, { ...headers, "Content-Length": end - start + 1 });
    if (request.method === "HEAD") response.end();
    else if (faults.broken && end - start > LONG) {
      const half = createReadStream(file, { start, end: start + Math.floor((end - start) / 2) });
      half.on("end", () => setTimeout(() => response.destroy(), 20)).pipe(response, { end: false });
    }
    else createReadStream(file, { start, end: Math.max(start, end) }).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  return Object.assign(faults, {
    port,
    requests,
    /** An address by name: localhost and 127.0.0.1 are two origins. */
    url: (path = "/", host = "localhost") => `http://${host}:${port}${path}`,
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  });
}
