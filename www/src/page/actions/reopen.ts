/** Opening the model of an earlier run again. */
import { MkaError } from "#mka";
import { T } from "../../ui/texts";
import type { Run } from "../run/run";
import { isBuiltIn, lastName, openAddress } from "../state/where";
import { state } from "../state/state";
import type { Watch } from "./job";
import { openBuiltInWithin, openWithin } from "./load";
import { remoteOptions } from "./remote";

/** Whether the model of this run is open. */
export function isOpenModel({ address, made, results }: Run): boolean {
  const { model, source } = state;
  if (!model) return false;
  if (address !== undefined) return address === openAddress();
  // Files have no address. Whether a recipe is of this very model is checked when it is replayed.
  const { summary } = results;
  return source?.name === made.name && summary?.family === model.summary.family && summary.bytes === model.summary.bytes;
}

/** Whether it can be opened without its user choosing it. */
export function canReopen(run: Run): boolean {
  return isOpenModel(run) || state.sources.has(run.id) || run.address !== undefined;
}

/** As a part of a job. */
export async function reopenWithin(run: Run, watch: Watch): Promise<void> {
  if (isOpenModel(run)) return;
  const { address, made, id } = run;
  const source = state.sources.get(id);
  if (source) return openWithin(source.files, source.name, source.options, watch);
  if (address === undefined) throw new MkaError("bad-argument", T.runs.gone(made.name), T.runs.goneHint);
  if (isBuiltIn(address)) return openBuiltInWithin(address, watch);
  return openWithin(address, lastName(address), remoteOptions(address), watch);
}
