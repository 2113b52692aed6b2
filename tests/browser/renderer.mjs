// The memory of a page's process, as Linux counts it.
import { readFileSync } from "node:fs";

/** Watches the processes that show pages: `peak()` is the largest resident set of any of them so far, in bytes; undefined elsewhere than on Linux. */
export async function watchRenderers(browser) {
  if (process.platform !== "linux") return { peak: () => undefined };
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const pids = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
  const resident = (pid) => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) * 1024;
  return { peak: () => Math.max(...pids.map(resident)) };
}

/** A file input of the page with these files of the disk in it: they are not read before somebody asks. */
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
