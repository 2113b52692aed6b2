// Writes dist/mka.d.ts: the types of the programming interface, with those that come from the Rust types.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const www = fileURLToPath(new URL("..", import.meta.url));
const types = `${www}/dist/types`;
const tsc = `${www}/node_modules/typescript/bin/tsc`;
const { status } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.types.json"], { cwd: www, stdio: "inherit" });
if (status !== 0) process.exit(status ?? 1);

mkdirSync(`${types}/wasm`, { recursive: true });
// The interface uses its data types only; `Symbol.dispose` of its classes asks for a newer library than programs may have.
const wasm = readFileSync(`${www}/src/wasm/mka_lab.d.ts`, "utf8");
writeFileSync(`${types}/wasm/mka_lab.d.ts`, wasm.replace(/^.*\[Symbol\.dispose\].*\n/gm, ""));
writeFileSync(`${www}/dist/mka.d.ts`, 'export * from "./types/api/mka.js";\n');

// Programs that resolve modules as Node does want the endings; the sources have none.
for (const name of readdirSync(types, { recursive: true })) {
  if (!name.endsWith(".d.ts")) continue;
  const file = `${types}/${name}`;
  const text = readFileSync(file, "utf8");
  writeFileSync(file, text.replace(/from "(\.[^"]+?)(?:\.js)?"/g, 'from "$1.js"'));
}
