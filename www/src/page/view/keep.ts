/** Panel 5: save the merged model. */
import { html, nothing } from "lit-html";
import { canSaveFolder, downloadZip, offer, saveFolder } from "../actions/keep";
import { show } from "../actions/job";
import { bytes } from "../../ui/format";
import { earlier } from "../state/shown";
import { state } from "../state/state";
import { T } from "../../ui/texts";
import { busy, button, panel, trouble, type View } from "./parts";

/** Bytes that are too many to gather in a browser's temporary storage. */
const LARGE = 1e9;

/** What was listed last, without its bytes: its room is kept while another merge runs. */
let last: { name: string; size: number }[] | undefined;

export function keepPanel(): View {
  const words = T.keep;
  // Of an earlier run there are no files: they come again with its model.
  const { files, merged } = earlier() ? { files: undefined, merged: undefined } : state;
  if (files) last = files.map(({ name, blob }) => ({ name, size: blob.size }));
  else if (!busy()) last = undefined;
  const off = busy() || !files;
  const total = files?.reduce((sum, { blob }) => sum + blob.size, 0) ?? 0;
  /** An error of the picker is shown like any other. */
  const reporting = (action: () => Promise<void>) => () => action().catch((error: unknown) => show(error, "keep"));
  return panel("keep", 5, words.title, words.lead, html`
    <div class="row">
      ${button(words.zip, reporting(downloadZip), { primary: true, off, id: "download-zip" })}
      ${canSaveFolder ? button(words.folder, reporting(saveFolder), { off, id: "save-folder" }) : nothing}
    </div>
    ${trouble("keep")}
    ${!canSaveFolder && total > LARGE ? html`<p class="note">${words.noPicker}</p>` : nothing}
    <p class="note" id="files-note">${files ? words.total(files.length, total) : words.notYet}</p>
    ${last
      ? html`
          <div class=${files ? "" : "kept-room"}>
            <h3>${words.single}</h3>
            <ul class="files" id="files">
              ${last.map(
                ({ name, size }, at) => html`
                  <li>
                    <button type="button" class="link" aria-label=${words.download(name)} @click=${() => files?.[at] && offer(files[at].blob, name)}>
                      ${name}
                    </button>
                    <span>${bytes(size)}</span>
                  </li>
                `,
              )}
            </ul>
          </div>
        `
      : nothing}
    <details ?hidden=${!merged}>
      <summary>${words.recipe}</summary>
      <pre class="scroll" tabindex="0" id="recipe">${merged ? JSON.stringify(merged.recipe, null, 2) : ""}</pre>
    </details>
  `);
}
