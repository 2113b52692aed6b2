/** Models from the network: how they are opened, and what is kept of them in this browser. */
import { forget, HUB, type MkaError, type OpenOptions, stored, type StoredModel } from "#mka";
import { state, update } from "../state/state";
import { job } from "./job";

/**
 * The options in the fields for opening a model from the network. The token is only for the hub of
 * the field.
 */
export function remoteOptions(address: string, on?: string): OpenOptions {
  const { token, keep } = state.remote;
  const fromField = state.remote.hub.replace(/\/+$/, "") || HUB;
  const hub = on ?? fromField;
  const named = address.startsWith("hub:") || address.startsWith(`${hub}/`);
  return { token: named && hub === fromField && token ? token : undefined, keep, hub };
}

/** Reads anew what is kept. */
export async function refreshKept(): Promise<void> {
  const models = await stored();
  const { quota } = (await navigator.storage?.estimate?.()) ?? {};
  state.kept = { models, quota };
  update();
}

/** What is kept of the model that is open. */
export function keptOfOpen(): StoredModel | undefined {
  return state.kept.models.find(isOpen);
}

export function isOpen({ source, hub = HUB }: StoredModel): boolean {
  return state.model?.source === source && (state.source?.options.hub ?? HUB) === hub;
}

export async function downloadAll(): Promise<void> {
  await job("download", async (watch) => {
    state.remote.warning = undefined;
    await state.model?.download(watch);
  });
  await refreshKept();
}

export async function deleteKept(models: readonly StoredModel[]): Promise<void> {
  await job("forget", async () => {
    for (const { source, hub } of models) await forget(source, { hub });
  });
  await refreshKept();
  // The button that had the focus may be removed.
  (document.getElementById("kept") ?? document.getElementById("address"))?.focus();
}

/** Keeping has come to an end while the work goes on. */
export function warn(warning: MkaError): void {
  state.remote.warning = `${warning.message} ${warning.hint}`;
  void refreshKept();
}
