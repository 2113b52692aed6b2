/** What the user named as a model -> where the worker reads it. */
import type { Source } from "../shared/protocol";
import { MkaError } from "./error";

/** Files of a folder, the URL of one, or `hub:owner/name[@revision]`. */
export type ModelFiles = FileList | readonly File[] | string | URL;

/** The hub that names are looked up on. */
export const HUB = "https://huggingface.co";

const PART = "[A-Za-z0-9](?:[\\w.-]{0,94}[A-Za-z0-9_])?";
const REPOSITORY = new RegExp(`^${PART}/${PART}$`);
const REVISION = /^\w[\w.-]*(\/\w[\w.-]*)*$/;

export interface SourceOptions {
  token?: string | undefined;
  keep?: boolean | undefined;
  hub?: string | undefined;
}

export function toSource(files: ModelFiles, { token, keep = false, hub = HUB }: SourceOptions = {}): Source {
  if (typeof files === "string" || files instanceof URL) {
    const place = named(String(files), hub);
    if (token) checkToken(token, "hub" in place ? place.hub : place.folder);
    return { ...place, token: token || undefined, keep };
  }
  const list = Array.from(files ?? []);
  if (!list.every((file) => file instanceof Blob)) {
    throw new MkaError(
      "bad-argument",
      "files: neither files nor the URL of a folder",
      "Give a FileList, an array of File, the URL of a folder, or hub:owner/name.",
    );
  }
  return { files: list.map((file) => ({ name: pathOf(file), blob: file })) };
}

type Named = { source: string; folder: string } | { source: string; hub: string; repository: string; revision: string };

/**
 * "owner/name", as models are called on the hub. A folder of this server is written with a slash at
 * its end, or with "./" before it.
 */
export function isHubName(text: string): boolean {
  return REPOSITORY.test(text.split("@")[0] ?? "") && text.split("@").length <= 2;
}

/** A name on the hub, the address of a model's page on the hub, or the address of a folder. */
export function named(text: string, hub = HUB): Named {
  const trimmed = text.trim();
  if (trimmed.startsWith("hub:")) return onHub(trimmed.slice(4), hub);
  if (isHubName(trimmed)) return onHub(trimmed, hub);
  const url = address(trimmed, globalThis.document?.baseURI ?? location.href);
  const base = `${hubAddress(hub)}/`;
  const path = url.href.startsWith(base) ? url.href.slice(base.length).replace(/[?#].*$/, "") : "";
  const page = /^([^/]+\/[^/]+?)(?:\/(?:tree|blob)\/([^/]+).*)?\/?$/.exec(path);
  if (page) return onHub(`${page[1]}@${decoded(page[2] ?? "main")}`, hub);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  url.search = url.hash = ""; // may hold a secret, and is of no use for the files in the folder
  return { source: url.href, folder: url.href };
}

/** Unchanged where it can't be decoded: then it is no name of a revision. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function onHub(name: string, hub: string): Named {
  const [repository = "", revision = "main", ...rest] = name.split("@");
  const fine = REPOSITORY.test(repository) && !/\.\.|--/.test(repository) && REVISION.test(revision) && revision.length <= 200;
  if (!fine || revision.includes("..") || rest.length > 0) {
    throw new MkaError("bad-argument", `hub:${name} is no name of a model on a hub`, "Write hub:owner/name or hub:owner/name@revision.");
  }
  const source = `hub:${repository}${revision === "main" ? "" : `@${revision}`}`;
  return { source, hub: hubAddress(hub), repository, revision };
}

function hubAddress(hub: string): string {
  const { origin, pathname } = address(hub, undefined);
  return origin + pathname.replace(/\/+$/, "");
}

/** An address on the web. */
function address(text: string, base: string | undefined): URL {
  let url: URL;
  try {
    url = new URL(text, base);
  } catch {
    throw new MkaError("bad-argument", `${text} is no address`, "Write https://…, a path on this server, or hub:owner/name.");
  }
  if (!/^https?:$/.test(url.protocol)) {
    throw new MkaError("bad-argument", `${url.protocol} is no address that can be read`, "Write https://…, a path on this server, or hub:owner/name.");
  }
  if (url.username || url.password) {
    throw new MkaError("bad-argument", "The address holds a name or a password", "Leave them out. A token goes into its own field.");
  }
  return url;
}

/** A token is sent over encrypted connections only, and is one word of plain characters. */
function checkToken(token: string, where: string): void {
  const { protocol, hostname } = new URL(where);
  if (!/^[\x21-\x7e]+$/.test(token)) throw new MkaError("bad-argument", "The token holds spaces or other signs that no token has", "Copy it again.");
  if (protocol === "https:" || hostname === "localhost" || hostname === "127.0.0.1") return;
  throw new MkaError("bad-argument", "A token is not sent over http", "Use an address on https.");
}

/** The path inside the chosen folder: browsers put the folder's own name first. */
function pathOf(file: File): string {
  const path = file.webkitRelativePath;
  return path ? path.slice(path.indexOf("/") + 1) : file.name;
}
