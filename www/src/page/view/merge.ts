/** Panel 3: how many layers go, which, and what becomes of the rest. */
import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { choosePreset, presets } from "../actions/load";
import { merge, replay, resetPicks, undoPick } from "../actions/merge";
import { BOUNDS } from "../state/bounds";
import { bytes, figure, parameters } from "../../ui/format";
import { comparesLayers, foreseen, pickedPairs, removable, removing, state, triesOnOriginal, update } from "../state/state";
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
    ${preview()}
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

/** What is left after the layers are gone: from the header's figures, before anything runs. */
function resultSize(): string {
  const summary = state.model?.summary;
  if (!summary) return T.none;
  const gone = removing();
  const size = summary.bytes - gone * summary.blockBytes;
  const left = summary.parameters - gone * summary.blockParameters;
  return T.merge.resultOf(summary.layers - gone, bytes(size), parameters(left), 1 - size / summary.bytes);
}

/** What the slider would take, from the map that is there: nothing runs for it. */
function preview(): View {
  const list = foreseen();
  if (list.length === 0) return nothing;
  const told = list.map(({ keep, gone, alike }) => T.merge.foreseenPair(keep, gone, figure(alike)));
  return html`<p class="note" id="foreseen">${T.merge.foreseen(told.join(", "), !state.oneShot)}</p>`;
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
            <ol id="pairs">${list.map(([keep, gone]) => html`<li>${words.pair(keep, gone)}</li>`)}</ol>
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
        ? selectField(words.similarityMeasure, state.likeness, T.look.measures, own((value) => (state.likeness = value)), "likeness")
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
