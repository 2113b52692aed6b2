/** The pictures: the map of the layers. The charts themselves are drawn by charts/. */
import { html, nothing } from "lit-html";
import { chooseMeasure, remap } from "../actions/measure";
import { rampGradient } from "../charts/colour";
import { mapDomain } from "../charts/heatmap";
import { styleMap } from "lit-html/directives/style-map.js";
import { state } from "../state";
import { T } from "../texts";
import { button, busy, numberField, panel, selectField, trouble, type View } from "./parts";

export function lookPanel(): View {
  const words = T.look;
  const matrix = state.matrices.get(state.measure);
  return panel("look", undefined, words.title, words.lead, html`
    <div class="fields">
      ${selectField(words.measure, state.measure, words.measures, (name) => void chooseMeasure(name), "measure")}
    </div>
    <p class="note measure-note">${words.notes[state.measure]}</p>
    ${trouble("look")}
    <p class="reading" id="reading" aria-hidden="true">${reading()}</p>
    <div class="map-frame">
      <div id="map" class="chart square ${matrix ? "" : "blank"}"></div>
      ${matrix ? nothing : html`<p class="empty-note"><span>${words.empty}</span></p>`}
    </div>
    ${legend()} ${table()}
    <h3>${words.influence}</h3>
    <p class="note">${words.influenceNote}</p>
    <div id="influence" class="chart strip-chart ${state.influence ? "" : "blank"}"></div>
    ${influenceTable()}
    <details>
      <summary>${words.options}</summary>
      ${mapOptions()}
    </details>
  `);
}

/** The exact value of the cell that is pointed at or has the focus. */
function reading(): View {
  const matrix = state.matrices.get(state.measure);
  if (!matrix || !state.cell) return html`<span>${matrix ? T.look.hover : ""}</span>`;
  const { a, b } = state.cell;
  const value = matrix.values[a * matrix.layers + b] ?? Number.NaN;
  return html`<span>${T.look.cell(a, b)}</span><b>${value.toFixed(5)}</b>`;
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

function table(): View {
  const matrix = state.matrices.get(state.measure);
  const layers = Array.from({ length: matrix?.layers ?? 0 }, (_, layer) => layer);
  return html`
    <details id="map-table">
      <summary>${T.look.table}</summary>
      ${matrix
        ? html`
            <div class="scroll" tabindex="0" role="region" aria-label=${T.look.table}>
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
                        ${layers.map((b) => html`<td>${matrix.values[a * matrix.layers + b]?.toFixed(4)}</td>`)}
                      </tr>
                    `,
                  )}
                </tbody>
              </table>
            </div>
          `
        : html`<p class="note">${T.look.empty}</p>`}
    </details>
  `;
}

function influenceTable(): View {
  const values = [...(state.influence ?? [])];
  return html`
    <details>
      <summary>${T.look.table}</summary>
      ${values.length === 0
        ? html`<p class="note">${T.look.empty}</p>`
        : html`
            <div class="scroll" tabindex="0" role="region" aria-label=${T.look.influence}>
              <table class="numbers">
                <thead>
                  <tr><th scope="col">${T.look.layer}</th>${values.map((_, layer) => html`<th scope="col">${layer}</th>`)}</tr>
                </thead>
                <tbody>
                  <tr><th scope="row">${T.look.influenceAxis}</th>${values.map((value) => html`<td>${value.toFixed(4)}</td>`)}</tr>
                </tbody>
              </table>
            </div>
          `}
    </details>
  `;
}

function mapOptions(): View {
  const words = T.look;
  const { map } = state;
  return html`
    <div class="fields">
      ${numberField(words.dimensions, map.dimensions, { min: 1, max: 64 }, (value) => {
        map.dimensions = value ?? map.dimensions;
      })}
      ${numberField(words.sigma, map.sigma, { min: 1e-6, max: 1e6, step: "any", optional: true }, (value) => {
        map.sigma = value;
      })}
      ${numberField(words.power, map.power, { min: 0.1, max: 8, step: "any" }, (value) => {
        map.power = value ?? map.power;
      })}
      ${button(words.apply, remap, { off: busy() || !state.calibration })}
    </div>
  `;
}
