// Starts Debian's Chromium as the tests use it.
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

// The packages belong to www/: the tests have none of their own.
const require = createRequire(new URL("../../www/package.json", import.meta.url));
const { chromium } = require("playwright-core");

/** The built page. */
export const DIST = process.env.MKA_DIST ?? fileURLToPath(new URL("../../www/dist", import.meta.url));

export const CHROMIUM = process.env.MKA_CHROMIUM ?? "/usr/bin/chromium";

/** The adapter that the tests use: a program, the same everywhere. */
const SOFTWARE = ["--use-webgpu-adapter=swiftshader"];
/** On Linux Chromium computes on the machine's own adapter only where it is told to. */
const HARDWARE = ["--enable-features=Vulkan", "--disable-vulkan-surface"];

/** `flags`: what only one test wants. */
export function launch({ hardware = false, flags = [] } = {}) {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--headless=new",
      "--no-sandbox",
      "--enable-unsafe-webgpu",
      ...(hardware ? HARDWARE : SOFTWARE),
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...flags,
    ],
  });
}
