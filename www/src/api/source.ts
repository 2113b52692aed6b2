/** What the user named as a model -> where the worker reads it. */
import type { NamedBlob, Source } from "../protocol";
import { MkaError } from "./error";

/** Files of a folder, or the URL of one. */
export type ModelFiles = FileList | readonly File[] | string | URL;

export function toSource(files: ModelFiles): Source {
  if (typeof files === "string" || files instanceof URL) {
    const url = new URL(files, globalThis.document?.baseURI ?? location.href);
    if (!url.pathname.endsWith("/")) url.pathname += "/";
    return { folder: url.href };
  }
  const list = Array.from(files ?? []);
  if (!list.every((file) => file instanceof Blob)) {
    throw new MkaError(
      "bad-argument",
      "files: neither files nor the URL of a folder",
      "Give a FileList, an array of File, or the URL of a folder.",
    );
  }
  return { files: insideFolder(list.map((file) => ({ name: pathOf(file), blob: file }))) };
}

/** The path inside the chosen folder: browsers put the folder's own name first. */
function pathOf(file: File): string {
  const path = file.webkitRelativePath;
  return path ? path.slice(path.indexOf("/") + 1) : file.name;
}

/** Steps into the one folder that holds a model, where the top holds none. */
function insideFolder(files: NamedBlob[]): NamedBlob[] {
  const folders = new Set(files.filter(({ name }) => isModelFile(name)).map(({ name }) => folderOf(name)));
  const [folder] = folders;
  if (folders.size !== 1 || !folder) return files;
  return files
    .filter(({ name }) => name.startsWith(folder))
    .map(({ name, blob }) => ({ name: name.slice(folder.length), blob }));
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

function isModelFile(path: string): boolean {
  return /(^|\/)(config\.json|model[^/]*\.safetensors)$/.test(path);
}
