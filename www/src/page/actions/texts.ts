/** The built-in held-out text, and text files that the user drops. */
import { MkaError } from "#mka";
import { type Place, type TextChoice, update } from "../state";
import { show } from "./job";

const NAMES = ["fables", "drama", "exposition"];
/** Which part of each text is held out. Calibration reads from the start and is limited so that it ends before. */
const HELD_OUT = 0.2;
/** Characters of one text before the next one comes. */
const PIECE = 1500;

/** The last fifth of each built-in text, in pieces that take turns. */
export async function heldOutText(): Promise<string> {
  const texts = await Promise.all(NAMES.map(load));
  const ends = texts.map((text) => text.slice(Math.floor(text.length * (1 - HELD_OUT))));
  const longest = Math.max(...ends.map((text) => text.length));
  let mixed = "";
  for (let start = 0; start < longest; start += PIECE) {
    for (const text of ends) mixed += text.slice(start, start + PIECE);
  }
  return mixed;
}

async function load(name: string): Promise<string> {
  const url = new URL(`texts/${name}.txt`, document.baseURI).href;
  const response = await fetch(url).catch(() => undefined);
  if (response?.ok) return response.text();
  throw new MkaError("network", `${url} could not be loaded.`, "Check the connection, or paste a text of your own.");
}

export async function takeTextFile(choice: TextChoice, file: File, place: Place): Promise<void> {
  try {
    choice.text = await file.text();
    choice.own = true;
    update();
  } catch (error) {
    show(error, place);
  }
}
