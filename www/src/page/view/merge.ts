/** Panel 3: how many layers go, which, and what becomes of the rest. */
import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { choosePreset, presets } from "../actions/load";
import { merge, replay, resetPicks, undoPick } from "../actions/merge";
import { BOUNDS } from "../state/bounds";
import { bytes, figure, parameters } from "../../ui/format";
import { comparesLayers, preview, pickedPairs, removable, removing, state, triesOnOriginal, update } from "../state/state";
import { T } from "../../ui/texts";
import { trialsExpectation } from "./forecast";
import { busy, button, checkbox, fileButton, numberField, panel, selectField, trouble, type View } from "./parts";

export function mergePanel(): View {
  const words = T.merge;
  const named = presets();
  const preset = named.find(({ name }) => name === state.preset);
  const names: Record<string, string> = Object.fromEntries(named.map(({ name, title }) => [name, title]));
  names[""] = words.custom;
  const ready = state.model && removing() > 0;
  const label = state.calibration ? words.run : words.runFirst;
  return panel("merge", 3, words.title, words.lead, html`
    <div class="fields">${selectField(words.method, state.preset, names, choosePreset, "preset")}</div>
    <p class="note preset-note">
      ${preset ? html`${preset.note} <span class="source">${words.source}: ${preset.source}</span>` : words.customNote}
    </p>
    ${state.selection === "manual" ? pairs() : slider()}
    <dl class="facts one">
      <div class="fact"><dt>${words.result}</dt><dd id="result-size">${resultSize()}</dd></div>
    </dl>
    ${previewNote()}
    <details>
      <summary>${words.options}</summary>
      ${options()}
    </details>
    <div class="row">
      ${button(label(removing()), merge, { primary: true, off: busy() || !ready, id: "run-merge" })}
      ${checkbox(words.measure, state.measureAfter, (checked) => {
        state.measureAfter = checked;
      })}
    </div>
    ${trialsExpectation()}
    ${trouble("merge")}
  `);
}

function slider(): View {
  const words = T.merge;
  const most = removable();
  const layers = state.model?.summary.layers ?? 0;
  return html`
    <label class="slider">
      <span>${words.remove}</span>
      <output>${layers ? words.removeOf(removing(), layers) : T.none}</output>
      <input
        type="range"
        id="remove"
        min="1"
        max=${Math.max(1, most)}
        aria-valuetext=${layers ? `${words.removeOf(removing(), layers)}: ${resultSize()}` : T.none}
        .value=${live(String(removing()))}
        ?disabled=${most < 1}
        @input=${(event: Event) => {
          state.remove = (event.target as HTMLInputElement).valueAsNumber;
          update();
        }}
      />
    </label>
  `;
}

/** What is left after the layers are removed: from the headers, before anything runs. */
function resultSize(): string {
  const summary = state.model?.summary;
  if (!summary) return T.none;
  const removed = removing();
  const size = summary.bytes - removed * summary.blockBytes;
  const left = summary.parameters - removed * summary.blockParameters;
  return T.merge.resultOf(summary.layers - removed, bytes(size), parameters(left), 1 - size / summary.bytes);
}

/** The pairs that would be merged, by the map that is there: nothing runs for it. */
function previewNote(): View {
  const list = preview();
  if (list.length === 0) return nothing;
  const pairs = list.map(({ keep, removed, similarity }) => T.merge.previewPair(keep, removed, figure(similarity)));
  return html`<p class="note" id="preview">${T.merge.preview(pairs.join(", "), !state.oneShot)}</p>`;
}

/** Whether no more than a drop can be made of two layers, and another combination is chosen. */
function unlike(keep: number, removed: number): boolean {
  const kinds = state.model?.summary.blockKinds ?? [];
  return state.combination !== "drop" && kinds[keep] !== kinds[removed];
}

function pairs(): View {
  const words = T.merge;
  const list = pickedPairs();
  return html`
    <div class="pairs">
      <h3>${words.pairs}</h3>
      ${list.length === 0
        ? html`<p class="note">${words.noPairs}</p>`
        : html`
            <ol id="pairs">${list.map(([keep, removed]) => html`<li>${words.pair(keep, removed, unlike(keep, removed))}</li>`)}</ol>
            <div class="row">
              ${button(words.undo, undoPick, { off: false })} ${button(words.reset, resetPicks, { off: false })}
            </div>
          `}
    </div>
  `;
}

function options(): View {
  const words = T.merge;
  /** Whatever is changed by hand is no named method any more. */
  const own = <V>(set: (value: V) => void) => (value: V): void => {
    set(value);
    state.preset = "";
    update();
  };
  const averaged = state.combination === "average";
  return html`
    <div class="fields wide">
      ${selectField(words.selection, state.selection, words.selections, own((value) => (state.selection = value)), "selection")}
      ${selectField(words.combination, state.combination, words.combinations, own((value) => (state.combination = value)), "combination")}
      ${averaged
        ? html`
            ${selectField(words.alpha, state.alpha, words.alphas, own((value) => (state.alpha = value)), "alpha")}
            ${state.alpha === "fixed"
              ? numberField(words.alphaFixed, state.alphaFixed, { ...BOUNDS.alpha, step: 0.01 }, own((value) => (state.alphaFixed = value ?? 0.5)))
              : nothing}
          `
        : nothing}
      ${state.combination === "drop"
        ? nothing
        : selectField(words.norms, state.norms, words.normsOf, own((value) => (state.norms = value)), "norms")}
      ${comparesLayers()
        ? selectField(words.similarityMeasure, state.similarityMeasure, T.look.measures, own((value) => (state.similarityMeasure = value)), "similarity-measure")
        : nothing}
      ${selectField(words.repair, state.repair, words.repairs, own((value) => (state.repair = value)), "repair")}
    </div>
    ${comparesLayers() && !triesOnOriginal() ? checkbox(words.oneShot, state.oneShot, own((checked) => (state.oneShot = checked))) : nothing}
    ${state.selection === "manual"
      ? nothing
      : html`
          <fieldset class="checks">
            <legend>${words.protect}</legend>
            ${checkbox(words.protectFirst, state.protect.first, (checked) => (state.protect.first = checked))}
            ${state.selection === "tail"
              ? nothing
              : checkbox(words.protectLast, state.protect.last, (checked) => (state.protect.last = checked))}
          </fieldset>
        `}
    ${fileButton("replay", words.replay, (files) => void replay(files), { accept: ".json,.safetensors", off: !state.model })}
    <p class="note">${words.replayNote}</p>
  `;
}
