/**
 * Opens what the user named: files, the folder at a URL, or a model on a hub; from the cache where
 * that has the right version.
 */
import type { PlainError, RemoteSource, Source } from "../shared/protocol";
import { digest, type Manifest } from "../shared/cache";
import { mkaError } from "./errors";
import { hubHead, hubPlace, listHub } from "./hub";
import { folderPlace, head, listFolder, type Place } from "./listing";
import { type Listed, RemoteFile } from "./remote";
import { failed, notKept, ModelCache } from "./cache";
import { fromBlob, type SourceFile } from "./source";

/** A model's files, and what is known of where they come from. */
export interface Opened {
  files: SourceFile[];
  /** The commit of a hub's revision. */
  commit?: string | undefined;
  /** Keeps all of it, for use without a network. */
  download(onProgress: (done: number, total: number) => void): Promise<void>;
}

export type OnWarning = (warning: PlainError) => void;

/** `onWarning` is called when keeping comes to an end and the work goes on. */
export async function openSource(source: Source, onWarning: OnWarning): Promise<Opened> {
  if ("files" in source) return { files: source.files.map(fromBlob), download: onDevice };
  return openRemote(source, onWarning);
}

async function onDevice(): Promise<void> {
  throw mkaError("bad-argument", "This model comes from files: it is on this device already.", "Only models from the network can be downloaded.");
}

/** Where the files are and what they are, from the network or from the cache. */
interface Contents {
  place: Place;
  manifest: Manifest;
  listed: Listed[];
  cache: ModelCache | undefined;
}

async function openRemote(source: RemoteSource, onWarning: OnWarning): Promise<Opened> {
  const { keep, commit } = source;
  // A cache that can't be read counts as none.
  let found = await ModelCache.find(source.source, hubOf(source)).catch(() => undefined);
  // This model was opened before what is kept now, which is of another version and must stay.
  const another = commit !== undefined && found !== undefined && found.manifest.commit !== commit;
  if (another) found = undefined;
  const contents = await tableOfContents(source, found, onWarning);
  const { manifest, place, listed } = contents;
  let { cache } = contents;
  const files = listed.map((file, at) => new RemoteFile(place.host, file, cache?.files[at]));
  const begin = async (): Promise<ModelCache> => {
    if (another) {
      throw mkaError(
        "storage",
        `${source.source} is not kept: another version of it is kept, and this model is of the commit ${commit}.`,
        "It is read over the network. Open it anew to have the newer version, or delete what is kept and open it then.",
      );
    }
    cache ??= await ModelCache.create(manifest).catch((cause: unknown) => {
      throw failed(source.source, listed.reduce((sum, { size }) => sum + size, 0), cause);
    });
    if (!cache) throw notKept(source.source, "this browser keeps no files for this page");
    for (const [at, file] of files.entries()) file.cached = cache.files[at];
    cache.onTrouble = onWarning;
    await cache.begin();
    return cache;
  };
  // Where nothing was found, opening fails: there is nothing to keep.
  if (keep && files.length > 0) await begin().catch(onWarning);
  for (const file of files) await file.keepSmall();
  return {
    files,
    commit: manifest.commit,
    async download(onProgress) {
      const there = await begin();
      const total = there.missing;
      for (const file of files) {
        for await (const _ of file.parts(0, file.size)) {
          if (there.trouble) throw there.trouble;
          onProgress(total - there.missing, total);
        }
      }
      if (there.missing > 0) throw there.trouble ?? notKept(source.source, "it was deleted meanwhile");
    },
  };
}

/** From the network; from the cache where there is no network, or where all is kept. */
async function tableOfContents(source: RemoteSource, found: ModelCache | undefined, onWarning: OnWarning): Promise<Contents> {
  const kept = (cache: ModelCache): Contents => {
    const { manifest } = cache;
    const place = placeOf(source, onWarning, manifest.commit);
    const listed = manifest.files.map(({ name, size }) => ({ name, size, url: place.address(name) }));
    return { place, manifest, listed, cache };
  };
  if (found && navigator.onLine === false) return kept(found);
  try {
    const { listed, place, commit } = await list(source, found, onWarning);
    if (!listed) return kept(found as ModelCache);
    const version = commit ?? (await versionOf(listed));
    if (found?.manifest.version === version) return { ...kept(found), listed };
    const files = listed.map(({ name, size }) => ({ name, size }));
    const manifest: Manifest = { source: source.source, hub: hubOf(source), commit, version, files };
    return { place, manifest, listed, cache: undefined };
  } catch (error) {
    const { code, unreachable } = error as { code?: string; unreachable?: boolean };
    if (found && code === "network" && (unreachable || found.missing === 0)) return kept(found);
    throw error;
  }
}

interface Listing {
  place: Place;
  commit?: string | undefined;
  /** Missing where what is kept is of this very commit: no further request is needed. */
  listed?: Listed[];
}

async function list(source: RemoteSource, found: ModelCache | undefined, onWarning: OnWarning): Promise<Listing> {
  if (!("repository" in source)) {
    const place = placeOf(source, onWarning);
    const listed = await listFolder(place);
    // The files may have changed since their list was made.
    return { place, listed: source.keep || found ? await looked(place, listed) : listed };
  }
  const { config, commit } = await hubHead(placeOf(source, onWarning, source.commit));
  const place = placeOf(source, onWarning, commit ?? source.commit);
  if (commit && commit === found?.manifest.version) return { place, commit };
  return { place, commit, listed: await listHub(place, source, commit, config) };
}

function placeOf(source: RemoteSource, onWarning: OnWarning, commit?: string): Place {
  const place = "repository" in source ? hubPlace(source, source.token, commit) : folderPlace(source.folder, source.token);
  place.host.onWarning = onWarning;
  return place;
}

function hubOf(source: RemoteSource): string | undefined {
  return "repository" in source ? source.hub : undefined;
}

async function looked(place: Place, listed: Listed[]): Promise<Listed[]> {
  const look = async (file: Listed): Promise<Listed> =>
    file.whole || file.version !== undefined ? file : ((await head(place.host, file.name, file.url, false)) ?? file);
  return Promise.all(listed.map(look));
}

/** A digest of what the server sends about all files: names, sizes and versions. */
async function versionOf(listed: Listed[]): Promise<string> {
  const facts = listed.map(async ({ name, size, version, whole }) => [name, size, version || (whole && (await digest(await whole.text()))) || ""]);
  return digest(JSON.stringify(await Promise.all(facts)));
}
