// The address keeps the state, as people use it; address-text.test.mjs has what needs no browser.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { idle, opened, watchedPage } from "./helpers.mjs";
import { serve } from "./server.mjs";

let server, elsewhere, browser;

before(async () => {
  server = await serve({ "/": DIST });
  elsewhere = await serve({ "/model/": `${DIST}/models/stories260k` });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
  await elsewhere?.close();
});

const figures = (page) => page.locator("#before-after tbody td").allInnerTexts();

test("a shared address gives the same numbers to whoever opens it", async () => {
  const context = await browser.newContext({ permissions: ["clipboard-read", "clipboard-write"], viewport: { width: 1400, height: 900 } });
  const page = await context.newPage();
  await page.goto(server.url("/"));
  await page.click("#open-stories260k");
  await opened(page);
  await page.locator("#calibrate").getByLabel("Sequences").fill("6");
  await page.locator("#calibrate").getByLabel("Seed").fill("41");
  await page.keyboard.press("Tab");
  await page.selectOption("#preset", "shortgpt");
  await page.locator("#remove").fill("2");
  await page.locator("#compare").getByLabel("Sequences").fill("3");
  await page.keyboard.press("Tab");
  await page.selectOption("#measure", "npib-knn");
  await page.click("#run-merge");
  await page.waitForSelector("#files");
  await idle(page);
  const numbers = await figures(page);
  const map = await page.locator("#map rect[aria-label]").evaluateAll((cells) => cells.map((cell) => cell.getAttribute("aria-label")));
  const written = await page.innerText("#written-after");
  await page.click("#share-open");
  await page.getByLabel("Compute at once").check();
  await page.click("#copy-link");
  const link = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(link, /#model=stories260k&sequences=6&seed=41&measure=npib-knn&method=shortgpt&remove=2&test-sequences=3&at=\w+&autorun=1$/);
  await context.close();

  const fresh = await browser.newContext({ viewport: { width: 1400, height: 900 } });
  const other = await fresh.newPage();
  await other.goto(link);
  await other.waitForSelector("#files");
  await idle(other);
  assert.deepEqual(await figures(other), numbers);
  assert.deepEqual(await other.locator("#map rect[aria-label]").evaluateAll((cells) => cells.map((cell) => cell.getAttribute("aria-label"))), map);
  assert.equal(await other.innerText("#written-after"), written);
  await fresh.close();
});

test("an address of hostile values breaks nothing, runs nothing, and says what it became", async () => {
  const { page, problems } = await watchedPage(browser);
  await page.addInitScript(() => (window.alert = () => (window.attacked = true)));
  await page.goto(server.url(`/?rows=1e99&theme=dark#model=demo&method=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&seed=NaN&<script>alert(1)</script>=1&prompt=${encodeURIComponent('"><img src=x onerror=alert(1)>')}&sequences=999999&remove=-7&tour=nowhere&at=constructor&__proto__=1&autorun=yes`));
  await opened(page);
  const note = await page.innerText("#corrections");
  for (const told of ["rows=1e99 became 2048", "seed=NaN was left out", "remove=-7 became 1", "tour=nowhere was left out", "more"]) assert.ok(note.includes(told), `${told}: ${note}`);
  assert.equal(await page.evaluate(() => window.attacked), undefined);
  assert.equal(await page.inputValue("#prompt"), '"><img src=x onerror=alert(1)>');
  assert.equal(await page.locator(".notice img, .notice script").count(), 0);
  assert.equal(await page.locator("#files").count(), 0, "autorun says 1 or nothing");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  await page.goto(server.url("/#model=stories260k&method=no-such-method"));
  await page.reload();
  await opened(page);
  assert.match(await page.innerText("#corrections"), /method=no-such-method became loss-guided/);
  assert.deepEqual(problems, []);
  await page.close();
});

test("a link whose result was computed earlier shows it at once; another says what its result takes", async () => {
  const { page, problems, requests } = await watchedPage(browser);
  for (const address of ["/#model=demo", "/#model=demo&remove=2&method=loss-guided&at=compare"]) {
    await page.goto("about:blank");
    await page.goto(server.url(address));
    await page.waitForSelector("#map rect.pair");
    await page.locator("#example", { hasText: "What the link is about" }).waitFor();
    await page.keyboard.press("Shift"); // what is out of sight has no text before
    await page.waitForSelector("#stack svg.plot");
    assert.equal((await figures(page))[1], "10", address);
    assert.ok(!requests.some((url) => url.endsWith(".wasm")), "no engine is needed");
    await page.waitForFunction(() => location.hash.includes("model=demo"));
  }
  for (const address of ["/#model=demo&remove=3", "/#model=demo&seed=1", "/#model=demo&text=own", "/#model=stories260k&method=mka&sequences=4&test-sequences=2"]) {
    await page.goto("about:blank");
    await page.goto(server.url(address));
    await opened(page);
    assert.equal(await page.locator("#offered").count(), address.includes("text=own") ? 0 : 1, address);
  }
  await page.locator("#offered", { hasText: /Here it takes about \d+\s(s|min)/ }).waitFor();
  await page.click("#compute-link");
  await page.waitForSelector("#files");
  await idle(page);
  assert.equal((await figures(page))[1], "4");
  assert.equal(await page.locator("#offered").count(), 0);
  assert.deepEqual(problems, []);
  await page.close();
});

test("a link that names a model elsewhere asks nobody before the user opens it", async () => {
  const { page, problems, requests } = await watchedPage(browser);
  await page.goto(server.url(`/#model=${elsewhere.url("/model/")}&sequences=2&remove=2&autorun=1`));
  await page.waitForSelector("#wanted");
  await page.waitForTimeout(500);
  assert.match(await page.innerText("#wanted"), new RegExp(`localhost:${elsewhere.port}`));
  assert.equal(elsewhere.requests.length, 0);
  assert.ok(requests.every((url) => url.startsWith(server.url("/"))), requests.join(" "));
  await page.click("#open-wanted");
  await opened(page);
  assert.ok(elsewhere.requests.length > 0);
  assert.equal(await page.locator("#wanted").count(), 0);
  assert.equal(await page.inputValue("#remove"), "2");
  assert.equal(await page.locator("#calibrate").getByLabel("Sequences").inputValue(), "2");
  assert.equal(await page.locator("#files").count(), 0, "and it computes nothing");
  assert.deepEqual(problems, []);
  await page.close();
});

test("back and forward go through what was open, and settings do not fill the history", async () => {
  const { page } = await watchedPage(browser);
  await page.goto(server.url("/"));
  await page.click("#open-stories260k");
  await opened(page);
  await page.locator("#remove").fill("2");
  await page.waitForFunction(() => location.hash.includes("remove=2"));
  await page.click("#open-demo");
  await page.waitForFunction(() => location.hash.includes("model=demo"));
  await idle(page);
  const layers = () => page.locator("#facts dd").nth(2).innerText();
  assert.equal(await layers(), "12");
  await page.goBack();
  await page.waitForFunction(() => document.querySelectorAll("#facts dd")[2].innerText === "5");
  await idle(page);
  assert.equal(await page.inputValue("#remove"), "2");
  await page.goBack();
  await page.waitForFunction(() => document.querySelectorAll("#facts dd")[2].innerText === "—");
  await page.goForward();
  await page.waitForFunction(() => document.querySelectorAll("#facts dd")[2].innerText === "5");
  await idle(page);
  await page.evaluate(() => (location.hash = "#model=stories260k&remove=1"));
  await page.waitForFunction(() => document.querySelector("#remove").value === "1");
  await page.close();
});

test("what a link can't keep is said: own files and own texts", async () => {
  const { page } = await watchedPage(browser);
  await page.goto(server.url("/"));
  await page.setInputFiles("#pick-files", ["config.json", "model.safetensors", "tokenizer.json"].map((name) => `${DIST}/models/stories260k/${name}`));
  await opened(page);
  await page.locator("#calibrate").getByLabel("My own").check();
  await page.locator("#calibrate textarea").fill("My secret text.");
  await page.click("#share-open");
  assert.match(await page.innerText("#share"), /Your own text is not in the link/);
  assert.match(await page.innerText("#share"), /This model is not in the link/);
  const link = await page.inputValue("#link");
  assert.ok(!/model=/.test(link), link);
  assert.match(link, /text=own/);
  assert.ok(!/secret/i.test(link));
  await page.goto("about:blank");
  await page.goto(link);
  assert.match(await page.innerText("#corrections"), /text of the sender's own/);
  await page.close();
});
