// Writes dist/mka.d.ts and dist/mka-lab.d.ts: the types of the interface and of the element, with
// those that come from Rust.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const www = fileURLToPath(new URL("..", import.meta.url));
const types = join(www, "dist/types");
const tsc = join(www, "node_modules/typescript/bin/tsc");
const { status } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.types.json"], { cwd: www, stdio: "inherit" });
if (status !== 0) process.exit(status ?? 1);

mkdirSync(join(types, "wasm"), { recursive: true });
// The interface uses the data types, which come first, and none of the bindings after them.
const wasm = readFileSync(join(www, "src/wasm/mka_lab.d.ts"), "utf8");
const data = wasm.slice(0, wasm.search(/\/\*\*(?:[^*]|\*(?!\/))*\*\/\s*export class /));
writeFileSync(join(types, "wasm/mka_lab.d.ts"), data.replace(/^\/\* \w+int[^]*?\*\/\n/gm, "").trimStart());

const used = new Set();
for (const [name, module] of [["mka", "api/mka"], ["mka-lab", "element/mka-lab"]]) {
  writeFileSync(join(www, `dist/${name}.d.ts`), `export * from "./types/${module}.js";\n`);
  finish(join(types, `${module}.d.ts`));
}
// Types that only the page's own modules use are not published.
for (const name of readdirSync(types, { recursive: true })) {
  const file = join(types, name);
  if (file.endsWith(".d.ts") && !used.has(file)) rmSync(file);
}

/** Writes imports with endings, as Node resolves modules, in a file and in all that it imports. */
function finish(file) {
  if (used.has(file) || !existsSync(file)) return;
  used.add(file);
  const here = dirname(file);
  const interfaceModule = relative(here, join(types, "api/mka")).replaceAll("\\", "/");
  const text = readFileSync(file, "utf8")
    .replaceAll('"#mka"', `"${interfaceModule.startsWith(".") ? "" : "./"}${interfaceModule}"`)
    .replace(/((?:from|import) ?\(?)"(\.[^"]+?)(?:\.js)?"/g, '$1"$2.js"');
  writeFileSync(file, text);
  for (const [, path] of text.matchAll(/"(\.[^"]+)\.js"/g)) finish(join(here, `${path}.d.ts`));
}
