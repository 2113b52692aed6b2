// Writes dist/mka.d.ts: the types of the programming interface, with those that come from the Rust types.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const www = fileURLToPath(new URL("..", import.meta.url));
const tsc = fileURLToPath(new URL("../node_modules/typescript/bin/tsc", import.meta.url));
const { status } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.types.json"], { cwd: www, stdio: "inherit" });
if (status !== 0) process.exit(status ?? 1);

mkdirSync(`${www}/dist/types/wasm`, { recursive: true });
copyFileSync(`${www}/src/wasm/mka_lab.d.ts`, `${www}/dist/types/wasm/mka_lab.d.ts`);
writeFileSync(`${www}/dist/mka.d.ts`, 'export * from "./types/api/mka.js";\n');
