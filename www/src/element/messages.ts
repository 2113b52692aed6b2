/**
 * The messages between embed.html and the page around it, and what makes one valid: any page may
 * send one. Types are for both sides. Must not know the element.
 */
import type { PlainError } from "../shared/protocol";
import type { MkaLabProgress, MkaLabResult, MkaLabStatus } from "./outcome";

/** A file of a model: the page has it as a File, or as bytes with a name. */
export type EmbedFile = File | { name: string; bytes: ArrayBuffer | Uint8Array | Blob };

/** The requests of the page around. `id` comes back with the answer. */
export type EmbedRequest = { mka: 1; id?: string | number } & (
  | { ask: "status" }
  | { ask: "open"; files: EmbedFile[] }
  /** Attributes of the element; null removes one. */
  | { ask: "set"; attributes: Record<string, string | number | boolean | null> }
  /** Answered with the result, or the error. */
  | { ask: "run" }
  | { ask: "cancel" }
);

/** The messages of embed.html: answers have the `id` of their request, the others have none. */
export type EmbedReply = { mka: 1; id?: string | number } & (
  | { tell: "ready" }
  | { tell: "status"; status: MkaLabStatus; result: MkaLabResult | null; error: PlainError | null }
  | { tell: "progress"; progress: MkaLabProgress }
  | { tell: "result"; result: MkaLabResult }
  | { tell: "error"; error: PlainError }
  /** The height that the content takes, in CSS pixels. */
  | { tell: "resize"; height: number }
);

/**
 * The parameters of embed.html that are the element's attributes; the same ones may be set by a
 * message.
 */
export const ATTRIBUTES = ["model", "text", "text-src", "panels", "remove", "method", "seed", "theme", "tour", "autorun"] as const;

/** Limits of what one message may bring. */
const MOST = { files: 1000, name: 255, text: 4_000_000, origins: 20 };

/** The origins that may talk to the frame: listed in the parameter, else the frame's own. */
export function allowedOrigins(parameter: string | null, own: string): string[] {
  const named = (parameter ?? "").split(/[\s,]+/).filter((word) => word !== "").slice(0, MOST.origins);
  const origins = named.map(originOf).filter((origin) => origin !== undefined);
  return named.length > 0 ? origins : [own];
}

/** An origin as browsers write it; undefined for anything else, so for "*" and "null" too. */
function originOf(word: string): string | undefined {
  try {
    const { origin, protocol } = new URL(word);
    return protocol === "https:" || protocol === "http:" ? origin : undefined;
  } catch {
    return undefined;
  }
}

/** A message for the frame; undefined for any other one, and what is wrong with an invalid one. */
export function readRequest(data: unknown): EmbedRequest | { wrong: string; id?: string | number } | undefined {
  if (!isRecord(data) || data["mka"] !== 1) return undefined;
  const { id, ask } = data;
  if (id !== undefined && !(typeof id === "number" || (typeof id === "string" && id.length <= MOST.name))) {
    return { wrong: "id: neither a number nor a short string" };
  }
  const base = { mka: 1 as const, ...(id !== undefined && { id }) };
  const wrong = (words: string) => ({ wrong: words, ...(id !== undefined && { id }) });
  if (ask === "status" || ask === "run" || ask === "cancel") return { ...base, ask };
  if (ask === "open") {
    if (!Array.isArray(data["files"]) || data["files"].length > MOST.files) return wrong("files: no list of files");
    // a hole becomes undefined, which is no file
    const files: unknown[] = Array.from(data["files"]);
    if (files.length === 0) return wrong("files: no list of files");
    return files.every(isFile) ? { ...base, ask, files: files as EmbedFile[] } : wrong("files: each is a File, or { name, bytes } with a path inside the folder");
  }
  if (ask === "set") {
    const { attributes } = data;
    if (!isRecord(attributes)) return wrong("attributes: no object");
    const bad = Object.entries(attributes).find(([name, value]) => !isAttribute(name) || !isValue(value));
    return bad ? wrong(`attributes: ${bad[0].slice(0, MOST.name)} is no attribute, or its value no string, number or boolean`) : { ...base, ask, attributes: attributes as never };
  }
  return wrong("ask: neither status, open, set, run nor cancel");
}

/** The files as the interface takes them. */
export function toFiles(files: readonly EmbedFile[]): File[] {
  return files.map((file) => (file instanceof File ? file : new File([file.bytes as BlobPart], file.name)));
}

/** An error as it can be sent. */
export function plainError(error: unknown): PlainError {
  const { name, message, code, hint } = error as Partial<PlainError>;
  return { name: String(name), message: String(message), ...(code && { code }), ...(hint && { hint }) };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isAttribute(name: string): boolean {
  return (ATTRIBUTES as readonly string[]).includes(name);
}

function isValue(value: unknown): boolean {
  if (typeof value === "string") return value.length <= MOST.text;
  return value === null || typeof value === "number" || typeof value === "boolean";
}

function isFile(file: unknown): boolean {
  if (file instanceof File) return isPath(file.name);
  if (!isRecord(file)) return false;
  const { name, bytes } = file;
  return typeof name === "string" && isPath(name) && (bytes instanceof ArrayBuffer || bytes instanceof Uint8Array || bytes instanceof Blob);
}

/** A path that stays inside the folder. */
function isPath(name: string): boolean {
  return name !== "" && name.length <= MOST.name && !/^[/\\]|^\w+:/.test(name) && !name.split(/[/\\]/).includes("..");
}
