/**
 * The built-in texts, divided: calibration leaves out the end of each, so that models can be
 * evaluated on it. Pure, for the interface, the page and the element.
 */

/** Which part of each text is held out. */
const HELD_OUT = 0.2;
/** Characters of one text before the next one comes. */
const PIECE = 1500;

const edgeOf = (text: string): number => Math.floor(text.length * (1 - HELD_OUT));

/** The part of one text that is calibrated on. */
export function startOf(text: string): string {
  return text.slice(0, edgeOf(text));
}

/** The held-out end of one text. */
export function endOf(text: string): string {
  return text.slice(edgeOf(text));
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
