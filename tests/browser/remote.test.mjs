// The page's panel for models from the network, as a person uses it: open by name, token, what is
// kept, without a network, full disk.
import assert from "node:assert/strict";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { DIST, launch } from "./chromium.mjs";
import { faults, idle, opened, watchedPage } from "./helpers.mjs";
import { COMMIT, hub, TOKEN } from "./hub.mjs";
import { serve } from "./server.mjs";

let folder, browser, server, remote, context, watched, page;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mka-page-"));
  await cp(join(DIST, "models/demo"), join(folder, "demo"), { recursive: true });
  await rm(join(folder, "demo/mka-files.json"));
  server = await serve({ "/": DIST, "/models-elsewhere/": folder });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  const demo = { folder: join(folder, "demo") };
  remote = await hub({ "tiny/demo": demo, "tiny/other": demo, "tiny/gated": { ...demo, gated: true } });
  context = await browser.newContext();
  watched = await watchedPage(context);
  ({ page } = watched);
  await page.goto(server.url("/"));
  await page.waitForSelector("#address");
});

afterEach(async () => {
  const hosts = new Set(watched.requests.filter((url) => url.startsWith("http")).map((url) => new URL(url).host));
  const own = [server.url("/"), remote.url, remote.largeUrl].map((url) => new URL(url).host);
  assert.deepEqual([...hosts].filter((host) => !own.includes(host)), [], "no other host is asked");
  await context.close();
  await remote.close();
});

async function open(address, { token, mirror = true } = {}) {
  const more = page.locator("#load details", { hasText: "Gated models" });
  if (!(await more.getAttribute("open"))) await more.evaluate((details) => (details.open = true));
  if (mirror) await page.fill("#hub", remote.url);
  if (token) await page.fill("#token", token);
  await page.fill("#address", address);
  await page.press("#address", "Enter");
}

const rows = () => page.locator(".kept li").allInnerTexts();
const alert = () => page.locator('#load [role="alert"] .error');

test("a name opens a model, which is kept, opened without its hub after a reload, and deleted", async () => {
  assert.deepEqual(remote.requests, [], "nothing is asked before the user says so");
  await open("hub:tiny/demo");
  await opened(page);
  assert.match(await page.locator("#facts").innerText(), new RegExp(COMMIT.slice(0, 10)));
  await page.waitForSelector(".kept li");
  const [row] = await rows();
  assert.match(row, /hub:tiny\/demo\s+\d+\.\d+\sMB, complete.*open now/s);
  assert.equal(await page.locator("#download-all").count(), 0, "all of it is there");
  assert.deepEqual(await faults(page), []);
  await open("tiny/other"); // as the hub itself writes it
  await page.waitForFunction(() => document.querySelectorAll(".kept li").length === 2);
  await idle(page);

  await remote.close();
  await page.reload();
  await page.waitForSelector(".kept li");
  await page.locator(".kept li", { hasText: "tiny/demo" }).getByRole("button", { name: "Open demo" }).click();
  await opened(page);
  await page.click("#run-calibrate");
  await page.waitForSelector("#map rect.pair");
  await idle(page);

  await page.locator(".kept li", { hasText: "tiny/other" }).getByRole("button", { name: "Delete other" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".kept li").length === 1);
  assert.equal(await page.evaluate(() => document.activeElement.id), "kept", "the focus is not lost");
  await page.getByRole("button", { name: "Delete demo" }).click();
  await page.waitForFunction(() => !document.querySelector(".kept"));
  assert.equal(await page.evaluate(() => document.activeElement.id), "address");
});

test("a gated model: the words lead to the token, which is gone after a reload", async () => {
  await open("hub:tiny/gated");
  await alert().waitFor();
  assert.match(await alert().innerText(), /401.*licence.*token/s);
  const field = page.locator("#token");
  assert.deepEqual([await field.getAttribute("type"), await field.getAttribute("autocomplete")], ["password", "off"]);
  await open("hub:tiny/gated", { token: TOKEN });
  await opened(page);
  assert.equal(await alert().count(), 0);
  await open(server.url("/models-elsewhere/demo"));
  await page.waitForFunction(() => document.querySelector("#facts dd").innerText === "demo");
  assert.ok(server.requests.every(({ authorization }) => !authorization), "a folder's server does not see the hub's token");
  assert.ok(!(await page.url()).includes(TOKEN));
  await page.reload();
  await page.waitForSelector(".kept li");
  assert.equal(await field.inputValue(), "");
  assert.equal(await page.evaluate((token) => JSON.stringify({ ...localStorage, ...sessionStorage }).includes(token), TOKEN), false);
});

test("without the tick nothing is kept; a folder's address is opened too", async () => {
  await page.getByLabel("Keep it in this browser").uncheck();
  await open("hub:tiny/demo");
  await opened(page);
  assert.equal(await page.locator(".kept").count(), 0);
  await open(server.url("/models-elsewhere/demo"), { mirror: false });
  await page.waitForFunction(() => document.querySelector("#facts dd").innerText === "demo");
  await idle(page);
  await page.click("#download-all");
  await page.waitForSelector(".kept li");
  await idle(page);
  assert.match((await rows())[0], /models-elsewhere\/demo\/.*complete/s);
});

test("how fast it comes is shown, and a download can be cancelled", async () => {
  remote.faults.push({ path: /large/, times: -1, delay: 150 });
  await open("hub:tiny/demo");
  await page.waitForSelector("#transfer");
  assert.match(await page.locator("#transfer").innerText(), /From the network: .*B\/s/);
  assert.match(await page.locator(".status .left").innerText(), /B\/s/);
  await page.click("#cancel");
  await idle(page);
  assert.match(await page.locator(".status .doing").innerText(), /Cancelled/);
});

test("a full disk is told, and the run goes on", async () => {
  const session = await context.newCDPSession(page);
  await session.send("Storage.overrideQuotaForOrigin", { origin: new URL(server.url("/")).origin, quotaSize: 2_000_000 });
  await open("hub:tiny/demo");
  await opened(page);
  assert.match(await page.locator('#load [role="status"]').innerText(), /hub:tiny\/demo is not kept.*Delete kept models/s);
  await page.click("#download-all");
  await alert().waitFor();
  assert.equal(await alert().getAttribute("data-code"), "storage");
  await page.click("#run-calibrate");
  await page.waitForSelector("#map rect.pair");
});
