/** The pictures: the map of the layers, and what each block does. */
import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { chooseMeasure, remapSoon } from "../actions/measure";
import { pick } from "../actions/merge";
import { BOUNDS } from "../state/bounds";
import { rampGradient } from "../../ui/charts/colour";
import { depthChart } from "../../ui/charts/depth";
import { cellValue, heatmap, mapDomain, type Matrix, pairsTable } from "../../ui/charts/heatmap";
import type { Table } from "../../ui/charts/table";
import { styleMap } from "lit-html/directives/style-map.js";
import { figure } from "../../ui/format";
import { earlier, shown } from "../state/shown";
import { state, update } from "../state/state";
import { T } from "../../ui/texts";
import { panel, selectField, trouble, type View } from "./parts";
import { picture } from "./picture";

const map = heatmap();
const influence = depthChart();
const norms = depthChart();

export function lookPanel(): View {
  const words = T.look;
  const results = shown();
  const matrix = results.matrices.get(state.measure);
  map.show(matrix && { matrix, measure: state.measure, picked: state.picked, onCell, onPick });
  const { influence: blocks, norms: streams } = results;
  influence.show(blocks && { values: blocks, label: words.influence, nameOf: layerName, colour: "influence" });
  norms.show(streams && { values: streams, label: words.norms, nameOf: streamName, colour: "norm" });
  return panel("look", undefined, words.title, words.lead, html`<div class="halves"><div>
    <div class="fields">
      ${selectField(words.measure, state.measure, words.measures, (name) => void chooseMeasure(name), "measure")}
    </div>
    <p class="note measure-note">${words.notes[state.measure]}</p>
    ${trouble("look")}
    <p class="reading" id="reading" aria-hidden="true">${reading()}</p>
    <div class="map-frame">
      ${picture({
        name: "map",
        chart: map,
        table: matrix && (() => pairsTable(matrix, state.measure)),
        form: matrix && (() => matrixTable(matrix)),
      })}
      ${matrix ? nothing : html`<p class="empty-note"><span>${words.empty}</span></p>`}
    </div>
    ${legend()}
    ${mapOptions()}
    </div><div>
    <h3>${words.influence}</h3>
    <p class="note">${words.influenceNote}</p>
    ${picture({
      name: "influence",
      chart: influence,
      table: blocks && (() => depthTable(words.influence, words.influenceAxis, blocks)),
    })}
    <h3>${words.norms}</h3>
    <p class="note">${words.normsNote}</p>
    ${picture({
      name: "stream",
      chart: norms,
      table: streams && (() => depthTable(words.norms, words.normsAxis, streams)),
    })}
  </div></div>`);
}

function layerName(layer: number): string {
  return `${T.look.layer} ${layer}`;
}

function streamName(at: number): string {
  return T.look.stream(at);
}

function onCell(cell: typeof state.cell): void {
  state.cell = cell;
  update();
}

function onPick(boundary: number): void {
  void pick(boundary);
}

/** The exact value of the cell that is pointed at or has the focus. */
function reading(): View {
  const matrix = shown().matrices.get(state.measure);
  if (!matrix || !state.cell) return html`<span>${matrix ? T.look.hover : ""}</span>`;
  const { a, b } = state.cell;
  return html`<span>${T.look.cell(a, b)}</span><b>${cellValue(matrix, a, b)}</b>`;
}

function legend(): View {
  const matrix = shown().matrices.get(state.measure);
  const domain = matrix && mapDomain(state.measure, matrix);
  const ends = domain?.map((end) => end.toFixed(2)) ?? ["", ""];
  return html`
    <div class="legend" aria-hidden="true">
      <span>${T.look.low} <b>${ends[0]}</b></span>
      <i style=${styleMap({ background: rampGradient() })}></i>
      <span><b>${ends[1]}</b> ${T.look.high}</span>
    </div>
  `;
}

/** The matrix as rows and columns, as the map has it. */
function matrixTable(matrix: Matrix): View {
  const layers = Array.from({ length: matrix.layers }, (_, layer) => layer);
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${T.picture.names.map}>
      <table class="numbers">
        <caption>${T.look.measures[state.measure]}. ${T.look.tableCaption}</caption>
        <thead>
          <tr><th scope="col">${T.look.layer}</th>${layers.map((b) => html`<th scope="col">${b}</th>`)}</tr>
        </thead>
        <tbody>
          ${layers.map(
            (a) => html`
              <tr>
                <th scope="row">${a}</th>
                ${layers.map((b) => html`<td>${cellValue(matrix, a, b)}</td>`)}
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}

/** One row for each place along the depth. */
function depthTable(caption: string, name: string, values: Float32Array): Table {
  return { caption, head: [T.look.layer, name], rows: Array.from(values, (value, layer) => [layer, value]) };
}

/** What is computed anew from the rows that are kept, as soon as a slider rests. */
function mapOptions(): View {
  const words = T.look;
  const { map } = state;
  const off = !state.calibration || earlier();
  const usual = shown().width ?? 1;
  return html`
    <fieldset class="sliders" id="map-options" ?disabled=${off}>
      <legend>${words.options}</legend>
      ${slider("dimensions", words.dimensions, map.dimensions, String(map.dimensions), { ...BOUNDS.dimensions, max: 24, step: 1 }, (value) => {
        map.dimensions = value;
      })}
      ${slider(
        "sigma",
        words.sigma,
        Math.log2((map.sigma ?? usual) / usual),
        map.sigma === undefined ? words.median : figure(map.sigma),
        { min: -4, max: 4, step: 0.25 },
        (value) => {
          map.sigma = value === 0 ? undefined : usual * 2 ** value;
        },
      )}
      ${slider("power", words.power, map.power, String(map.power), { min: 0.25, max: 4, step: 0.25 }, (value) => {
        map.power = value;
      })}
      ${slider("seeds", words.seeds, state.seeds, state.seeds === 1 ? words.noBars : String(state.seeds), { ...BOUNDS.seeds, step: 1 }, (value) => {
        state.seeds = value;
      })}
    </fieldset>
    <p class="note">${earlier() ? words.needsModel : words.kept}</p>
  `;
}

function slider(
  id: string,
  label: string,
  value: number,
  text: string,
  { min, max, step }: { min: number; max: number; step: number },
  set: (value: number) => void,
): View {
  return html`
    <label class="slider">
      <span>${label}</span>
      <output>${text}</output>
      <input
        type="range"
        id=${id}
        min=${min}
        max=${max}
        step=${step}
        aria-valuetext=${text}
        .value=${live(String(Math.min(max, Math.max(min, value))))}
        @input=${(event: Event) => {
          set((event.target as HTMLInputElement).valueAsNumber);
          remapSoon();
        }}
      />
    </label>
  `;
}
