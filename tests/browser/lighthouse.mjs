// Lighthouse over the built page, as a phone and as a desktop: npm run lighthouse, in www/. Writes
// docs/lighthouse.md and fails below the bounds. The tool is fetched by npm when it is asked for:
// nothing else needs its hundred packages.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CHROMIUM, DIST } from "./chromium.mjs";
import { serve } from "./server.mjs";

const VERSION = "12.8.2";
const LEAST = 95;
/** A single run depends on what else the machine does: the middle one of these counts. */
const RUNS = 3;
const CATEGORIES = { performance: "Performance", accessibility: "Accessibility", "best-practices": "Best practices" };
const METRICS = {
  "first-contentful-paint": "First contentful paint",
  "largest-contentful-paint": "Largest contentful paint",
  "total-blocking-time": "Total blocking time",
  "cumulative-layout-shift": "Cumulative layout shift",
  "total-byte-weight": "Bytes at the start",
};
const REPORT = fileURLToPath(new URL("../../docs/lighthouse.md", import.meta.url));

/** One run; the report of Lighthouse. */
async function audit(url, folder, device) {
  const path = join(folder, `${device}.json`);
  const flags = [
    ...["--output=json", `--output-path=${path}`, "--quiet", "--no-enable-error-reporting"],
    `--only-categories=${Object.keys(CATEGORIES)}`,
    "--chrome-flags=--headless=new --no-sandbox --no-first-run --disable-background-networking --disable-component-update",
    ...(device === "desktop" ? ["--preset=desktop"] : []),
  ];
  const run = spawn("npm", ["exec", "--yes", `--package=lighthouse@${VERSION}`, "--", "lighthouse", url, ...flags], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, CHROME_PATH: CHROMIUM },
  });
  const code = await new Promise((resolve) => run.on("exit", resolve));
  if (code !== 0) throw new Error(`Lighthouse ended with ${code}.`);
  return JSON.parse(await readFile(path, "utf8"));
}

const server = await serve({ "/": DIST }, { host: true });
const folder = await mkdtemp(join(tmpdir(), "lighthouse-"));
const reports = {};
try {
  for (const device of ["mobile", "desktop"]) {
    const runs = [];
    for (let run = 0; run < RUNS; run += 1) runs.push(await audit(server.url("/"), folder, device));
    runs.sort((a, b) => a.categories.performance.score - b.categories.performance.score);
    reports[device] = runs[Math.floor(RUNS / 2)];
  }
} finally {
  await server.close();
  await rm(folder, { recursive: true });
}

const scores = (id) => Object.values(reports).map(({ categories }) => Math.round(categories[id].score * 100));
const row = (name, values) => `| ${name} | ${values.join(" | ")} |`;
const { lighthouseVersion, environment, fetchTime } = reports.mobile;
const browser = /Chrome\/[\d.]+/.exec(environment.hostUserAgent)?.[0];
await writeFile(
  REPORT,
  [
    "# Lighthouse",
    "",
    `Lighthouse ${lighthouseVersion} measured the built page before any input, in ${browser} on ${fetchTime.slice(0, 10)}, on the machine of the tests.`,
    `Its usual throttling simulates a slow phone on 4G, and a desktop. The values are those of the middle one of ${RUNS} runs.`,
    "`npm run lighthouse` in `www/` makes this table.",
    "",
    row("what", Object.keys(reports)),
    row("---", Object.keys(reports).map(() => "---:")),
    ...Object.entries(CATEGORIES).map(([id, name]) => row(name, scores(id))),
    ...Object.entries(METRICS).map(([id, name]) => row(name, Object.values(reports).map(({ audits }) => audits[id].displayValue.replace("Total size was ", "")))),
    "",
  ].join("\n"),
);
console.log(await readFile(REPORT, "utf8"));
for (const [device, { audits, categories }] of Object.entries(reports)) {
  for (const id of Object.keys(CATEGORIES)) {
    for (const { id: audit, weight } of categories[id].auditRefs) {
      const { score, title, displayValue } = audits[audit];
      if (weight > 0 && score !== null && score < 0.9) console.log(`${device}: ${title} ${displayValue ?? ""} (${score})`);
    }
  }
}
const low = Object.keys(CATEGORIES).filter((id) => scores(id).some((score) => score < LEAST));
if (low.length > 0) {
  console.error(`Below ${LEAST}: ${low.join(", ")}`);
  process.exitCode = 1;
}
