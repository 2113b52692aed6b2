// The memory of a page's process, as Linux counts it.
import { readFileSync } from "node:fs";

/**
 * Watches the processes that show pages: `peak()` is the largest resident set of any of them so
 * far, in bytes; undefined elsewhere than on Linux. It asks again and again, since Chromium sets
 * Linux's own record of the peak back now and then.
 */
export async function watchRenderers(browser) {
  if (process.platform !== "linux") return { peak: () => undefined };
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const pids = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
  const record = (pid) => {
    try {
      return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
    } catch {
      return 0; // a process that has ended
    }
  };
  let largest = 0;
  const peak = () => (largest = Math.max(largest, ...pids.map(record)));
  setInterval(peak, 250).unref();
  return { peak };
}

/**
 * A file input of the page with these files of the disk in it: they are not read before somebody
 * asks.
 */
export async function choose(page, files) {
  const input = await page.evaluateHandle(() => {
    const input = document.createElement("input");
    input.type = "file";
    input.multiple = true;
    document.body.append(input);
    return input;
  });
  await input.setInputFiles(files);
  return input;
}
