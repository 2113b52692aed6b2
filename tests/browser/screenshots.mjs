// Screenshots of the built page, and the one that the README shows: node tests/browser/screenshots.mjs [folder]
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DIST, launch } from "./chromium.mjs";
import { serve } from "./server.mjs";

const folder = process.argv[2] ?? fileURLToPath(new URL("results", import.meta.url));
const readme = fileURLToPath(new URL("../../docs/screenshot.png", import.meta.url));
await mkdir(folder, { recursive: true });
await mkdir(fileURLToPath(new URL("../../docs", import.meta.url)), { recursive: true });

const server = await serve({ "/": DIST });
const browser = await launch();
for (const [name, width] of [["wide", 1400], ["narrow", 360]]) {
  for (const colorScheme of ["light", "dark"]) {
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
    await page.goto(server.url("/"));
    await page.waitForSelector("#open-demo");
    const shoot = async (state) => {
      // Without a fixed bar, a picture of the whole page has it at its end.
      await page.addStyleTag({ content: ".status { position: static } body { padding: 0 }" });
      await page.screenshot({ path: join(folder, `${name}-${colorScheme}-${state}.png`), fullPage: true });
    };
    await shoot("start");
    await page.click("#open-demo");
    await page.waitForFunction(() => document.querySelector("#facts dd").innerText !== "—");
    await page.click("#run-merge");
    await page.waitForSelector("#files", { timeout: 120_000 });
    await page.waitForFunction(() => !document.querySelector(".status.busy"), null, { timeout: 120_000 });
    await shoot("merged");
    if (name === "wide" && colorScheme === "light") await page.screenshot({ path: readme, fullPage: true });
    await page.close();
  }
}
await browser.close();
await server.close();
console.log(`Screenshots are in ${folder}, the README's in ${readme}.`);
