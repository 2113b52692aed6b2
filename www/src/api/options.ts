/** The options of a call, taken apart. */
import type { Watch } from "./types";

/**
 * What is sent to the worker, and what only exists on this side. A key without a value counts as
 * left out.
 */
export function split<T extends Watch>(options: T): [Omit<T, keyof Watch>, Watch] {
  const { signal, onProgress, ...rest } = options;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  return [given as Omit<T, keyof Watch>, { signal, onProgress }];
}
