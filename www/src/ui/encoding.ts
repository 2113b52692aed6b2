/** Bytes of a text file -> text, whichever of the usual encodings it is in. */
import { MkaError } from "../api/error";

const LOOKED_AT = 4096;

/**
 * UTF-8, UTF-16 with or without its mark, else Windows-1252, which holds Latin-1. Zeros in any
 * other place belong to no text.
 */
export function decoded(bytes: Uint8Array, name: string): string {
  const wide = utf16(bytes);
  if (wide) return new TextDecoder(wide).decode(bytes);
  if (bytes.subarray(0, LOOKED_AT).includes(0)) {
    throw new MkaError("bad-argument", `${name} is no text file`, "Save it as plain text, best in UTF-8, and choose it again.");
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

/** By the mark, or by the zeros that plain letters leave in every other byte. */
function utf16(bytes: Uint8Array): "utf-16le" | "utf-16be" | undefined {
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return "utf-16le";
  if (first === 0xfe && second === 0xff) return "utf-16be";
  const zeros = [0, 0];
  const start = bytes.subarray(0, LOOKED_AT);
  start.forEach((byte, at) => {
    if (byte === 0) zeros[at % 2] = (zeros[at % 2] ?? 0) + 1;
  });
  const [even = 0, odd = 0] = zeros;
  const most = start.length / 8;
  if (odd > most && odd > 4 * even) return "utf-16le";
  if (even > most && even > 4 * odd) return "utf-16be";
  return undefined;
}
