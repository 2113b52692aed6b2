// Makes the icons of the installed page from icon.svg: node tests/browser/icons.mjs
import { mkdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { launch } from "./chromium.mjs";

const folder = fileURLToPath(new URL("../../www/public", import.meta.url));
const icon = await readFile(`${folder}/icon.svg`, "utf8");
await mkdir(`${folder}/icons`, { recursive: true });
const browser = await launch();
// A maskable icon is cut to any shape inside of its middle: the ground reaches to the edges, the
// picture does not.
for (const [name, size, ground, share] of [["192", 192, "transparent", 1], ["512", 512, "transparent", 1], ["maskable", 512, "#14232d", 0.72]]) {
  const page = await browser.newPage({ viewport: { width: size, height: size } });
  await page.setContent(`<style>body { margin: 0; height: 100vh; display: grid; place-content: center; background: ${ground} }
    svg { display: block; width: ${size * share}px; height: ${size * share}px }</style>${icon}`);
  await page.screenshot({ path: `${folder}/icons/${name}.png`, omitBackground: true });
  await page.close();
}
await browser.close();
