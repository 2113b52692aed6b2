// Starts Debian's Chromium as the tests use it.
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

// The packages belong to www/: the tests have none of their own.
const require = createRequire(new URL("../../www/package.json", import.meta.url));
const { chromium } = require("playwright-core");

/** The built page. */
export const DIST = process.env.MKA_DIST ?? fileURLToPath(new URL("../../www/dist", import.meta.url));

export const CHROMIUM = process.env.MKA_CHROMIUM ?? "/usr/bin/chromium";

export function launch() {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--headless=new",
      "--no-sandbox",
      "--enable-unsafe-webgpu",
      "--use-webgpu-adapter=swiftshader",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
