// The types beside mka.js.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

test("a program that uses the whole interface compiles against mka.d.ts", () => {
  const tsc = path("../../www/node_modules/typescript/bin/tsc");
  const options = ["--ignoreConfig", "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable,dom.asynciterable"];
  const { status, stdout } = spawnSync(process.execPath, [tsc, ...options, path("usage.mts")], { encoding: "utf8" });
  assert.equal(status, 0, stdout);
});
