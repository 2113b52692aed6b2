/** The models that are kept in this browser. Needs no engine. */
import * as cache from "../shared/cache";
import { MkaError } from "./error";
import { HUB, named } from "./source";
import type { StoredModel } from "./types";

/** The models that are kept in this browser, the largest first. */
export function stored(): Promise<StoredModel[]> {
  return cache.stored();
}

/**
 * Deletes what is kept of a model, named as it was opened; `hub` where it was not the usual one.
 */
export async function forget(source: string | URL, { hub = HUB }: { hub?: string } = {}): Promise<void> {
  const place = named(String(source), hub);
  try {
    await cache.forget(place.source, "hub" in place ? place.hub : undefined);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MkaError("storage", `${place.source} could not be deleted: ${reason}`, "Close other tabs that use it, then try again.");
  }
}
