/** Panel: the line-up and more evidence. Its content is loaded when it is opened. */
import { html } from "lit-html";
import { update } from "../state/state";
import { T } from "../../ui/texts";
import { button, panel, type View } from "./parts";

let content: (() => View) | undefined;

async function open(): Promise<void> {
  ({ lineupContent: content } = await import("./lineup"));
  update();
}

export function lineupPanel(): View {
  const { title, lead, open: label } = T.lineup;
  return panel("lineup", undefined, title, lead, content ? content() : html`<div class="row">${button(label, open, { off: false, id: "open-lineup" })}</div>`);
}
