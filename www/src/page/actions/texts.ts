/** The built-in held-out text, and text files that the user drops. */
import { builtInTexts } from "#mka";
import { heldOut } from "../../api/heldout";
import { type Place, type TextChoice, update } from "../state/state";
import { show } from "./job";

/** The built-in held-out text. */
export async function heldOutText(): Promise<string> {
  return heldOut(await builtInTexts());
}

export async function takeTextFile(choice: TextChoice, file: File, place: Place): Promise<void> {
  try {
    const { decoded } = await import("../../ui/encoding");
    choice.text = decoded(new Uint8Array(await file.arrayBuffer()), file.name);
    choice.own = true;
    update();
  } catch (error) {
    show(error, place);
  }
}
