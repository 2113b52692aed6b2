/** The built-in held-out text: a part of the built-in texts that calibration does not get to. */

/** Which part of each text is held out. Calibration reads from the start and is limited so that it ends before. */
const HELD_OUT = 0.2;
/** Characters of one text before the next one comes. */
const PIECE = 1500;

/** The held-out end of one text. */
export function endOf(text: string): string {
  return text.slice(Math.floor(text.length * (1 - HELD_OUT)));
}

/** The last fifth of each text, in pieces that take turns. */
export function heldOut(texts: readonly string[]): string {
  const ends = texts.map(endOf);
  const longest = Math.max(...ends.map((text) => text.length));
  let mixed = "";
  for (let start = 0; start < longest; start += PIECE) {
    for (const text of ends) mixed += text.slice(start, start + PIECE);
  }
  return mixed;
}
