/** Panel 5: take the merged model home. */
import { html, nothing } from "lit-html";
import { canSaveFolder, downloadZip, offer, saveFolder } from "../actions/keep";
import { show } from "../actions/job";
import { bytes } from "../../ui/format";
import { state } from "../state/state";
import { T } from "../../ui/texts";
import { busy, button, panel, trouble, type View } from "./parts";

/** Bytes that a browser does not like to gather in its temporary storage. */
const LARGE = 1e9;

/** What was listed last, without its bytes: while another merge runs its room is kept, so that nothing moves. */
let last: { name: string; size: number }[] | undefined;

export function keepPanel(): View {
  const words = T.keep;
  const { files, merged } = state;
  if (files) last = files.map(({ name, blob }) => ({ name, size: blob.size }));
  else if (!busy()) last = undefined;
  const off = busy() || !files;
  const total = files?.reduce((sum, { blob }) => sum + blob.size, 0) ?? 0;
  /** A picker that the browser refuses is told like any other error. */
  const told = (action: () => Promise<void>) => () => action().catch((error: unknown) => show(error, "keep"));
  return panel("keep", 5, words.title, words.lead, html`
    <div class="row">
      ${button(words.zip, told(downloadZip), { primary: true, off, id: "download-zip" })}
      ${canSaveFolder ? button(words.folder, told(saveFolder), { off, id: "save-folder" }) : nothing}
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
