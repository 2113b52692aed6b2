/**
 * The runs that this browser keeps over a reload: one record for each, in IndexedDB. Weights are
 * none of them: they come again from the model and the recipe.
 */
import type { Run } from "./run";

const NAME = "mka-lab-runs";
/** Of the records. Others are not read. */
const VERSION = 1;
const STORE = "runs";
/** In the local storage: there are records, so they are worth a look when the page is opened. */
const MARK = "mka-runs";

/** Whether something may be kept. Costs nothing, and loads nothing. */
export function anyKept(): boolean {
  try {
    return localStorage.getItem(MARK) !== null;
  } catch {
    return false; // storage may be forbidden
  }
}

/** All runs, the newest first; none where the browser keeps nothing. */
export async function keptRuns(): Promise<Run[]> {
  const runs = (await within("readonly", (store) => store.getAll())) as Run[];
  return runs.filter(({ id, results }) => typeof id === "string" && typeof results === "object").sort((a, b) => b.at - a.at);
}

/** Adds a run, or takes its new state. */
export async function keepRun(run: Run): Promise<void> {
  await within("readwrite", (store) => store.put(run));
  localStorage.setItem(MARK, "1");
}

export async function dropRun(id: string): Promise<void> {
  await within("readwrite", (store) => store.delete(id));
}

async function within<Result>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<Result>): Promise<Result> {
  const database = await opened();
  try {
    return await new Promise<Result>((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error ?? request.error);
    });
  } finally {
    database.close();
  }
}

function opened(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("another tab holds an older version"));
  });
}
