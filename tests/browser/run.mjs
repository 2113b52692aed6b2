// Runs the end-to-end tests: which files, and what may run beside what. `cargo xtask test` calls
// it; by hand:
//
//     node tests/browser/run.mjs [pure | gate | all] [name ...]
//
// A name is a file's without `.test.mjs`. Single matrices inside of files look at MKA_TESTS
// themselves (helpers.mjs).
import { spawnSync } from "node:child_process";
import { readdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";

/** What needs neither a browser nor a built page. */
const PURE = ["address-text", "charts", "encoding", "fuzz", "worker"];
/** Only in the full run: minutes for one model. */
const FULL = ["size"];
/**
 * What looks at the clock, at memory or at shifts of the layout: one file at a time, when nothing
 * else runs. The engine computes on one thread, so that of the others two files at a time take
 * little more than half the time.
 */
const ALONE = ["main-job", "run-here", "size", "smooth"];
/** More files at a time than these are no test of a browser any more, but of the machine. */
const MOST = 4;

const here = fileURLToPath(new URL(".", import.meta.url));
const [which = "gate", ...names] = process.argv.slice(2);
if (!["pure", "gate", "all"].includes(which)) throw new Error(`"${which}" is none of pure, gate and all`);

const files = (await readdir(here)).filter((name) => name.endsWith(".test.mjs")).map((name) => name.replace(/\.test\.mjs$/, ""));
for (const name of [...PURE, ...FULL, ...ALONE, ...names]) if (!files.includes(name)) throw new Error(`there is no ${name}.test.mjs`);
const chosen = files.filter((name) => {
  if (names.length) return names.includes(name);
  return which === "pure" ? PURE.includes(name) : !PURE.includes(name) && (which === "all" || !FULL.includes(name));
});

/** Runs files and says whether all of them passed. */
function run(names, concurrency) {
  if (names.length === 0) return true;
  console.log(`   ${concurrency} at a time: ${names.join(", ")}`);
  const reporters = [["spec", "stdout"], ...(process.env.MKA_TEST_TIMES ? [[`${here}times.mjs`, "stderr"]] : [])];
  const options = reporters.flatMap(([reporter, to]) => ["--test-reporter", reporter, "--test-reporter-destination", to]);
  const { status } = spawnSync(
    process.execPath,
    ["--test", `--test-concurrency=${concurrency}`, ...options, ...names.map((name) => `${here}${name}.test.mjs`)],
    { stdio: "inherit", env: { ...process.env, MKA_TESTS: which } },
  );
  return status === 0;
}

const together = chosen.filter((name) => !ALONE.includes(name));
const alone = chosen.filter((name) => ALONE.includes(name));
const passed = [run(together, Math.min(MOST, availableParallelism())), run(alone, 1)];
process.exitCode = passed.every(Boolean) ? 0 : 1;
