/** Tokens as they come, as an async generator. */
import { split } from "./options";
import type { Made, WorkerProxy } from "./proxy";
import type { GenerateOptions, Token } from "./types";

export async function* generate(
  proxy: WorkerProxy<Made>,
  options: GenerateOptions,
): AsyncGenerator<Token, void, undefined> {
  const [choices, { signal }] = split(options);
  const stop = new AbortController();
  const forward = (): void => stop.abort();
  if (signal?.aborted) stop.abort();
  signal?.addEventListener("abort", forward, { once: true });

  const waiting: Token[] = [];
  let wake: () => void = () => {};
  let ended = false;
  const running = proxy
    .call("generate", [choices], {
      signal: stop.signal,
      onToken: (token) => {
        waiting.push(token);
        wake();
      },
    })
    .finally(() => {
      ended = true;
      wake();
    });
  running.catch(() => {}); // reported below, after the tokens that came before it

  try {
    while (true) {
      const token = waiting.shift();
      if (token) yield token;
      else if (ended) break;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
    await running;
  } finally {
    signal?.removeEventListener("abort", forward);
    stop.abort();
    await running.catch(() => {});
  }
}
