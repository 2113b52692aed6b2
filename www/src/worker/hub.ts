/**
 * A model on a hub, by the hub's public layout: HUB/owner/name/resolve/revision/file, and the
 * listing of HUB/api/models/owner/name/tree/revision, which a mirror may lack.
 */
import type { HubSource } from "../shared/protocol";
import { INDEX, type Look, lookIn, type Place, usualFiles, whole } from "./listing";
import { ask } from "./network";
import { type Host, isMissing, networkError, refusal } from "./refusals";
import type { Listed } from "./remote";

/** Files that an export takes along where the listing has them. */
const COMPANION = /^(added_tokens\.json|chat_template\.(json|jinja)|(video_)?(pre)?processor_config\.json|vocab\.(json|txt)|merges\.txt|LICENSE(\.\w+)?)$/;
const COMMIT = /^[0-9a-f]{40}$/;

export function hubPlace({ hub, repository, revision, source }: HubSource, token: string | undefined, commit?: string): Place {
  const host: Host = { name: source, origin: new URL(hub).origin, token, page: `${hub}/${repository}` };
  const at = encodeURIComponent(commit ?? revision);
  const path = (name: string): string => name.split("/").map(encodeURIComponent).join("/");
  return { host, address: (name) => `${hub}/${repository}/resolve/${at}/${path(name)}` };
}

/**
 * The configuration, whose answer shows whether the model may be read at all, and the commit that
 * the revision stands for now.
 */
export async function hubHead(place: Place): Promise<{ config: Listed; commit: string | undefined }> {
  const url = place.address("config.json");
  let commit = "";
  const config = await whole("config.json", url, async (backoff) => {
    const answer = await ask(place.host, url, { backoff });
    if (isMissing(answer.status)) throw refusal(place.host, url, answer.status, answer.header("X-Error-Code"));
    commit = answer.header("X-Repo-Commit");
    return answer;
  });
  if (!config) throw networkError(url, "the hub answered with a web page", "Check the hub's address.");
  return { config, commit: COMMIT.test(commit) ? commit : undefined };
}

/**
 * All files that belong to the model. `place` should name a commit, so that all are of one state.
 */
export async function listHub(place: Place, source: HubSource, commit: string | undefined, config: Listed): Promise<Listed[]> {
  const look = lookIn(place);
  const tree = await sizes(place.host, source, commit);
  if (!tree) return usualFiles(look, config);
  const listed = (name: string): Listed => ({ name, url: place.address(name), size: tree.get(name) ?? 0 });
  // Read by range, like the weights: the download of a tokenizer of 30 MB goes on where it broke.
  // The index lists the other files.
  const inTree: Look = async (name, kind) => (!tree.has(name) ? undefined : name === INDEX ? look(name, kind) : listed(name));
  const usual = await usualFiles(inTree, config);
  const companions = [...tree.keys()].filter((name) => COMPANION.test(name) && !usual.some((file) => file.name === name));
  return [...usual, ...companions.map(listed)];
}

/** The size of each file at the top of the repository; undefined where the hub lists nothing. */
async function sizes(host: Host, { hub, repository, revision }: HubSource, commit?: string): Promise<Map<string, number> | undefined> {
  const url = `${hub}/api/models/${repository}/tree/${encodeURIComponent(commit ?? revision)}`;
  try {
    const file = await whole("tree", url, (backoff) => ask(host, url, { backoff, optional: true }));
    const entries = JSON.parse((await file?.whole?.text()) ?? "") as { type: string; path: string; size: number }[];
    const files = entries.filter(({ type, path, size }) => type === "file" && typeof path === "string" && Number.isSafeInteger(size));
    return new Map(files.map(({ path, size }) => [path, size]));
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    return undefined; // a mirror without a listing: the files are requested one by one
  }
}
