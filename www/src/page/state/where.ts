/** Where a model comes from, as an address has it, and what it is called. */
import { HUB, type ModelFiles } from "#mka";
import { T } from "../../ui/texts";
import { modelNamed } from "./address";
import { state } from "./state";

/** Where the open model comes from, as an address has it; undefined where it can't name it. */
export function openAddress(): string | undefined {
  const { source } = state;
  // Another hub's model has the same name as one of the usual hub: a link would lead to that one.
  const elsewhere = (source?.options.hub ?? HUB) !== HUB && String(source?.files).startsWith("hub:");
  return elsewhere ? undefined : addressOf(source?.files);
}

export function isBuiltIn(model: string | undefined): boolean {
  return T.load.models.some(({ id }) => id === model);
}

export function builtInUrl(id: string): URL {
  return new URL(`models/${id}/`, document.baseURI);
}

/** "https://host/owner/name/" -> "name". */
export function lastName(address: string): string {
  return address.replace(/\/+$/, "").split("/").pop() || address;
}

function addressOf(files: ModelFiles | undefined): string | undefined {
  if (typeof files !== "string" && !(files instanceof URL)) return undefined;
  const address = String(files);
  return T.load.models.find(({ id }) => address === builtInUrl(id).href)?.id ?? modelNamed(address);
}
