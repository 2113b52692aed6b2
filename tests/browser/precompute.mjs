// Makes the run that the page shows before anything is loaded, by pressing "Run it here" in the
// built page with a fixed seed and built-in texts: node tests/browser/precompute.mjs [file]
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { DIST, launch } from "./chromium.mjs";
import { runHere } from "./helpers.mjs";
import { serve } from "./server.mjs";

const file = process.argv[2] ?? fileURLToPath(new URL("../../www/public/precomputed/demo.json", import.meta.url));
const server = await serve({ "/": DIST });
const browser = await launch();
const page = await browser.newPage();
// With the file that is there, its settings would be taken; the standard ones are wanted.
await page.route("**/precomputed/*", (route) => route.fulfill({ status: 404 }));
await page.goto(server.url("/"));
await runHere(page);
const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#save-run").dispatchEvent("click")]);
await mkdir(dirname(file), { recursive: true });
await download.saveAs(file);
await browser.close();
await server.close();
console.log(`${file} is written. Build the page again, so that it is shown.`);
