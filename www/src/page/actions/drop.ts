/** Files and folders that are dropped anywhere on the page. */
import { nameOf, openModel } from "./load";
import { show } from "./job";
import { state, update } from "../state/state";

export function acceptDrops(): void {
  let depth = 0; // dragenter and dragleave come for every element on the way
  const set = (dragging: boolean): void => {
    if (state.dragging === dragging) return;
    state.dragging = dragging;
    update();
  };
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    set(!onTextField(event));
  });
  addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) set(false);
  });
  addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  const end = (): void => {
    depth = 0;
    set(false);
  };
  addEventListener("drop", end, true); // before a text field takes the drop for itself
  addEventListener("drop", (event) => {
    if (!hasFiles(event) || !event.dataTransfer) return;
    event.preventDefault();
    void collect(event.dataTransfer)
      .then((files) => openModel(files, nameOf(files)))
      .catch((error: unknown) => show(error, "load"));
  });
}

function hasFiles(event: DragEvent): boolean {
  return event.dataTransfer?.types.includes("Files") ?? false;
}

/** A text file that is dropped on a text field is a text, not a model. */
function onTextField(event: DragEvent): boolean {
  return event.target instanceof Element && event.target.closest("[data-drop-text]") !== null;
}

/**
 * All files, also those inside of dropped folders. Entries must be taken before the first await.
 */
async function collect(data: DataTransfer): Promise<File[]> {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry());
  const plain = [...data.files];
  if (entries.every((entry) => entry === null)) return plain;
  const found = await Promise.all(entries.map((entry) => (entry ? walk(entry) : [])));
  return found.flat();
}

async function walk(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    const path = entry.fullPath.replace(/^\//, "");
    // A file of a folder that was chosen in a dialog has its path; one that was dropped has none.
    if (path.includes("/")) Object.defineProperty(file, "webkitRelativePath", { value: path });
    return [file];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) break; // a reader gives at most 100 at a time
    found.push(...some);
  }
  return (await Promise.all(found.map(walk))).flat();
}
