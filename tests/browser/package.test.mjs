// The npm package as `npm pack` makes it: what is in it, and each page of examples/ with the
// unpacked tarball in its place.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch } from "./chromium.mjs";
import { watchedPage } from "./helpers.mjs";
import { serve } from "./server.mjs";

const WWW = fileURLToPath(new URL("../../www", import.meta.url));
const EXAMPLES = fileURLToPath(new URL("../../examples", import.meta.url));
let folder, browser, server, packed;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mka-package-"));
  const [{ filename, files }] = JSON.parse(execFileSync("npm", ["pack", "--json", "--silent", "--pack-destination", folder], { cwd: WWW, encoding: "utf8" }));
  packed = files.map(({ path }) => path);
  execFileSync("tar", ["-xzf", join(folder, filename), "-C", folder]);
  await rename(join(folder, "package"), join(folder, "mka-lab"));
  server = await serve({ "/": folder });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Copies an example beside the package, or with the package inside of it. */
async function example(name, inside) {
  await cp(join(EXAMPLES, name), join(folder, name), { recursive: true });
  if (inside) await cp(join(folder, "mka-lab"), join(folder, name, inside), { recursive: true });
}

/** Opens a page, and waits until each of its elements has run; what each removed. */
async function ran(path, { host = "localhost", press = false } = {}) {
  const { page, problems, requests } = await watchedPage(browser);
  await page.goto(server.url(path, host));
  if (press) await page.locator("mka-lab").getByRole("button", { name: "Run it here" }).click();
  await page.waitForFunction(() => [...document.querySelectorAll("mka-lab")].every(({ status }) => status === "done" || status === "failed"));
  const results = await page.evaluate(() => [...document.querySelectorAll("mka-lab")].map(({ result, error }) => error?.message ?? result.recipe.steps.length));
  return { page, problems, requests, results };
}

test("the package holds what it needs and nothing else, and its entries are there", async () => {
  for (const name of ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "package.json", "dist/embed.html", "dist/models/stories260k/LICENSE-llama2.c"]) assert.ok(packed.includes(name), name);
  const odd = packed.filter((path) => !/^(dist\/|README\.md$|LICENSE-|package\.json$)/.test(path) || /\.(map|ts)$/.test(path) && !path.endsWith(".d.ts"));
  assert.deepEqual(odd, []);
  assert.ok(!packed.some((path) => /dist\/(index\.html|assets|docs|sw\.js)/.test(path)), "not the page");
  const { exports } = JSON.parse(await readFile(join(folder, "mka-lab/package.json"), "utf8"));
  for (const entry of [".", "./element"]) for (const path of Object.values(exports[entry])) assert.ok(packed.includes(path.slice(2)), path);
  assert.deepEqual((await readdir(WWW)).filter((name) => name.startsWith("LICENSE") || name.endsWith(".tgz")), [], "nothing is left behind");
});

test("a program compiles against the package's types", async () => {
  const app = join(folder, "typed");
  await mkdir(join(app, "node_modules"), { recursive: true });
  await cp(join(folder, "mka-lab"), join(app, "node_modules/mka-lab"), { recursive: true });
  await writeFile(join(app, "package.json"), '{ "type": "module" }');
  await writeFile(join(app, "program.ts"), `
    import { builtInModel, Lab, type Progress } from "mka-lab";
    import type { EmbedRequest, MkaLabElement, MkaLabResult } from "mka-lab/element";
    import "mka-lab/element";
    const element: MkaLabElement = document.createElement("mka-lab");
    element.removeLayers = 2;
    element.panels = ["summary", "similarity"];
    export const message: EmbedRequest = { mka: 1, ask: "set", attributes: { remove: 2 } };
    // @ts-expect-error: there is no such theme
    element.theme = "blue";
    export async function program(onProgress: (progress: Progress) => void): Promise<number> {
      const lab = await Lab.create();
      const model = await lab.open(await builtInModel("demo"), { onProgress });
      const { summary, evaluation }: MkaLabResult = await element.run();
      return model.summary.layers + summary.layers + (evaluation?.kl ?? 0);
    }
  `);
  const tsc = join(WWW, "node_modules/typescript/bin/tsc");
  const options = ["--ignoreConfig", "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable,dom.asynciterable", "program.ts"];
  try {
    execFileSync(process.execPath, [tsc, ...options], { cwd: app, encoding: "utf8" });
  } catch ({ stdout }) {
    assert.fail(stdout);
  }
});

test("examples/plain: a script tag and the element, run by its button", async () => {
  await example("plain", "mka-lab");
  const { page, problems, results, requests } = await ran("/plain/index.html", { press: true });
  assert.deepEqual(results, [2]);
  assert.match(await page.locator("#said").innerText(), /^Perplexity \d+\.\d\d became \d+\.\d\d\.$/);
  assert.ok(requests.every((url) => new URL(url).origin === new URL(server.url()).origin));
  assert.deepEqual(problems, []);
  await page.close();
});

test("examples/sub-path: the package elsewhere in a site", async () => {
  await example("sub-path", "course/shared/mka-lab");
  const { page, problems, results } = await ran("/sub-path/course/week-3/");
  assert.deepEqual(results, [1, 1]);
  assert.deepEqual(problems, []);
  await page.close();
});

test("examples/other-origin: element and interface from another origin", async () => {
  await example("other-origin");
  const file = join(folder, "other-origin/index.html");
  const html = await readFile(file, "utf8");
  assert.ok(html.includes("http://localhost:8081/mka-lab/"));
  await writeFile(file, html.replaceAll("http://localhost:8081/", server.url()));
  const { page, problems, results } = await ran("/other-origin/index.html", { host: "127.0.0.1" });
  assert.deepEqual(results, [1]);
  await page.locator("#said", { hasText: "5 layers" }).waitFor();
  assert.deepEqual(problems, []);
  await page.close();
});

test("examples/vite: an app that is built, below a path", async () => {
  await example("vite", "node_modules/mka-lab");
  const { dependencies } = JSON.parse(await readFile(join(folder, "vite/package.json"), "utf8"));
  const { version } = JSON.parse(await readFile(join(folder, "mka-lab/package.json"), "utf8"));
  assert.equal(dependencies["mka-lab"], `file:../../www/mka-lab-${version}.tgz`);
  // The project's own Vite, as a package of the app.
  await symlink(join(WWW, "node_modules/vite"), join(folder, "vite/node_modules/vite"));
  execFileSync(process.execPath, [join(WWW, "node_modules/vite/bin/vite.js"), "build", "--logLevel", "warn"], { cwd: join(folder, "vite"), encoding: "utf8", stdio: "pipe" });
  const built = await readdir(join(folder, "vite/dist/assets"));
  for (const part of [/mka-worker.*\.js$/, /mka_lab_bg.*\.wasm$/, /fables.*\.txt$/, /model.*\.safetensors$/]) assert.ok(built.some((name) => part.test(name)), String(part));
  await rename(join(folder, "vite/dist"), join(folder, "app"));
  const { page, problems, results } = await ran("/app/index.html");
  assert.deepEqual(results, [1]);
  await page.getByText(/\d+ layers, perplexity \d+\.\d\d\n\d+ layers, perplexity \d+\.\d\d/).waitFor();
  const [before, after] = [...(await page.locator("#said").innerText()).matchAll(/(\d+) layers/g)].map(([, layers]) => Number(layers));
  assert.equal(after, before - 2);
  assert.deepEqual(problems, []);
  await page.close();
});
