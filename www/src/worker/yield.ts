/**
 * Yields to the worker's event loop, so that a cancel is received while one blocking read follows
 * another.
 */

/** Milliseconds between two yields. */
const INTERVAL = 30;

const { port1, port2 } = new MessageChannel();
let last = performance.now();

/** Yields if the last time is long enough ago; by a message, since timers are throttled. */
export async function yieldNow(): Promise<void> {
  if (performance.now() - last < INTERVAL) return;
  await new Promise((resolve) => {
    port1.addEventListener("message", resolve, { once: true });
    port1.start();
    port2.postMessage(undefined);
  });
  last = performance.now();
}
