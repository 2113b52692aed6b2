// Text files of the user's in the encodings that editors and shells write. No browser.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { bundled } from "./helpers.mjs";

/** With a letter outside ASCII that Latin-1 has, and one outside the basic plane for UTF-16. */
const TEXT = "The café kept a ledger: naïve, §, and “so on”.\r\n";
let decoded;

before(async () => {
  ({ decoded } = await bundled("src/ui/encoding.ts"));
});

const utf16 = (text, { big = false, mark = false } = {}) => {
  const bytes = Buffer.from((mark ? "\ufeff" : "") + text, "utf16le");
  return new Uint8Array(big ? bytes.swap16() : bytes);
};

test("UTF-8 and UTF-16, with a mark and without, are read as what they are", () => {
  const clef = `${TEXT}𝄞`;
  assert.equal(decoded(new TextEncoder().encode(clef), "a.txt"), clef);
  assert.equal(decoded(new TextEncoder().encode(`\ufeff${clef}`), "a.txt"), clef);
  for (const big of [false, true]) for (const mark of [false, true]) assert.equal(decoded(utf16(clef, { big, mark }), "a.txt"), clef, `${big} ${mark}`);
  assert.equal(decoded(new Uint8Array(), "a.txt"), "");
});

test("what is no UTF-8 is Windows-1252, which holds Latin-1", () => {
  // Not the quotation marks: Node 20 takes Windows-1252 for Latin-1, which browsers do not.
  assert.equal(decoded(Uint8Array.of(0x63, 0x61, 0x66, 0xe9, 0x20, 0xa7), "a.txt"), "café §");
});

test("a file with zeros in it is named for what it is not", () => {
  const binary = Uint8Array.from({ length: 64 }, (_, at) => (at % 3 ? 0 : at + 40));
  assert.throws(() => decoded(binary, "photo.jpg"), /photo\.jpg is no text file/);
});
