// Writes dist/sw.js: the service worker, with the hash of every file of the build before its code,
// so it is made after all else.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const www = fileURLToPath(new URL("..", import.meta.url));
const dist = process.argv[2] ?? join(www, "dist");
/** Kept when they are first used; everything else from the start. */
const USED = /^(models|texts|docs)\//;
/** Nothing that a page loads. */
const LEFT_OUT = /^(sw\.js|types\/.*)$|(\.d\.ts|\/LICENSE[^/]*|\/\.[^/]*)$/;

const sha256 = (content) => createHash("sha256").update(content).digest("hex");
const files = readdirSync(dist, { recursive: true })
  .map((name) => name.replaceAll("\\", "/"))
  .filter((name) => statSync(join(dist, name)).isFile() && !LEFT_OUT.test(name))
  .sort();

// A mark in the page names its build. It is made from everything but itself.
const page = join(dist, "index.html");
const bare = readFileSync(page, "utf8").replace(/<meta name="mka-build"[^>]*>\s*/, "");
const hashes = files.map((name) => [name, sha256(name === "index.html" ? bare : readFileSync(join(dist, name)))]);
const version = sha256(JSON.stringify(hashes)).slice(0, 16);
writeFileSync(page, bare.replace("</head>", `<meta name="mka-build" content="${version}">\n  </head>`));

const pick = (used) =>
  Object.fromEntries(hashes.filter(([name]) => USED.test(name) === used).map(([name, hash]) => [name, name === "index.html" ? sha256(readFileSync(page)) : hash]));
const { output } = await build({
  root: www,
  configFile: false,
  publicDir: false,
  logLevel: "warn",
  build: { target: "es2022", write: false, modulePreload: false, rollupOptions: { input: join(www, "src/offline/sw.ts"), output: { format: "iife" } } },
});
writeFileSync(join(dist, "sw.js"), `const BUILD = ${JSON.stringify({ version, code: pick(false), used: pick(true) })};\n${output[0].code}`);
console.log(`sw.js: build ${version}, ${files.length} files`);
