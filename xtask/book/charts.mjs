// Draws the charts and writes the small tables of docs/ from the figures in docs/data/. Must not
// know where the figures come from.
//
//     node xtask/book/charts.mjs            writes them
//     node xtask/book/charts.mjs --check    fails where a page or a chart says something else
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../../", import.meta.url);
const read = (path) => readFileSync(new URL(path, ROOT), "utf8");

/** The rows of a CSV file (RFC 4180), each an object by column. */
function rows(text) {
  const [head, ...lines] = text.trimEnd().split("\n").map((line) => {
    // With a comma before the first cell too, every match has at least one character.
    const cells = [...`,${line}`.matchAll(/,(?:"((?:[^"]|"")*)"|([^,]*))/g)];
    return cells.map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain);
  });
  return lines.map((cells) => Object.fromEntries(head.map((name, column) => [name, cells[column]])));
}

const data = (name) => rows(read(`docs/data/${name}.csv`));
const unique = (values) => [...new Set(values)];
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

// Pictures. Colours hold in both colour schemes; every line has a name, so that colour is no key.
const STYLE = `<style>
text { fill: #4d5f68; } .rule { stroke: #ccd6d7; } .line { fill: none; stroke-width: 2; }
.own { --c: #b93a0e; } .mka { --c: #0a4f9e; } .other { --c: #5d6f78; } .third { --c: #4f7a28; } .rest { --c: #b4c0c4; }
.line, .limit { stroke: var(--c); } .dot { fill: var(--c); } text.name { fill: var(--c); }
@media (prefers-color-scheme: dark) {
  text { fill: #97a8af; } .rule { stroke: #24333b; }
  .own { --c: #ff7f56; } .mka { --c: #8cc0ff; } .other { --c: #a9b8be; } .third { --c: #9ccc65; } .rest { --c: #45565f; }
}
</style>`;

function svg(width, height, title, body) {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" font-family="system-ui, sans-serif" font-size="13">
<title>${escape(title)}</title>
${STYLE}
${body.join("\n")}
</svg>
`;
}

const round = (value) => Number(value.toFixed(1));
const text = (x, y, content, { anchor = "start", kind = "" } = {}) =>
  `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}"${kind ? ` class="name ${kind}"` : ""}>${escape(content)}</text>`;
const scale = ([from, to], [start, end], map = (value) => value) => (value) =>
  start + ((map(value) - map(from)) / (map(to) - map(from))) * (end - start);

/**
 * Lines over a common axis, the y axis logarithmic, each named at its right end.
 * `series`: `{ name, kind, points: [x, y][] }`; a series without a name is drawn and not named.
 */
function panel({ left, right, top, bottom, title, xs, xTicks, yTicks, xLabel, xMap, format, series }) {
  const x = scale([xTicks[0], xTicks.at(-1)], [left, right], xMap);
  const y = scale([yTicks[0], yTicks.at(-1)], [bottom, top], Math.log10);
  const body = [text(left, top - 14, title)];
  for (const tick of yTicks) {
    body.push(`<path class="rule" d="M${left} ${round(y(tick))}H${right}"/>`, text(left - 6, y(tick) + 4, format(tick), { anchor: "end" }));
  }
  for (const tick of xs) body.push(text(x(tick.value), bottom + 18, tick.label, { anchor: "middle" }));
  body.push(text((left + right) / 2, bottom + 36, xLabel, { anchor: "middle" }));
  const names = [];
  for (const { name, kind, points } of series) {
    const drawn = points.map(([a, b]) => [round(x(a)), round(y(b))]);
    body.push(`<polyline class="line ${kind}" points="${drawn.map((point) => point.join(",")).join(" ")}"/>`);
    if (!name) continue;
    body.push(...drawn.map(([a, b]) => `<circle class="dot ${kind}" cx="${a}" cy="${b}" r="3.5"/>`));
    names.push({ name, kind, at: drawn.at(-1)[1] });
  }
  names.sort((a, b) => a.at - b.at);
  names.forEach((entry, index) => (entry.at = Math.max(entry.at, (names[index - 1]?.at ?? -Infinity) + 15)));
  body.push(...names.map(({ name, kind, at }) => text(right + 8, at + 4, name, { kind })));
  return body;
}

/** KL divergence by layers removed, the mean over the texts, of every method. */
function lineup() {
  const named = new Map([["loss-guided", ["this tool's own", "own"]], ["mka", ["MKA", "mka"]], ["shortgpt", ["ShortGPT", "other"]], ["replaceme", ["ReplaceMe", "third"]]]);
  const drawn = ([model, calibrated, seeds], frame) => {
    const points = data("lineup").filter((row) =>
      row.model === model && row.calibrated_on === calibrated && row.seeds === seeds && row.variant === "" && row.kl !== "");
    const budgets = unique(points.map((row) => Number(row.removed)));
    const methods = unique(points.map((row) => row.method)).sort((a, b) => named.has(a) - named.has(b));
    const series = methods.map((method) => {
      const kl = (removed) => mean(points.filter((row) => row.method === method && Number(row.removed) === removed).map((row) => Number(row.kl)));
      const [name, kind] = named.get(method) ?? [undefined, "rest"];
      return { name, kind, points: budgets.map((removed) => [removed, kl(removed)]) };
    });
    const xs = budgets.map((value) => ({ value, label: String(value) }));
    return panel({ ...frame, xs, xTicks: [budgets[0], budgets.at(-1)], series, format: String });
  };
  const frame = { top: 66, bottom: 330, xLabel: "layers removed" };
  return svg(820, 380, "KL divergence from the original by layers removed, for each method", [
    text(14, 20, "KL divergence from the original, in nats; grey: the other seven methods"),
    ...drawn(["demo", "built-in prose", "0 1 2"], { ...frame, left: 50, right: 290, yTicks: [0.001, 0.01, 0.1, 1, 10], title: "demo, 12 layers" }),
    ...drawn(["SmolLM2-135M", "calibration-mix.txt", "1"], { ...frame, left: 460, right: 700, yTicks: [0.1, 1, 10, 100], title: "SmolLM2-135M, 30 layers" }),
  ]);
}

/** KL divergence of the demo model without 6 layers, by what was replaced in the method. */
function ablation() {
  const bars = data("ablation-demo").filter((row) => row.removed === "6");
  const x = scale([0, 0.6], [290, 620]);
  const body = [text(10, 20, "KL divergence of the demo model without 6 of its 12 layers, in nats")];
  bars.forEach(({ part, choice, kl }, index) => {
    const y = 36 + index * 24;
    const kind = part === "" ? "own" : "other";
    body.push(
      text(282, y + 13, part === "" ? choice : `${part}: ${choice}`, { anchor: "end" }),
      `<rect class="dot ${kind}" x="290" y="${y}" width="${round(x(Number(kl)) - 290)}" height="17"/>`,
      text(x(Number(kl)) + 6, y + 13, kl),
    );
  });
  return svg(680, 36 + bars.length * 24 + 8, "KL divergence by what was replaced in the method", body);
}

/** Peak memory against the size of the model. */
function memory() {
  const models = data("memory");
  const size = (mb) => (mb >= 1000 ? `${mb / 1000} GB` : `${mb} MB`);
  const line = (column, name, kind) => ({ name, kind, points: models.filter((row) => row[column]).map((row) => [Number(row.weights_mb), Number(row[column])]) });
  const xs = [1, 10, 100, 1000, 10000].map((value) => ({ value, label: size(value) }));
  const [left, right, top, bottom] = [70, 540, 50, 300];
  const yTicks = [1, 10, 100, 1000, 10000];
  const limit = round(scale([yTicks[0], yTicks.at(-1)], [bottom, top], Math.log10)(1500));
  return svg(680, 350, "Peak memory against bytes of weights", [
    ...panel({
      left, right, top, bottom, xs, yTicks, xTicks: [1, 20000], xMap: Math.log10, xLabel: "bytes of weights", title: "peak memory", format: size,
      series: [line("process_mb", "page's process", "own"), line("wasm_mb", "WebAssembly", "mka")],
    }),
    `<path class="limit other" d="M${left} ${limit}H${right}" stroke-dasharray="4 4"/>`,
    text(left + 6, limit - 6, "1.5 GB", { kind: "other" }),
  ]);
}

// Tables: one value in each cell.
const table = (head, body) => [head, head.map(() => "---"), ...body].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

/** This tool's own method, the best of the other ten and MKA; all sizes, or those in `wanted`. */
function summary(wanted) {
  const figures = data("lineup-summary").filter((row) => row.measure === "multiple");
  const own = figures.filter((row) => row.role === "own" && !(row.model === "SmolLM2-135M" && (row.seeds !== "1" || row.calibrated_on === "built-in prose")));
  const cells = own.map((row) => {
    const of = (role) => figures.find((other) => ["model", "calibrated_on", "seeds", "removed"].every((key) => other[key] === row[key]) && other.role === role);
    return [row.model, row.removed, row.mean, of("best other").mean, `\`${of("best other").method}\``, of("mka").mean];
  });
  const shown = cells.filter(([model, removed]) => !wanted || wanted[model]?.includes(Number(removed)));
  return table(["model", "layers removed", "this tool's own", "the best of the other ten", "which", "MKA, the paper"], shown);
}

function replaced() {
  const figures = data("ablation-demo");
  const sizes = ["2", "4", "6"];
  const body = unique(figures.map((row) => `${row.part}\n${row.choice}`)).map((key) => {
    const [part, choice] = key.split("\n");
    return [part || choice, part ? choice : "", ...sizes.map((removed) => figures.find((row) => row.part === part && row.choice === choice && row.removed === removed).kl)];
  });
  return table(["part", "choice", ...sizes.map((removed) => `${removed} removed`)], body);
}

function sizes() {
  const head = ["model", "weights, MB", "page's process, MB", "WebAssembly, MB", "outside of it, MB", "seconds"];
  const models = data("memory");
  return `${table(head, models.map(({ made, ...figures }) => Object.values(figures)))}\n\nMade by \`cargo xtask bench\`: ${models[0].made}.`;
}

const README_SIZES = { demo: [2, 4, 6], "SmolLM2-135M": [3, 7, 13] };
const PICTURES = { "docs/lineup.svg": lineup, "docs/ablation.svg": ablation, "docs/memory.svg": memory };
const TABLES = [
  ["README.md", "summary", () => summary(README_SIZES)],
  ["docs/lineup.md", "summary", () => summary()],
  ["docs/ablation.md", "ablation", replaced],
  ["docs/memory.md", "memory", sizes],
];

/** A page with the table between its two marks put in. */
function withTable(page, name, made) {
  const [start, end] = [`<!-- table: ${name}, written by xtask/book/charts.mjs -->`, "<!-- end of table -->"];
  const [before, rest] = page.split(start);
  const after = rest?.split(end).slice(1).join(end);
  if (after === undefined) throw new Error(`the marks of the table \`${name}\` are missing`);
  return `${before}${start}\n\n${made}\n\n${end}${after}`;
}

/** What every file should hold, by its path from the root. */
export function made() {
  const pictures = Object.entries(PICTURES).map(([path, draw]) => [path, draw()]);
  return new Map([...pictures, ...TABLES.map(([path, name, make]) => [path, withTable(read(path), name, make())])]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const check = process.argv.includes("--check");
  for (const [path, content] of made()) {
    if (!check) writeFileSync(new URL(path, ROOT), content);
    else if (read(path) !== content) {
      console.error(`${path} is not what docs/data says: run node xtask/book/charts.mjs`);
      process.exitCode = 1;
    }
  }
}
