// The list of runs: nothing that was computed is replaced without a way back.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { bundled, faults, idle, merge, opened, quickly, watchedPage } from "./helpers.mjs";
import { serve } from "./server.mjs";

let server, browser;

before(async () => {
  server = await serve({ "/": DIST });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

async function openPage() {
  const watched = await watchedPage(browser);
  await watched.page.goto(server.url("/"));
  await watched.page.waitForSelector("#map rect.pair");
  return watched;
}

const figures = (page) => page.locator("#before-after tbody td").allInnerTexts();
const rows = (page) => page.locator("#runs-list > li");
const names = (page) => page.locator("#runs-list input.run-name").evaluateAll((fields) => fields.map(({ value }) => value));
/** Waits until so many runs are listed besides the finished one. */
const listed = (page, count) => page.waitForFunction((count) => document.querySelectorAll("#runs-list > li").length === count + 1, count);
const row = (page, name) => rows(page).filter({ has: page.locator(`input[aria-label="Show ${name}"]`) });

/** A merge of stories260K by a quick method, with so many layers removed. */
async function small(page, removed) {
  await page.locator("#remove").fill(String(removed));
  await merge(page);
}

async function openSmall(page) {
  await page.click("#open-stories260k");
  await opened(page);
  await quickly(page);
}

test("a click on the map of the finished run merges that pair, and the run stays until there is another", async () => {
  const { page, problems } = await openPage();
  for (const [part, sequences] of [["#calibrate", 4], ["#compare", 2]]) {
    await page.locator(part).getByLabel("Sequences").fill(String(sequences));
    await page.keyboard.press("Tab");
  }
  await page.locator('#map rect[aria-label^="Layers 5 and 6"]').click();
  await page.waitForFunction(() => document.querySelector("#facts dd").innerText === "Fairy tales");
  assert.equal(await page.locator('#map g[aria-label="cell"] rect').count(), 144, "it is on the screen still");
  await page.waitForSelector("#files, #error");
  await idle(page);
  assert.equal(await page.locator("#error").count(), 0, await page.locator(".trouble").allInnerTexts().then(String));
  assert.deepEqual(await page.locator("#pairs li").allInnerTexts(), ["6 into 5"]);
  assert.equal((await figures(page))[1], "11");
  // Once more, with what is open now; and the finished run is listed.
  await page.locator('#map rect[aria-label^="Layers 7 and 8"]').focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelectorAll("#before-after tbody td")[1].innerText === "10");
  await idle(page);
  await listed(page, 2);
  assert.deepEqual(problems, []);
  await page.close();
});

test("every merge is a run: shown, compared, renamed, exported, deleted, had back, and there after a reload", async () => {
  const { page, problems } = await openPage();
  await openSmall(page);
  await small(page, 1);
  const first = await figures(page);
  await listed(page, 1);
  await small(page, 2);
  const second = await figures(page);
  await listed(page, 2);
  assert.notDeepEqual(first, second);
  const [later, earlier] = await names(page);
  assert.match(earlier, /stories260K, MKA, the paper, 1 removed/);

  // On the screen, and side by side.
  await row(page, earlier).getByRole("radio").check();
  assert.deepEqual(await figures(page), first);
  assert.match(await page.innerText("#example"), /an earlier run/);
  assert.equal(await page.locator("#files").isVisible(), false, "its files come again with its model");
  await row(page, later).getByRole("checkbox").check();
  const compared = await page.innerText("#runs-compared");
  for (const part of [/Layers removed\s+1 of 5 layers removed\s+2 of 5 layers removed/, /Measured on\s+the built-in held-out text, up to 2 sequences/]) assert.match(compared, part);
  await row(page, later).getByRole("radio").check();
  assert.deepEqual(await figures(page), second);
  assert.equal(await page.locator("#files").isVisible(), true);

  // Renamed, exported, deleted, had back.
  await row(page, earlier).locator("input.run-name").fill("The careful one");
  await page.keyboard.press("Tab");
  const [download] = await Promise.all([page.waitForEvent("download"), row(page, "The careful one").getByRole("button", { name: /^Export/ }).click()]);
  assert.equal(download.suggestedFilename(), "the-careful-one.json");
  const file = JSON.parse(await readFile(await download.path(), "utf8"));
  assert.equal(file.format, "mka-run/1");
  assert.equal(file.recipe.steps.length, 1);
  assert.equal(file.comparison.tokens > 0 && file.name, "The careful one");
  await row(page, "The careful one").getByRole("button", { name: /^Delete/ }).click();
  await listed(page, 1);
  await page.getByRole("button", { name: /^Undo the run/ }).click();
  await listed(page, 2);
  assert.deepEqual(await names(page), [later, "The careful one"]);
  assert.deepEqual(await faults(page, undefined, "#runs"), []);

  // Kept over a reload; the model comes again from its recipe.
  await page.reload();
  await listed(page, 2);
  assert.deepEqual(await names(page), [later, "The careful one"]);
  await row(page, "The careful one").getByRole("radio").check();
  assert.deepEqual(await figures(page), first);
  await row(page, "The careful one").getByRole("button", { name: /^Make it again/ }).click();
  await page.waitForSelector("#files");
  await idle(page);
  assert.deepEqual(await figures(page), first);
  await listed(page, 2);
  assert.deepEqual(problems, []);
  await page.close();
});

test("the banner never replaces a model of one's own: the finished run is shown beside it", async () => {
  const { page } = await openPage();
  await openSmall(page);
  await small(page, 1);
  const own = await figures(page);
  assert.equal(await page.locator("#run-here").count(), 0);
  await page.click("#show-finished");
  assert.equal((await figures(page))[0], "12");
  assert.match(await page.innerText("#example"), /stories260K is closed for it; its results stay under Runs/);
  await page.click("#back-here");
  assert.deepEqual(await figures(page), own);
  assert.equal(await page.locator("#files").isVisible(), true, "nothing was closed");
  // Another model: what there was is a row, and comes back with a click.
  await page.click("#open-demo");
  await page.waitForFunction(() => document.querySelector("#facts dd").innerText === "Fairy tales");
  await idle(page);
  const [name] = await names(page);
  await row(page, name).getByRole("radio").check();
  assert.deepEqual(await figures(page), own);
  await row(page, name).getByRole("button", { name: /^Make it again/ }).click();
  await page.waitForSelector("#files");
  await idle(page);
  assert.deepEqual(await figures(page), own);
  assert.equal(await page.locator("#facts dd").first().innerText(), "stories260K");
  await page.close();
});

test("closing the tab asks while something runs, and where the browser keeps nothing", async () => {
  const { page } = await openPage();
  await openSmall(page);
  const asks = async () => {
    let asked = false;
    const dismiss = (dialog) => {
      asked = dialog.type() === "beforeunload";
      return dialog.dismiss();
    };
    page.once("dialog", dismiss);
    // What the browser does when it is asked to leave, without leaving.
    const kept = await page.evaluate(() => {
      const event = new Event("beforeunload", { cancelable: true });
      return !window.dispatchEvent(event);
    });
    page.off("dialog", dismiss);
    return kept || asked;
  };
  assert.equal(await asks(), false, "nothing would be lost");
  await page.click("#run-calibrate");
  await page.waitForSelector(".status.busy");
  assert.equal(await asks(), true);
  await page.waitForSelector("#map rect.pair");
  await idle(page);
  await listed(page, 1);
  assert.equal(await asks(), false, "it is kept");
  await page.evaluate(() => {
    IDBObjectStore.prototype.put = () => {
      throw new DOMException("the disk is full", "QuotaExceededError");
    };
  });
  await small(page, 1);
  await page.locator("#runs .warnings", { hasText: "the disk is full" }).waitFor();
  assert.equal(await asks(), true);
  await page.close();
});

test("the time left is that of the whole job, by the pace of the steps that have ended", async () => {
  const { advance, begin, secondsLeft } = await bundled("src/page/state/plan.ts");
  const steps = [["calibrate", 10], ["look", 5], ["merge", 20], ["compare", 5]].map(([name, seconds]) => ({ name, seconds }));
  let plan = begin(steps, 0);
  assert.equal(secondsLeft(plan, undefined, 0), 40);
  assert.equal(secondsLeft(plan, undefined, 4000), 36);
  assert.equal(secondsLeft(plan, 8, 4000), 38, "the step itself says more");
  plan = advance(plan, "look", 20_000);
  assert.equal(secondsLeft(plan, undefined, 20_000), 60, "twice as slow as expected");
  plan = advance(plan, "compare", 30_000);
  assert.equal(secondsLeft(plan, undefined, 30_000) < 10, true);
  assert.equal(advance(plan, "write", 30_000), plan, "a step that was not expected");

  const { page } = await openPage();
  await page.click("#open-demo");
  await opened(page);
  await quickly(page);
  await page.evaluate(() => {
    window.left = [];
    new MutationObserver(() => window.left.push(document.querySelector(".status .left").innerText)).observe(document.querySelector(".status"), { subtree: true, childList: true, characterData: true });
  });
  await merge(page);
  const said = await page.evaluate(() => window.left.filter((text) => /left/.test(text)));
  // Until the speed is measured, nothing is known of the whole.
  const whole = said.slice(said.findIndex((text) => !/of this step/.test(text)));
  assert.ok(whole.length > 1 && whole.every((text) => !/of this step/.test(text)), said.join("; "));
  await page.close();
});
