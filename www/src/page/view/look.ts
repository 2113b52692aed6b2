/** The pictures: the map of the layers, and what each block does. */
import { html, nothing } from "lit-html";
import { chooseMeasure, remap } from "../actions/measure";
import { pick } from "../actions/merge";
import { BOUNDS } from "../bounds";
import { rampGradient } from "../charts/colour";
import { depthChart } from "../charts/depth";
import { cellValue, heatmap, mapDomain, type Matrix, pairsTable } from "../charts/heatmap";
import type { Table } from "../charts/table";
import { styleMap } from "lit-html/directives/style-map.js";
import { state, update } from "../state";
import { T } from "../texts";
import { button, busy, numberField, panel, selectField, trouble, type View } from "./parts";
import { picture } from "./picture";

const map = heatmap();
const influence = depthChart();

export function lookPanel(): View {
  const words = T.look;
  const matrix = state.matrices.get(state.measure);
  map.show(matrix && { matrix, measure: state.measure, picked: state.picked, onCell, onPick });
  const blocks = state.influence;
  influence.show(blocks && { values: blocks, label: words.influence, nameOf: layerName, colour: "influence" });
  return panel("look", undefined, words.title, words.lead, html`
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
    <h3>${words.influence}</h3>
    <p class="note">${words.influenceNote}</p>
    ${picture({
      name: "influence",
      chart: influence,
      table: blocks && (() => depthTable(words.influence, words.influenceAxis, blocks)),
    })}
    <details id="map-options">
      <summary>${words.options}</summary>
      ${mapOptions()}
    </details>
  `);
}

function layerName(layer: number): string {
  return `${T.look.layer} ${layer}`;
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
  const matrix = state.matrices.get(state.measure);
  if (!matrix || !state.cell) return html`<span>${matrix ? T.look.hover : ""}</span>`;
  const { a, b } = state.cell;
  return html`<span>${T.look.cell(a, b)}</span><b>${cellValue(matrix, a, b)}</b>`;
}

function legend(): View {
  const matrix = state.matrices.get(state.measure);
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

function mapOptions(): View {
  const words = T.look;
  const { map } = state;
  return html`
    <div class="fields">
      ${numberField(words.dimensions, map.dimensions, BOUNDS.dimensions, (value) => {
        map.dimensions = value ?? map.dimensions;
      })}
      ${numberField(words.sigma, map.sigma, { ...BOUNDS.sigma, step: "any", optional: true }, (value) => {
        map.sigma = value;
      })}
      ${numberField(words.power, map.power, { ...BOUNDS.power, step: "any" }, (value) => {
        map.power = value ?? map.power;
      })}
      ${button(words.apply, remap, { off: busy() || !state.calibration })}
    </div>
  `;
}
