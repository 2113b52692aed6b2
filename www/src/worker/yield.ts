/** Gives the worker's event loop its turn, so that a cancel is heard while one blocking read follows another. */

/** Milliseconds after which somebody else is let in. */
const TURN = 30;

const { port1, port2 } = new MessageChannel();
let last = performance.now();

/** Waits for a turn of the event loop, if the last one was some time ago. A message, since timers are throttled. */
export async function turn(): Promise<void> {
  if (performance.now() - last < TURN) return;
  await new Promise((resolve) => {
    port1.addEventListener("message", resolve, { once: true });
    port1.start();
    port2.postMessage(undefined);
  });
  last = performance.now();
}
