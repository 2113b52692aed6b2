// Imitates a model hub and the second origin that it keeps its large files on: the public layout,
// redirects, gated models, CORS, and every way in which such a server can fail.
import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";
export const TOKEN = "hf_aTokenThatMustNotLeak";

const EXPOSED = "X-Repo-Commit, X-Error-Code, ETag, Accept-Ranges, Content-Range, Link, Retry-After";

/**
 * `models` is { "owner/name": { folder, gated, commit } }. The result's `faults` is a list of what
 * goes wrong next, each { path: RegExp, times, ... } with one of `status` (and `headers`), `cut`
 * (the connection breaks after so many bytes), `delay` (ms), `ignoreRange`, `cors: false`, `etag`.
 * `listing: false` imitates a mirror without a listing, `hideRange` a server whose CORS hides
 * Content-Range.
 */
export async function hub(models, { listing = true, hideRange = false, ranges = true } = {}) {
  const state = { models, requests: [], faults: [], listing };
  const files = new Map();
  const content = async (path) => files.get(path) ?? files.set(path, await readFile(path)).get(path);

  const server = async (host, answer) => {
    const own = createServer(async (request, response) => {
      const url = new URL(request.url, "http://localhost");
      const { range, authorization } = request.headers;
      state.requests.push({ host, path: decodeURIComponent(url.pathname), query: url.search, range, authorization, method: request.method });
      const fault = request.method === "OPTIONS" ? undefined : state.faults.find(({ path, times }) => times !== 0 && path.test(`${host}${url.pathname}`));
      if (fault?.times) fault.times -= 1;
      if (fault?.delay) await new Promise((resolve) => setTimeout(resolve, fault.delay));
      if (fault?.cors !== false) {
        response.setHeader("Access-Control-Allow-Origin", "*");
        // As on the real ones: a plain Range needs no leave, and the second origin takes no token.
        if (host === "hub") response.setHeader("Access-Control-Allow-Headers", "authorization");
        response.setHeader("Access-Control-Expose-Headers", hideRange ? "X-Repo-Commit" : EXPOSED);
      }
      response.setHeader("Cache-Control", "no-store");
      if (request.method === "OPTIONS") response.writeHead(204).end();
      else if (fault?.status) response.writeHead(fault.status, fault.headers).end("no");
      else if (fault?.reset) response.destroy();
      else await answer(request, response, url, fault ?? {});
    });
    await new Promise((resolve) => own.listen(0, "127.0.0.1", resolve));
    return own;
  };

  const send = (request, response, bytes, { cut, ignoreRange, etag = `"${bytes.length}"`, extra = {} }) => {
    const range = ranges && !ignoreRange && /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const start = range ? Number(range[1]) : 0;
    const end = range ? Math.min(Number(range[2]) + 1, bytes.length) : bytes.length;
    if (range && start >= bytes.length) return response.writeHead(416).end();
    const headers = { ETag: etag, "Content-Type": "application/octet-stream", "Content-Length": end - start, ...extra };
    if (range) headers["Content-Range"] = `bytes ${start}-${end - 1}/${bytes.length}`;
    response.writeHead(range ? 206 : 200, headers);
    if (request.method === "HEAD") return response.end();
    const body = bytes.subarray(start, end);
    if (cut === undefined || body.length <= cut) return response.end(body);
    response.write(body.subarray(0, cut), () => setTimeout(() => response.destroy(), 20));
  };

  const large = await server("large", async (request, response, url, fault) => {
    const [, owner, name, file] = /^\/signed\/([^/]+)\/([^/]+)\/(.+)$/.exec(url.pathname) ?? [];
    const model = state.models[`${owner}/${name}`];
    send(request, response, await content(join(model.folder, file)), fault);
  });

  const small = await server("hub", async (request, response, url, fault) => {
    const refuse = (status, code) => response.writeHead(status, { "X-Error-Code": code }).end(code);
    const [, api, repository, revision, file] =
      /^\/(api\/models\/)?([^/]+\/[^/]+)\/(?:resolve|tree)\/([^/]+)(?:\/(.+))?$/.exec(url.pathname) ?? [];
    const model = state.models[repository];
    if (!model) return refuse(request.headers.authorization ? 404 : 401, "RepoNotFound");
    const { folder, gated, commit = COMMIT, revisions = {} } = model;
    const commits = { main: commit, ...revisions };
    for (const known of Object.values(commits)) commits[known] = known;
    const { authorization } = request.headers;
    if (authorization && authorization !== `Bearer ${TOKEN}`) return refuse(401, "");
    if (gated && !authorization) return refuse(401, "GatedRepo");
    if (gated === "refused") return refuse(403, "GatedRepo");
    const found = commits[decodeURIComponent(revision)];
    if (!found) return refuse(404, "RevisionNotFound");
    if (api) {
      if (!state.listing) return refuse(404, "");
      const names = await readdir(folder);
      const entries = await Promise.all(names.map(async (path) => ({ type: "file", path, size: (await content(join(folder, path))).length })));
      return response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(entries));
    }
    const bytes = await content(join(folder, decodeURIComponent(file))).catch(() => undefined);
    if (!bytes) return refuse(404, "EntryNotFound");
    if (!file.endsWith(".safetensors")) return send(request, response, bytes, { ...fault, extra: { "X-Repo-Commit": found } });
    const where = `http://localhost:${large.address().port}/signed/${repository}/${file}?signature=secret`;
    response.writeHead(302, { Location: where, "X-Repo-Commit": found }).end();
  });

  return Object.assign(state, {
    /** Its address; the large files lie on another origin. */
    url: `http://127.0.0.1:${small.address().port}`,
    largeUrl: `http://localhost:${large.address().port}`,
    /** Weights that were asked for since the list was emptied. */
    weights: () => state.requests.filter(({ host, method }) => host === "large" && method === "GET"),
    close: () => Promise.all([small, large].map((server) => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))))),
  });
}
