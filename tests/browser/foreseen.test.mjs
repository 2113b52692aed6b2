// What the slider says beforehand, against what the engine then does.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { idle, opened, watchedPage } from "./helpers.mjs";
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

test("the pairs that the slider foresees are those of a merge that measures once; nothing runs for them", async () => {
  const { page, problems } = await watchedPage(browser);
  await page.goto(server.url("/"));
  await page.click("#open-demo");
  await opened(page);
  await page.selectOption("#preset", "mka");
  assert.equal(await page.locator("#preview").count(), 0, "nothing is measured yet");
  await page.click("#run-calibrate");
  await page.waitForSelector("#map rect.pair");
  await idle(page);
  const told = async () => [...(await page.locator("#preview").innerText()).matchAll(/(\d+) into (\d+) \((.+?)\)/g)].map(([, gone, keep]) => [Number(keep), Number(gone)]);
  for (const count of [1, 5, 3]) {
    await page.locator("#remove").fill(String(count));
    assert.equal((await told()).length, count);
    assert.equal(await page.locator(".status.busy").count(), 0);
  }
  const pairs = await told();
  await page.locator("#merge summary", { hasText: "Choices" }).click();
  await page.getByLabel("Measure similarity once, before anything is merged").check();
  assert.deepEqual(await told(), pairs);
  assert.doesNotMatch(await page.locator("#preview").innerText(), /anew/);
  await page.click("#run-merge");
  await page.waitForSelector("#steps li");
  await idle(page);
  const steps = await page.locator("#steps li").allInnerTexts();
  assert.equal(steps.length, 3);
  steps.forEach((step, at) => pairs[at].forEach((layer) => assert.match(step, new RegExp(`\\b${layer}\\b`), `${step}: ${pairs[at]}`)));
  assert.deepEqual(problems, []);
  await page.close();
});
