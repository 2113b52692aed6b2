/** Opens what the user named: files, a folder behind a URL, or a model on a hub; from what is kept where that is right. */
import type { PlainError, RemoteSource, Source } from "../shared/protocol";
import { digest, type Manifest } from "../shared/cache";
import { mkaError } from "./errors";
import { hubHead, hubPlace, listHub } from "./hub";
import { folderPlace, head, listFolder, type Place } from "./listing";
import { type Listed, RemoteFile } from "./remote";
import { failed, notKept, Shelf } from "./cache";
import { fromBlob, type SourceFile } from "./source";

/** A model's files, and what is known of where they come from. */
export interface Opened {
  files: SourceFile[];
  /** The commit of a hub's revision. */
  commit?: string | undefined;
  /** Keeps all of it, for use without a network. */
  download(onProgress: (done: number, total: number) => void): Promise<void>;
}

export type Told = (trouble: PlainError) => void;

/** `told` hears when keeping comes to an end and the work goes on. */
export async function openSource(source: Source, told: Told): Promise<Opened> {
  if ("files" in source) return { files: source.files.map(fromBlob), download: onDevice };
  return openRemote(source, told);
}

async function onDevice(): Promise<void> {
  throw mkaError("bad-argument", "This model comes from files: it is on this device already.", "Only models from the network can be downloaded.");
}

/** Where the files are found, and what they are: a table of contents that the network or the disk gave. */
interface Contents {
  place: Place;
  manifest: Manifest;
  listed: Listed[];
  shelf: Shelf | undefined;
}

async function openRemote(source: RemoteSource, told: Told): Promise<Opened> {
  const { keep, commit } = source;
  let found = await Shelf.find(source.source, hubOf(source)).catch(() => undefined); // what can't be read is not there
  // What is kept is of another version than this model, which was opened before: it is not ours to replace.
  const another = commit !== undefined && found !== undefined && found.manifest.commit !== commit;
  if (another) found = undefined;
  const contents = await tableOfContents(source, found, told);
  const { manifest, place, listed } = contents;
  let { shelf } = contents;
  const files = listed.map((file, at) => new RemoteFile(place.host, file, shelf?.drawers[at]));
  const begin = async (): Promise<Shelf> => {
    if (another) {
      throw mkaError(
        "storage",
        `${source.source} is not kept: another version of it is kept, and this model is of the commit ${commit}.`,
        "It is read over the network. Open it anew to have the newer version, or delete what is kept and open it then.",
      );
    }
    shelf ??= await Shelf.create(manifest).catch((cause: unknown) => {
      throw failed(source.source, listed.reduce((sum, { size }) => sum + size, 0), cause);
    });
    if (!shelf) throw notKept(source.source, "this browser keeps no files for this page");
    for (const [at, file] of files.entries()) file.drawer = shelf.drawers[at];
    shelf.onTrouble = told;
    await shelf.begin();
    return shelf;
  };
  if (keep) await begin().catch(told);
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

/** From the network; from what is kept where there is none, or where all is kept. */
async function tableOfContents(source: RemoteSource, found: Shelf | undefined, told: Told): Promise<Contents> {
  const kept = (shelf: Shelf): Contents => {
    const { manifest } = shelf;
    const place = placeOf(source, told, manifest.commit);
    const listed = manifest.files.map(({ name, size }) => ({ name, size, url: place.address(name) }));
    return { place, manifest, listed, shelf };
  };
  if (found && navigator.onLine === false) return kept(found);
  try {
    const { listed, place, commit } = await list(source, found, told);
    if (!listed) return kept(found as Shelf);
    const version = commit ?? (await versionOf(listed));
    if (found?.manifest.version === version) return { ...kept(found), listed };
    const files = listed.map(({ name, size }) => ({ name, size }));
    const manifest: Manifest = { source: source.source, hub: hubOf(source), commit, version, files };
    return { place, manifest, listed, shelf: undefined };
  } catch (error) {
    const { code, unreachable } = error as { code?: string; unreachable?: boolean };
    if (found && code === "network" && (unreachable || found.missing === 0)) return kept(found);
    throw error;
  }
}

interface Listing {
  place: Place;
  commit?: string | undefined;
  /** Missing where what is kept is of this very commit: nothing more needs to be asked. */
  listed?: Listed[];
}

async function list(source: RemoteSource, found: Shelf | undefined, told: Told): Promise<Listing> {
  if (!("repository" in source)) {
    const place = placeOf(source, told);
    const listed = await listFolder(place);
    // A list made beforehand does not tell whether the files are still the same.
    return { place, listed: source.keep || found ? await looked(place, listed) : listed };
  }
  const { config, commit } = await hubHead(placeOf(source, told, source.commit));
  const place = placeOf(source, told, commit ?? source.commit);
  if (commit && commit === found?.manifest.version) return { place, commit };
  return { place, commit, listed: await listHub(place, source, commit, config) };
}

function placeOf(source: RemoteSource, told: Told, commit?: string): Place {
  const place = "repository" in source ? hubPlace(source, source.token, commit) : folderPlace(source.folder, source.token);
  place.host.told = told;
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

/** Stands for what the server says of all files. */
async function versionOf(listed: Listed[]): Promise<string> {
  const facts = listed.map(async ({ name, size, version, whole }) => [name, size, version || (whole && (await digest(await whole.text()))) || ""]);
  return digest(JSON.stringify(await Promise.all(facts)));
}
