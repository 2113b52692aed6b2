/** The options of a call, taken apart. */
import type { Watch } from "./types";

/** What the worker is told, and what only exists on this side. A key without a value counts as left out. */
export function split<T extends Watch>(options: T): [Omit<T, keyof Watch>, Watch] {
  const { signal, onProgress, ...rest } = options;
  const told = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  return [told as Omit<T, keyof Watch>, { signal, onProgress }];
}
