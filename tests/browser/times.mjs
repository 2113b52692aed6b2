// A reporter of node's test runner: adds { name, seconds } of each test to the file that
// MKA_TEST_TIMES names.
import { appendFileSync } from "node:fs";
import { basename } from "node:path";

export default async function* times(events) {
  for await (const { type, data } of events) {
    if ((type !== "test:pass" && type !== "test:fail") || data.nesting > 0 || data.skip !== undefined) continue;
    const file = basename(data.file ?? "", ".test.mjs");
    if (data.name.endsWith(".test.mjs")) continue; // the file as a whole
    const line = JSON.stringify({ name: `${file}: ${data.name}`, seconds: data.details.duration_ms / 1000 });
    appendFileSync(process.env.MKA_TEST_TIMES, `${line}\n`);
  }
}
