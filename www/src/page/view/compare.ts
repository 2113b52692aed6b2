/** Panel 4: what the merge cost. */
import { html } from "lit-html";
import { compare, write } from "../actions/merge";
import { BOUNDS } from "../state/bounds";
import { differenceTable, type Piece, pieces, sameShare, textsPicture } from "../../ui/charts/difference";
import { bytes, figure, parameters, percent } from "../../ui/format";
import { earlier, shown } from "../state/shown";
import { state } from "../state/state";
import { T } from "../../ui/texts";
import { depthCurves } from "./depth";
import { mergedLayers, proof } from "./merged";
import { busy, button, numberField, panel, textChoice, trouble, type View, warnings } from "./parts";
import { picture } from "./picture";

/** Where the texts are drawn when a file of them is wanted. */
const canvas = document.createElement("div");
canvas.className = "chart canvas";

export function comparePanel(): View {
  const words = T.compare;
  const { compare: options } = state;
  const { comparison, measuredOn } = shown();
  const off = busy() || !state.merged || earlier();
  return panel("compare", 4, words.title, words.lead, html`<div class="halves"><div>
    ${table()}
    <div class="row">
      ${button(words.run, compare, { off, id: "run-compare" })}
      <p class="note" id="measured">${comparison && measuredOn ? words.measured(words.measuredOn(measuredOn, comparison.tokens)) : words.notMeasured}</p>
    </div>
    ${trouble("compare")}
    ${warnings(comparison?.warnings)} ${textChoice("compare", state.compareText, words)}
    <div class="fields figures">
      ${numberField(words.sequences, options.sequences, BOUNDS.testSequences, (value) => {
        options.sequences = value ?? options.sequences;
      })}
      ${numberField(words.window, options.window, BOUNDS.testWindow, (value) => {
        options.window = value ?? options.window;
      })}
    </div>
    </div><div>${writing()}</div></div>
    ${mergedLayers()} ${warnings(state.merged?.summary.warnings)} ${depthCurves()} ${proof()}
  `);
}

function table(): View {
  const words = T.compare;
  const { summary: before, merged, comparison } = shown();
  const after = merged?.summary;
  const row = (name: string, note: string, values: (string | undefined)[]): View => html`
    <tr>
      <th scope="row">${name}${note ? html` <small>${note}</small>` : ""}</th>
      ${values.map((value) => html`<td class=${value === undefined ? "empty" : ""}>${value ?? T.none}</td>`)}
    </tr>
  `;
  const change = (from: number | undefined, to: number | undefined): string | undefined =>
    from === undefined || to === undefined ? undefined : percent(to / from - 1);
  return html`
    <table class="before-after" id="before-after">
      <thead>
        <tr>${words.head.map((name) => (name ? html`<th scope="col">${name}</th>` : html`<td></td>`))}</tr>
      </thead>
      <tbody>
        ${row(words.layers, "", [before && String(before.layers), after && String(after.layers), change(before?.layers, after?.layers)])}
        ${row(words.size, "", [before && bytes(before.bytes), after && bytes(after.bytes), change(before?.bytes, after?.bytes)])}
        ${row(words.parameters, "", [before && parameters(before.parameters), after && parameters(after.parameters), change(before?.parameters, after?.parameters)])}
        ${row(words.perplexity, words.perplexityNote, [
          comparison && figure(comparison.dense.perplexity),
          comparison && figure(comparison.merged.perplexity),
          change(comparison?.dense.perplexity, comparison?.merged.perplexity),
        ])}
        ${row(words.kl, words.klNote, ["", comparison && figure(comparison.kl), ""])}
        ${row(words.top1, words.top1Note, ["", comparison && `${(comparison.top1Agreement * 100).toFixed(1)}\u00a0%`, ""])}
      </tbody>
    </table>
  `;
}

function writing(): View {
  const words = T.compare;
  const { write: options } = state;
  const { written } = shown();
  // While one of them still writes, nothing is marked.
  const both = written.before && written.after && state.job?.name !== "write";
  const list = both ? differences(written.before, written.after) : [];
  const off = busy() || !state.merged || earlier();
  const column = (id: string, title: string, side: "before" | "after"): View => html`
    <div class="written">
      <h4>${title}</h4>
      <p id=${id} tabindex="0" role="group" aria-label=${title}
        >${written[side] ? html`<span class="prompt">${options.prompt}</span>${both ? marked(list, side) : written[side]}` : html`<span class="note">${words.notWritten}</span>`}</p
      >
    </div>
  `;
  return html`
    <h3>${words.write}</h3>
    <div class="side-by-side">
      ${column("written-before", words.before, "before")} ${column("written-after", words.after, "after")}
    </div>
    ${picture({
      name: "texts",
      chart: { element: canvas },
      draw: () => textsPicture(list, options.prompt, [words.before, words.after]),
      table: both ? () => differenceTable(list, words.textsCaption, words.textsHead) : undefined,
    })}
    <p class="note same">${both ? words.same(sameShare(list)) : ""}</p>
    <div class="fields">
      <label class="field grow">
        <span>${words.prompt}</span>
        <input
          type="text"
          id="prompt"
          .value=${options.prompt}
          @change=${(event: Event) => {
            options.prompt = (event.target as HTMLInputElement).value;
          }}
        />
      </label>
    </div>
    <div class="fields">
      ${numberField(words.tokens, options.tokens, BOUNDS.tokens, (value) => {
        options.tokens = value ?? options.tokens;
      })}
      ${numberField(words.temperature, options.temperature, { ...BOUNDS.temperature, step: 0.1 }, (value) => {
        options.temperature = value ?? options.temperature;
      })}
      ${numberField(words.seed, options.seed, BOUNDS.writeSeed, (value) => {
        options.seed = value ?? options.seed;
      })}
      ${button(words.writeRun, write, { off, id: "run-write" })}
    </div>
  `;
}

let compared: { before: string; after: string; list: Piece[] } = { before: "", after: "", list: [] };

function differences(before: string, after: string): Piece[] {
  if (compared.before !== before || compared.after !== after) compared = { before, after, list: pieces(before, after) };
  return compared.list;
}

function marked(list: readonly Piece[], side: "before" | "after"): View {
  const own = list.filter((piece) => piece.side === "both" || piece.side === side);
  return html`${own.map(({ text, side }) => (side === "both" ? text : side === "before" ? html`<del>${text}</del>` : html`<ins>${text}</ins>`))}`;
}
