/** The manifold of each layer: one large, moving from layer to layer, and all of them small. */
import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { layersChart } from "../../ui/charts/layers";
import { align, type Cloud, misfit } from "../../ui/charts/procrustes";
import { colourOf, type Colouring, type Groups, group, type Rows, visible } from "../../ui/charts/rows";
import { scatter } from "../../ui/charts/scatter";
import type { Table } from "../../ui/charts/table";
import { styleMap } from "lit-html/directives/style-map.js";
import { shown } from "../state/shown";
import { state, update } from "../state/state";
import { T } from "../../ui/texts";
import { pause, play, showLayer } from "../actions/manifold";
import { panel, selectField, type View } from "./parts";
import { picture } from "./picture";

const large = scatter();
const small = layersChart();

export function manifoldPanel(): View {
  const words = T.manifold;
  const { clouds: raw, rows } = shown();
  const { colouring, coordinates, lit } = state.manifold;
  const ready = raw && rows && raw.length > 0;
  const clouds = ready ? aligned(raw, coordinates) : undefined;
  const groups = ready ? grouped(rows, colouring) : undefined;
  const layer = Math.min(state.manifold.layer, (clouds?.length ?? 1) - 1);
  const only = groups && state.manifold.only !== undefined && state.manifold.only < groups.names.length ? state.manifold.only : undefined;
  const common = clouds && groups && { clouds, groups, layer, only, lit };
  large.show(common && rows && { ...common, label: words.label(layer, rows.sequence.length), nameOf, onLit });
  small.show(common && { ...common, nameOf: String, onLayer: showLayer });
  return panel("manifold", undefined, words.title, words.lead, html`
    <div class="fields">
      ${selectField(words.colour, colouring, words.colours, (choice) => {
        state.manifold.colouring = choice;
        state.manifold.only = undefined;
        update();
      }, "colouring")}
      ${selectField(words.coordinates, String(coordinates) as "2" | "3", words.coordinatesOf, (choice) => {
        state.manifold.coordinates = choice === "2" ? 2 : 3;
        update();
      }, "coordinates")}
    </div>
    <div class="manifold">
      <div>
        <p class="reading token" id="lit-token">${token(rows, lit)}</p>
        <div class="map-frame">
          ${picture({
            name: "cloud",
            chart: large,
            table: clouds && rows && (() => pointsTable(clouds, rows, layer)),
            whole: clouds && rows && (() => everyLayer(clouds, rows)),
          })}
          ${ready ? nothing : html`<p class="empty-note"><span>${words.empty}</span></p>`}
        </div>
      </div>
      <div class="manifold-side">
        <div class="player">
          <button type="button" class="plain" id="play" aria-disabled=${ready ? "false" : "true"} @click=${() => (state.manifold.playing ? pause() : play())}>
            ${state.manifold.playing ? words.pause : words.play}
          </button>
          <label class="slider">
            <span>${words.layer}</span>
            <output>${clouds ? words.layerOf(layer, clouds.length) : T.none}</output>
            <input
              type="range"
              id="scrub"
              min="0"
              max=${Math.max(0, (clouds?.length ?? 1) - 1)}
              .value=${live(String(layer))}
              ?disabled=${!ready}
              @input=${(event: Event) => showLayer((event.target as HTMLInputElement).valueAsNumber)}
            />
          </label>
        </div>
        <p class="note moved">${clouds ? words.moved(layer, layer === 0 ? 0 : misfit(clouds[layer] as Cloud, clouds[layer - 1] as Cloud)) : ""}</p>
        <div class="groups-room">${groups ? legend(groups, only) : nothing}</div>
        <h3>${words.all}</h3>
        ${small.element}
        <p class="note">${words.note}</p>
      </div>
    </div>
  `);
}

function onLit(row: number | undefined): void {
  state.manifold.lit = row;
  update();
}

function nameOf(row: number): string {
  const { rows } = shown();
  if (!rows) return "";
  return T.manifold.point(visible(rows.texts[row] ?? ""), rows.before[row] ?? "", rows.after[row] ?? "", rows.sequence[row] ?? 0, rows.position[row] ?? 0);
}

/** The token that is lit, in its context. */
function token(rows: Rows | undefined, lit: number | undefined): View {
  if (!rows || lit === undefined || lit >= rows.texts.length) return html`<span>${rows ? T.manifold.hover : ""}</span>`;
  const text = rows.texts[lit] ?? "";
  return html`
    <span class="context">…${rows.before[lit]}<mark>${text.trim() ? text : visible(text)}</mark>${rows.after[lit]}…</span>
    <span class="where">${T.manifold.where(rows.sequence[lit] ?? 0, rows.position[lit] ?? 0)}</span>
  `;
}

/** The groups by colour; pressing one dims all others, for those who can't tell colours apart. */
function legend(groups: Groups, only: number | undefined): View {
  return html`
    <div class="groups chart" role="group" aria-label=${T.manifold.groups}>
      ${groups.names.map(
        (name, at) => html`
          <button
            type="button"
            aria-pressed=${only === at ? "true" : "false"}
            @click=${() => {
              state.manifold.only = only === at ? undefined : at;
              update();
            }}
          >
            <i style=${styleMap({ background: colourOf(groups, at) })}></i>${name}
          </button>
        `,
      )}
    </div>
  `;
}

function pointsTable(clouds: readonly Cloud[], rows: Rows, layer: number): Table {
  const { dimensions: d, values } = clouds[layer] as Cloud;
  return {
    caption: T.manifold.caption(layer),
    head: [...T.manifold.tableHead, ...axes(d)],
    rows: rows.texts.map((text, row) => [row, visible(text), rows.sequence[row], rows.position[row], ...values.slice(row * d, row * d + d)]),
  };
}

function everyLayer(clouds: readonly Cloud[], rows: Rows): Table {
  const tables = clouds.map((_, layer) => pointsTable(clouds, rows, layer));
  return {
    caption: T.manifold.title,
    head: [T.manifold.layer, ...(tables[0]?.head ?? [])],
    rows: tables.flatMap(({ rows }, layer) => rows.map((row) => [layer, ...row])),
  };
}

function axes(dimensions: number): string[] {
  return Array.from({ length: dimensions }, (_, at) => `v${at + 1}`);
}

let lastClouds: { from: readonly Cloud[]; coordinates: number; clouds: Cloud[] } | undefined;

/** The same clouds must be the same object, so that they are turned and drawn once. */
function aligned(from: readonly Cloud[], coordinates: number): Cloud[] {
  if (lastClouds?.from !== from || lastClouds.coordinates !== coordinates) {
    const cut = from.map(({ dimensions, values }) => first(values, dimensions, Math.min(coordinates, dimensions)));
    lastClouds = { from, coordinates, clouds: align(cut) };
  }
  return lastClouds.clouds;
}

function first(values: Float32Array, dimensions: number, kept: number): Cloud {
  return { dimensions: kept, values: values.filter((_, at) => at % dimensions < kept) };
}

let lastGroups: { rows: Rows; groups: Groups } | undefined;

function grouped(rows: Rows, colouring: Colouring): Groups {
  if (lastGroups?.rows !== rows || lastGroups.groups.colouring !== colouring) {
    lastGroups = { rows, groups: group(rows, colouring, T.manifold) };
  }
  return lastGroups.groups;
}
