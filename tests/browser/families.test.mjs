// Models of other families on the built page: what the user is told when one is opened, and when
// one is refused.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { FIXTURES, idle, opened, watchedPage } from "./helpers.mjs";
import { serve } from "./server.mjs";

let server, browser;

before(async () => {
  server = await serve({ "/app/": DIST });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/** The files of a miniature for a file field, with some of the configuration's keys set. */
async function files(miniature, change = {}) {
  const read = (folder, name) => readFile(join(FIXTURES, folder, name));
  const config = { ...JSON.parse(await read(miniature, "config.json")), ...change };
  const file = (name, buffer) => ({ name, mimeType: "", buffer });
  return [
    file("config.json", Buffer.from(JSON.stringify(config))),
    file("model.safetensors", await read(miniature, "model.safetensors")),
    file("tokenizer.json", await read("llama", "tokenizer.json")),
  ];
}

async function pick(page, chosen) {
  await page.goto(server.url("/app/"));
  await page.setInputFiles("#pick-files", chosen);
}

test("a Llama by another name is opened, and the page says so; what is no Llama is refused with what is missing", async () => {
  const { page, problems } = await watchedPage(browser);
  await pick(page, await files("llama", { model_type: "yi" }));
  await opened(page);
  const warning = await page.locator("#load .warnings").innerText();
  assert.match(warning, /"yi" is computed as Llama/);

  const refusals = [
    [await files("llama", { model_type: "internlm3", residual_multiplier: 0.5 }), /residual_multiplier/],
    [await files("olmo2", { model_type: "internlm3" }), /model\.layers\.0\.input_layernorm\.weight/],
    [await files("qwen2", { model_type: "internlm3", attention_bias: true, layer_types: null, max_window_layers: null }), /self_attn\.o_proj\.bias/],
  ];
  for (const [chosen, words] of refusals) {
    await pick(page, chosen);
    const error = await page.locator("#load #error").innerText();
    assert.match(error, words);
    assert.match(error, /gemma2/, "the families that are known are named");
  }
  assert.deepEqual(problems, []);
  await page.close();
});

test("each kind of block is opened without a warning", async () => {
  const { page, problems } = await watchedPage(browser);
  for (const family of ["gemma2", "gpt2-scaled", "opt-post", "phi3-partial"]) {
    await pick(page, await files(family));
    await opened(page);
    assert.equal((await page.locator("#facts dd").allInnerTexts())[1], family.split("-")[0]);
    assert.equal(await page.locator("#load .warnings").count(), 0);
  }
  assert.deepEqual(problems, []);
  await page.close();
});

test("the curves of a model of three layers leave out the methods that can remove none, and say so if no other is chosen", async () => {
  const { page, problems } = await watchedPage(browser);
  await pick(page, await files("gpt_neo-untied"));
  await opened(page);
  await page.locator("#calibrate").getByLabel("Sequences").fill("4");
  await page.keyboard.press("Tab");
  await page.click("#run-depth");
  await page.waitForSelector("#perplexity svg, #error");
  await idle(page);
  assert.equal(await page.locator("#error").count(), 0);
  assert.match(await page.locator("#at-depth").innerText(), /^With 1 removed: .*\d/);
  for (const box of (await page.locator("fieldset.checks:has(legend:text-is('Methods')):not(#lineup-methods) input:checked").all()).reverse()) await box.uncheck();
  await page.locator("fieldset.checks:not(#lineup-methods)").getByLabel("MKA, the paper").check();
  await page.click("#run-depth");
  assert.match(await page.locator("#error").innerText(), /no layer of this model can go/);
  assert.deepEqual(problems, []);
  await page.close();
});
