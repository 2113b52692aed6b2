// <mka-lab> on a page that is not ours: what it loads and when, its attributes, events and slots,
// and how it ends.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { faults, PAGES, watchedPage } from "./helpers.mjs";
import { serve } from "./server.mjs";

let server, browser;

before(async () => {
  server = await serve({ "/app/": DIST, "/pages/": PAGES });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/** A page with this in its body. */
async function pageWith(body, options) {
  const watched = await watchedPage(browser, options);
  await watched.page.goto(server.url("/pages/element.html"));
  await watched.page.evaluate((html) => (document.querySelector("#main").innerHTML = html), body);
  await watched.page.waitForFunction(() => customElements.get("mka-lab"));
  return watched;
}

const QUICK = 'model="stories260k" remove="1"';

test("it loads the engine when it comes into view, and tells progress and the result", async () => {
  const { page, problems, requests } = await pageWith(`<div style="height: 3000px"></div><mka-lab id="a" ${QUICK} autorun></mka-lab>`);
  await page.waitForTimeout(500);
  const heavy = () => requests.filter((url) => /mka\.js|worker|\.wasm|models|pictures|run-/.test(url));
  assert.deepEqual(heavy(), [], "nothing heavy before");
  await page.evaluate(() => document.querySelector("#a").scrollIntoView());
  const { detail, progress } = await page.evaluate(async () => {
    const { summary, similarity, recipe, evaluation } = await heard("a", "result");
    const detail = {
      layers: summary.layers, tensors: summary.tensors.length, matrix: similarity.layers, values: similarity.values.length,
      steps: recipe.steps.length, tokens: evaluation.tokens, worse: evaluation.merged.perplexity > evaluation.dense.perplexity,
    };
    return { detail, progress: told.filter(({ name }) => name === "progress").map(({ detail }) => detail.job) };
  });
  assert.equal(detail.layers, 4);
  assert.equal(detail.matrix, 5);
  assert.equal(detail.values, 25);
  assert.equal(detail.steps, 1);
  assert.ok(detail.tensors > 0 && detail.tokens > 1000 && detail.worse);
  for (const job of ["open", "calibrate", "look", "merge", "compare"]) assert.ok(progress.includes(job), job);
  assert.ok(heavy().length > 0);
  assert.ok(requests.every((url) => new URL(url).origin === server.url("")), "one origin");
  const shown = page.locator("#a");
  assert.match(await shown.locator("#summary").innerText(), /Layers\s+5\s+4/);
  assert.equal(await shown.locator("#similarity svg rect[role]").count(), 25);
  assert.match(await shown.getByRole("status").innerText(), /5 layers became 4/);
  assert.deepEqual(problems, []);
  await page.close();
});

test("from another origin that does not allow it, the tag of the documentation says why", async () => {
  const closed = await serve({ "/mka-lab/": DIST }, { cors: false });
  const guide = await readFile(new URL("../../docs/host.md", import.meta.url), "utf8");
  const snippet = /```html\n(<mka-lab[^]*?)```/.exec(guide)[1].replaceAll("https://that.origin", closed.url("", "127.0.0.1"));
  const page = await browser.newPage();
  await page.route("**/guide.html", (route) => route.fulfill({ contentType: "text/html", body: `<!doctype html><title>A page</title>${snippet}` }));
  await page.goto(server.url("/guide.html"));
  await page.locator("mka-lab", { hasText: /could not be loaded: http:.*mka-lab\.js is missing, or its host does not send Access-Control-Allow-Origin/ }).waitFor();
  await page.close();
  await closed.close();
});

test("every iframe of the documents has a size", async () => {
  const root = new URL("../../", import.meta.url);
  const documents = ["README.md", "www/README.md", ...(await readdir(new URL("docs/", root))).filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`)];
  let frames = 0;
  for (const name of documents) {
    for (const [tag] of (await readFile(new URL(name, root), "utf8")).matchAll(/<iframe[^>]*>/g)) {
      frames += 1;
      assert.match(tag, /\swidth="[^"]+"[^>]*\sheight="\d+"/, name);
    }
  }
  assert.ok(frames > 0);
});

test("several share one worker; the last one that leaves ends it, in the middle of a run too", async () => {
  const { page, problems } = await pageWith(`<mka-lab id="a" ${QUICK} autorun></mka-lab><mka-lab id="b" ${QUICK} seed="7" autorun></mka-lab>`);
  const same = await page.evaluate(async () => {
    const [a, b] = [await heard("a", "result"), await heard("b", "result")];
    return a.similarity.values.every((value, at) => value === b.similarity.values[at]);
  });
  assert.equal(same, false, "another seed, other rows");
  assert.equal(page.workers().length, 1);
  await page.evaluate(() => document.querySelector("#a").remove());
  await page.evaluate(() => document.querySelector("#b").run());
  assert.equal(page.workers().length, 1);
  const gone = new Promise((resolve) => page.workers()[0].once("close", resolve));
  const ended = await page.evaluate(async () => {
    const b = document.querySelector("#b");
    b.model = "demo";
    const run = b.run().then(() => "done", (error) => error.name);
    await new Promise((resolve) => setTimeout(resolve, 300));
    b.remove();
    return run;
  });
  assert.equal(ended, "AbortError");
  await gone;
  assert.deepEqual(problems, []);
  await page.close();
});

test("an element that is moved goes on", async () => {
  const { page } = await pageWith(`<mka-lab id="a" ${QUICK} autorun></mka-lab><div id="other"></div>`);
  await page.waitForFunction(() => told.some(({ name }) => name === "progress"));
  await page.evaluate(() => document.querySelector("#other").append(document.querySelector("#a")));
  assert.equal(await page.evaluate(async () => (await heard("a", "result")).summary.layers), 4);
  assert.equal(await page.evaluate(() => told.filter(({ name }) => name === "error").length), 0);
  await page.close();
});

test("attributes are read as what they can mean, and properties reflect them", async () => {
  const { page } = await pageWith("");
  const seen = await page.evaluate(() => {
    const element = document.createElement("mka-lab");
    const read = (attributes) => {
      for (const name of element.getAttributeNames()) element.removeAttribute(name);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      const { model, text, textSrc, panels, removeLayers, method, seed, theme, tour, autorun } = element;
      return { model, text, textSrc, panels, removeLayers: removeLayers ?? null, method, seed, theme, tour, autorun };
    };
    const usual = read({});
    const odd = read({ panels: "generation nonsense SUMMARY generation", remove: "-3", seed: "1e99", theme: "Dark", tour: "", autorun: "" });
    const wild = read({ panels: "<script>", remove: "many", seed: "-1.5", theme: "red" });
    Object.assign(element, { model: "stories260k", removeLayers: 2, seed: 3, theme: "light", tour: true, panels: ["influence"], text: "t", textSrc: "u", method: "m" });
    const written = Object.fromEntries(element.getAttributeNames().map((name) => [name, element.getAttribute(name)]));
    return { usual, odd, wild, written };
  });
  const usual = { model: "demo", text: "", textSrc: "", panels: ["summary", "similarity"], removeLayers: null, method: "", seed: 0, theme: "", tour: false, autorun: false };
  assert.deepEqual(seen.usual, usual);
  assert.deepEqual(seen.odd, { ...usual, panels: ["summary", "generation"], removeLayers: 0, seed: 2 ** 32 - 1, theme: "dark", tour: true, autorun: true });
  assert.deepEqual(seen.wild, usual);
  assert.deepEqual(seen.written, {
    panels: "influence", remove: "2", seed: "3", theme: "light", tour: "", model: "stories260k", text: "t", "text-src": "u", method: "m",
  });
  await page.close();
});

test("a change runs again with autorun; more layers than can go, none at all, own texts, panels that come later", async () => {
  const { page, problems } = await pageWith(`<mka-lab id="a" model="stories260k" remove="99" autorun></mka-lab>`);
  const run = (change) => page.evaluate(async (change) => {
    const element = document.querySelector("#a");
    const result = new Promise((resolve) => element.addEventListener("result", ({ detail }) => resolve(detail), { once: true }));
    for (const [name, value] of Object.entries(change)) element.setAttribute(name, value);
    const { summary, recipe, evaluation } = await result;
    return { layers: summary.layers, merged: recipe !== null && evaluation !== null, calibration: recipe?.calibration, method: recipe?.preset };
  }, change);
  assert.equal((await page.evaluate(() => heard("a", "result"))).summary.layers, 3, "the method spares both ends");
  assert.deepEqual(await run({ remove: 0 }), { layers: 5, merged: false, calibration: undefined, method: undefined });
  const own = await run({ remove: 1, method: "shortgpt", text: "Once upon a time there was a little dog who lived in a big house. ".repeat(40) });
  assert.equal(own.method, "shortgpt");
  const other = await run({ text: "", "text-src": "/app/texts/fables.txt", method: "mka" });
  assert.equal(other.layers, 4);
  assert.notEqual(other.calibration.idsSha256, own.calibration?.idsSha256);
  await run({ panels: "generation" });
  const [before, after] = await page.locator("#a .written p").allInnerTexts();
  assert.ok(before.length > 60 && after.length > 60 && before !== after);
  assert.deepEqual(problems, []);
  await page.close();
});

test("what goes wrong is an MkaError, told and shown", async () => {
  const { page } = await pageWith(`<mka-lab id="a"></mka-lab>`);
  const failure = (attributes) => page.evaluate(async (attributes) => {
    const element = document.querySelector("#a");
    for (const name of ["model", "method", "text-src"]) element.removeAttribute(name);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    told.length = 0;
    const { name, code, message, hint } = await element.run().catch((error) => error);
    const event = await heard("a", "error");
    return { name, code, message, hint, same: event.message === message, status: element.status };
  }, attributes);
  for (const [attributes, code, words] of [
    [{ model: "javascript:alert(1)" }, "bad-argument", /names no model/],
    [{ model: "/nowhere/" }, "missing-file", /is missing/],
    [{ model: "stories260k", method: "magic" }, "bad-argument", /no method magic/],
    [{ model: "stories260k", "text-src": "/nothing.txt" }, "network", /404/],
    [{ model: "stories260k", "text-src": "mailto:me" }, "bad-argument", /no address/],
  ]) {
    const found = await failure(attributes);
    assert.equal(found.name, "MkaError");
    assert.equal(found.code, code, found.message);
    assert.match(found.message, words);
    assert.ok(found.hint && found.same && found.status === "failed");
    assert.match(await page.locator("#a").getByRole("alert").innerText(), words);
  }
  await page.evaluate(() => {
    const element = document.querySelector("#a");
    element.removeAttribute("text-src");
    return element.run();
  });
  assert.equal(await page.locator("#a [part=error]").count(), 0, "and goes with the next run");
  await page.close();
});

test("by keyboard: run, cancel, pick a pair on the map, take the tour", async () => {
  const { page, problems } = await pageWith(`<mka-lab id="a" ${QUICK} tour></mka-lab>`);
  const element = page.locator("#a");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await element.getByRole("button", { name: "Cancel" }).waitFor();
  await page.evaluate(() => document.querySelector("#a").shadowRoot.querySelector("#cancel").focus());
  await page.keyboard.press("Enter");
  await element.getByText("Cancelled.").waitFor();
  assert.equal(await page.evaluate(() => document.querySelector("#a").status), "idle");
  await page.evaluate(() => document.querySelector("#a").run());

  const next = element.getByRole("button", { name: "Next" });
  assert.match(await element.locator(".tour").innerText(), /What it cost\..*1 of 2/s);
  await next.press("Enter");
  assert.match(await element.locator(".tour").innerText(), /How alike.*2 of 2/s);
  assert.equal(await next.getAttribute("aria-disabled"), "true");
  assert.ok(await element.locator("#similarity.explained").count());

  await element.locator("#similarity svg rect[tabindex='0']").focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowRight");
  const cell = element.locator("#similarity svg rect:focus");
  assert.match(await cell.getAttribute("aria-label"), /Layers 1 and 2/);
  await page.evaluate(() => (told.length = 0));
  await page.keyboard.press("Enter");
  const steps = await page.evaluate(async () => (await heard("a", "result")).recipe.steps.map(({ keep, gone }) => [keep, gone]));
  assert.deepEqual(steps, [[1, 2]]);
  assert.deepEqual(problems, []);
  await page.close();
});

for (const [colorScheme, width] of [["light", 1000], ["dark", 320]]) {
  test(`axe finds no fault before, during, after and with an error, nothing moves, nothing is cut off, ${colorScheme}, ${width} pixels`, async () => {
    const { page } = await pageWith("", { colorScheme, viewport: { width, height: 800 } });
    await page.evaluate(() => {
      window.shifts = [];
      new PerformanceObserver((list) => shifts.push(...list.getEntries().map(({ value, hadRecentInput }) => (hadRecentInput ? 0 : value)))).observe({ type: "layout-shift", buffered: true });
      document.querySelector("#main").innerHTML = `<mka-lab id="a" model="stories260k" panels="summary similarity manifold influence stack perplexity generation" tour>
        <h1 slot="heading">My page's own heading</h1>
        <p>Press the button to run it.</p>
        <p slot="footer">My own footer.</p>
      </mka-lab>`;
    });
    await page.waitForTimeout(300);
    const shown = page.locator("#a");
    assert.ok(await shown.getByText("Press the button").isVisible());
    assert.ok(await shown.getByText("My own footer").isVisible());
    assert.ok(!(await shown.getByText("Nothing is uploaded").isVisible()), "the footer is the page's own");
    assert.deepEqual(await faults(page), []);
    const before = await page.evaluate(() => ((shifts.length = 0), document.querySelector("#a").getBoundingClientRect().height));
    await page.evaluate(() => {
      document.querySelector("#a").run();
    });
    await page.waitForFunction(() => told.length > 0);
    assert.deepEqual(await faults(page), [], "while it runs");
    await page.evaluate(() => heard("a", "result"));
    assert.ok(!(await shown.getByText("Press the button").isVisible()));
    const after = await page.evaluate(() => document.querySelector("#a").getBoundingClientRect().height);
    assert.ok(Math.abs(after - before) < 2, `${before} pixels became ${after}`);
    assert.ok((await page.evaluate(() => shifts.reduce((sum, value) => sum + value, 0))) < 0.02);
    await page.evaluate(() => document.querySelector("#a").shadowRoot.querySelectorAll("details").forEach((details) => (details.open = true)));
    assert.deepEqual(await faults(page), []);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "no scrolling sideways");
    await page.evaluate(() => document.querySelector("#a").setAttribute("method", "magic"));
    await page.evaluate(() => document.querySelector("#a").run().catch(() => {}));
    assert.deepEqual(await faults(page), []);
    await page.close();
  });
}

test("the theme is the page's own, or as asked", async () => {
  const { page } = await pageWith(
    `<mka-lab id="page"></mka-lab><mka-lab id="dark" theme="dark"></mka-lab><div style="color-scheme: dark"><mka-lab id="around"></mka-lab><mka-lab id="system" theme="system"></mka-lab></div>`,
    { colorScheme: "light" },
  );
  const ink = await page.evaluate(() =>
    ["page", "dark", "around", "system"].map((id) => getComputedStyle(document.querySelector(`#${id}`)).color === "rgb(18, 34, 44)"));
  assert.deepEqual(ink, [true, false, false, true]);
  await page.close();
});
