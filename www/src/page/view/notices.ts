/**
 * The notices above the panels: the model that a link names, what was wrong with the address, the
 * link to this state.
 */
import { html, nothing } from "lit-html";
import { estimated, stepsOf } from "../actions/forecast";
import { link, openWanted } from "../actions/link";
import { merge } from "../actions/merge";
import { duration } from "../../ui/format";
import { type JobName, state, update } from "../state/state";
import { isBuiltIn, lastName, openAddress } from "../state/where";
import { T } from "../../ui/texts";
import { button, checkbox, type View } from "./parts";

/** So many corrections are listed; the rest is counted. */
const LISTED = 6;

export function notices(): View {
  return html`<div class="notices" role="status">${wanted()} ${offered()} ${corrections()}</div>${share()}`;
}

/** Draws the page after a change. */
const then = (change: () => void) => (): void => {
  change();
  update();
};

function wanted(): View {
  const { wanted } = state;
  if (wanted === undefined) return nothing;
  const words = T.link;
  return html`
    <div class="notice" id="wanted">
      <div>
        <p><b>${words.wanted(lastName(wanted))}</b> ${words.wantedNote(hostOf(wanted))}</p>
        <p class="address">${wanted}</p>
      </div>
      <div class="row">
        ${button(words.open, openWanted, { primary: true, id: "open-wanted" })}
        ${button(words.notNow, then(() => (state.wanted = undefined)), { off: false })}
      </div>
    </div>
  `;
}

/** What a link is about, where that is not computed yet: what it will take, and a way to start. */
function offered(): View {
  const { offered, model, merged, calibration, measureAfter } = state;
  if (!offered || !model || merged) return nothing;
  const words = T.link;
  const estimate = estimated();
  const steps: JobName[] = [...(calibration ? [] : (["calibrate", "look"] as const)), "merge", ...(measureAfter ? (["compare", "write"] as const) : [])];
  const seconds = estimate && stepsOf(estimate, steps).reduce((sum, { seconds }) => sum + seconds, 0);
  return html`
    <div class="notice" id="offered">
      <p><b>${words.notComputed}</b> ${seconds === undefined ? words.willTake : words.takes(duration(seconds))}</p>
      <div class="row">
        ${button(words.compute, merge, { primary: true, id: "compute-link" })}
        ${button(words.notNow, then(() => (state.offered = false)), { off: false })}
      </div>
    </div>
  `;
}

/** The host that it would be read from. */
function hostOf(model: string): string {
  return model.startsWith("hub:") ? T.link.hub : new URL(model, document.baseURI).host;
}

/** Values of the address that were not taken as they are. */
function corrections(): View {
  const words = T.link;
  const { corrections: list, textMissing } = state;
  if (list.length === 0 && !textMissing) return nothing;
  const close = then(() => {
    state.corrections = [];
    state.textMissing = false;
  });
  return html`
    <div class="notice" id="corrections">
      <div>
        ${textMissing ? html`<p>${words.ownText}</p>` : nothing}
        ${list.length > 0 ? html`<p>${words.corrected}</p>` : nothing}
        <ul>
          ${list.slice(0, LISTED).map(({ name, given, taken }) => html`
            <li>${taken === undefined ? words.ignored(name, given) : words.taken(name, given, taken)}</li>
          `)}
          ${list.length > LISTED ? html`<li>${words.more(list.length - LISTED)}</li>` : nothing}
        </ul>
      </div>
      ${button(words.close, close, { off: false })}
    </div>
  `;
}

/** The link to this state, to be copied, and what is not in it. */
function share(): View {
  const words = T.link;
  const { share, source, calibrateText, compareText } = state;
  if (!share) return nothing;
  const model = openAddress();
  // What needs a text that is not in the link would end in an error.
  const canRun = isBuiltIn(model) && !calibrateText.own && !compareText.own;
  const address = link(share.autorun && canRun);
  return html`
    <section class="notice" id="share" aria-label=${words.label}>
      <div>
        <label class="field">
          <span>${words.label}</span>
          <input type="text" id="link" readonly .value=${address} @focus=${(event: Event) => (event.target as HTMLInputElement).select()} />
        </label>
        <p class="note">
          ${words.note} ${source && model === undefined ? words.withoutFiles : nothing}
          ${calibrateText.own || compareText.own ? words.withoutText : nothing}
        </p>
        ${canRun
          ? checkbox(words.autorun, share.autorun, (checked) => (state.share = { autorun: checked, copied: false }))
          : nothing}
      </div>
      <div class="row">
        ${button(share.copied ? words.copied : words.copy, copyLink(address), { primary: true, off: false, id: "copy-link" })}
        ${button(words.close, then(() => (state.share = undefined)), { off: false })}
      </div>
    </section>
  `;
}

/**
 * Where the browser forbids writing to the clipboard, the link is selected, to be copied by hand.
 */
function copyLink(address: string): () => Promise<void> {
  return async () => {
    const { share } = state;
    if (!share) return;
    try {
      await navigator.clipboard.writeText(address);
      share.copied = true;
      state.news = T.link.copied;
    } catch {
      (document.getElementById("link") as HTMLInputElement).select();
      state.news = T.link.selected;
    }
    update();
  };
}
