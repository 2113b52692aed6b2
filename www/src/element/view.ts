/**
 * What <mka-lab> shows, from its state. Everything that will be shown has its place from the start,
 * so that nothing moves when it is there. The charts themselves are drawn by pictures.ts.
 */
import { html, nothing, type TemplateResult } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { styleMap } from "lit-html/directives/style-map.js";
import type { MkaError } from "../api/error";
import type { Progress } from "../api/types";
import { rampGradient } from "../ui/charts/colour";
import { cellValue, pairsTable } from "../ui/charts/heatmap";
import { perplexityTable } from "../ui/charts/perplexity";
import { stepsOf } from "../ui/charts/lineage";
import { stackTable } from "../ui/charts/stack";
import type { Table } from "../ui/charts/table";
import { bytes, figure, parameters, percent } from "../ui/format";
import { T } from "../ui/texts";
import { ELEMENT } from "../ui/texts/element";
import type { Panel } from "./attributes";
import type { MkaLabStatus } from "./outcome";
import type { Findings } from "./run";

type View = TemplateResult | typeof nothing;

export interface Shown {
  panels: readonly Panel[];
  findings: Findings;
  status: MkaLabStatus;
  job: keyof typeof T.status.jobs | undefined;
  progress: Progress | undefined;
  error: MkaError | undefined;
  /** Read out by the polite live region. */
  news: string;
  /** What the pointer or the focus is on. */
  cell: { a: number; b: number } | undefined;
  /** Boundaries that were picked on the map, in order. */
  picked: number[];
  /** Whose manifold is shown, and the row of the token that is lit in it. */
  layer: number | undefined;
  lit: number | undefined;
  touring: boolean;
  /** Whether the page has content of its own to show until it has run. */
  fallback: boolean;
  /** Which panel is explained. */
  tour: number;
}

export interface Actions {
  run: () => void;
  cancel: () => void;
  step: (tour: number) => void;
  showLayer: (layer: number) => void;
  remove: (layers: number) => void;
  slotted: (event: Event) => void;
}

/** The state of an element that has not run. */
export function blank(): Shown {
  return {
    panels: [],
    findings: {},
    status: "idle",
    job: undefined,
    progress: undefined,
    error: undefined,
    news: "",
    cell: undefined,
    picked: [],
    layer: undefined,
    lit: undefined,
    touring: false,
    fallback: false,
    tour: 0,
  };
}

export function view(shown: Shown, actions: Actions): TemplateResult {
  const words = ELEMENT;
  const { status, findings, panels } = shown;
  const begun = status === "running" || findings.before !== undefined;
  return html`
    <div class="frame" part="frame" role="group" aria-label=${words.label}>
      <header part="header"><slot name="heading"><p class="title" part="title">${words.title}</p></slot></header>
      <div class="controls" part="controls">
        ${status === "running"
          ? html`<button type="button" part="button" id="cancel" @click=${actions.cancel}>${T.status.cancel}</button>`
          : html`<button type="button" part="button" id="run" class="primary" @click=${actions.run}>
              ${begun ? words.again : words.run}
            </button>`}
        <div class="now">
          <p role="status" part="status">${shown.news || (begun ? "" : words.ready)}</p>
          ${bar(shown)}
        </div>
      </div>
      <div role="alert">${trouble(shown.error)}</div>
      ${shown.touring ? tour(shown, actions) : nothing}
      <div class="stage">
        <div class="panels" part="panels" ?inert=${!begun}>
          ${panels.map((panel, at) => html`
            <section
              class="one ${shown.touring && at === step(shown) ? "explained" : ""}"
              part="panel"
              id=${panel}
              aria-labelledby="${panel}-title"
            >
              <p class="panel-title" part="panel-title" id="${panel}-title">${words.panels[panel]}</p>
              ${PANEL[panel](shown, actions)}
            </section>
          `)}
        </div>
        <div class="fallback" part="fallback" ?hidden=${begun || !shown.fallback}><slot @slotchange=${actions.slotted}></slot></div>
      </div>
      <footer part="footer"><slot name="footer"><p class="note">${T.privacy}</p></slot></footer>
    </div>
  `;
}

/** Where the run is: a bar that is always there, and empty where nothing runs. */
function bar({ status, job, progress }: Shown): View {
  if (status !== "running") return html`<div class="track"></div>`;
  const share = progress && progress.total > 0 ? progress.done / progress.total : undefined;
  return html`
    <div
      class="track ${share === undefined ? "unknown" : ""}"
      part="progress"
      role="progressbar"
      aria-label=${T.status.jobs[job ?? "start"]}
      aria-valuenow=${share === undefined ? nothing : Math.round(share * 100)}
    >
      <i style=${styleMap({ transform: `scaleX(${share ?? 0.3})` })}></i>
    </div>
  `;
}

function trouble(error: MkaError | undefined): View {
  if (!error) return nothing;
  return html`<div class="trouble" part="error"><p>${error.message}</p><p>${error.hint}</p></div>`;
}

/** The panel that is explained; the number of panels may have changed since it was chosen. */
function step({ tour, panels }: Shown): number {
  return Math.min(tour, panels.length - 1);
}

function tour(shown: Shown, { step: go }: Actions): View {
  const words = ELEMENT;
  const { panels } = shown;
  const at = step(shown);
  const panel = panels[at];
  if (!panel) return nothing;
  return html`
    <div class="tour" part="tour">
      <p aria-live="polite"><b>${words.panels[panel]}.</b> ${words.tour[panel]}</p>
      <div class="row">
        <button type="button" part="button" aria-disabled=${at === 0} @click=${() => go(Math.max(0, at - 1))}>${words.back}</button>
        <span>${words.stepOf(at + 1, panels.length)}</span>
        <button
          type="button"
          part="button"
          aria-disabled=${at === panels.length - 1}
          @click=${() => go(Math.min(panels.length - 1, at + 1))}
        >
          ${words.next}
        </button>
      </div>
    </div>
  `;
}

const PANEL: Record<Panel, (shown: Shown, actions: Actions) => View> = {
  summary: ({ findings }) => summary(findings),
  similarity,
  manifold,
  influence: ({ findings: { influence } }) => html`
    ${place("influence")}
    ${table(influence && { caption: T.look.influence, head: [T.look.layer, T.look.influenceAxis], rows: Array.from(influence, (value, layer) => [layer, value]) })}
  `,
  stack: ({ findings: { before, recipe } }) => html`
    ${place("stack")} ${table(before && recipe && stackTable({ layers: before.layers, steps: stepsOf(recipe) }))}
  `,
  perplexity: ({ findings: { depths, recipe } }, actions) => html`
    ${place("perplexity")} ${slider(T.merge.remove, recipe?.steps.length, [1, depths && depths.length - 1], "change", actions.remove)}
    ${table(depths && perplexityTable([{ method: "", title: T.compare.perplexity, points: depths }]))}
  `,
  generation: ({ findings }) => html`
    <div class="texts">${text(T.compare.before, findings, "before")} ${text(T.compare.after, findings, "after")}</div>
  `,
};

/** Where pictures.ts puts a picture; as high as it will be. */
function place(chart: keyof typeof ELEMENT.panels): View {
  return html`<div class="place" part="chart" data-chart=${chart}></div>`;
}

/** The model before, after, and the cost. */
function summary({ before, after, evaluation, measuredOn }: Findings): View {
  const words = T.compare;
  const change = (from: number | undefined, to: number | undefined): string | undefined =>
    from === undefined || to === undefined ? undefined : percent(to / from - 1);
  const row = (name: string, cells: (string | undefined)[]): View =>
    html`<tr><th scope="row">${name}</th>${cells.map((cell) => html`<td>${cell ?? T.none}</td>`)}</tr>`;
  const size = (name: string, key: "layers" | "bytes" | "parameters", say: (value: number) => string): View =>
    row(name, [before && say(before[key]), after && say(after[key]), change(before?.[key], after?.[key])]);
  return html`
    <table class="before-after" part="table">
      <thead>
        <tr>${words.head.map((name) => (name ? html`<th scope="col">${name}</th>` : html`<td></td>`))}</tr>
      </thead>
      <tbody>
        ${size(words.layers, "layers", String)} ${size(words.size, "bytes", bytes)} ${size(words.parameters, "parameters", parameters)}
        ${row(words.perplexity, [evaluation && figure(evaluation.dense.perplexity), evaluation && figure(evaluation.merged.perplexity), change(evaluation?.dense.perplexity, evaluation?.merged.perplexity)])}
        ${row(words.kl, ["", evaluation && figure(evaluation.kl), ""])}
        ${row(words.top1, ["", evaluation && `${(evaluation.top1Agreement * 100).toFixed(1)}\u00a0%`, ""])}
      </tbody>
    </table>
    <p class="note measured">${evaluation && measuredOn ? words.measured(words.measuredOn(measuredOn, evaluation.tokens)) : words.notMeasured}</p>
  `;
}

function similarity({ findings, cell }: Shown): View {
  const matrix = findings.similarity;
  return html`
    <p class="reading" aria-hidden="true">
      ${matrix && cell
        ? html`<span>${T.look.cell(cell.a, cell.b)}</span><b>${cellValue(matrix, cell.a, cell.b)}</b>`
        : html`<span>${matrix ? T.look.hover : ""}</span>`}
    </p>
    ${place("similarity")}
    <div class="legend" aria-hidden="true">
      <span>${T.look.low}</span><i style=${styleMap({ background: rampGradient() })}></i><span>${T.look.high}</span>
    </div>
    ${table(matrix && pairsTable(matrix, "npib"))}
  `;
}

/** The layer whose manifold is shown: one in the middle, until another is chosen. */
export function layerOf({ findings: { maps }, layer }: Shown): number {
  const count = maps?.length ?? 1;
  return Math.min(layer ?? Math.floor(count / 2), count - 1);
}

function manifold(shown: Shown, { showLayer }: Actions): View {
  const { findings: { maps, rows }, lit } = shown;
  const layer = layerOf(shown);
  return html`
    <p class="reading" aria-hidden="true">${rows && lit !== undefined ? ELEMENT.token(rows, lit) : maps ? ELEMENT.pointAt : ""}</p>
    ${place("manifold")}
    ${slider(T.look.layer, maps && layer, [0, maps && maps.length - 1], "input", showLayer)}
  `;
}

/**
 * Calls `set` with each value on the way (`input`), or with the last one (`change`). It keeps the
 * focus while there is no value.
 */
function slider(
  name: string,
  value: number | undefined,
  [least, most]: [number, number | undefined],
  when: "input" | "change",
  set: (value: number) => void,
): View {
  const onSlide = (event: Event): void => {
    if (event.type === when) set((event.target as HTMLInputElement).valueAsNumber);
  };
  return html`
    <label class="slider">
      <span>${name}</span><output>${value ?? T.none}</output>
      <input
        type="range"
        min=${least}
        max=${most ?? least}
        .value=${live(String(value ?? least))}
        @input=${onSlide}
        @change=${onSlide}
      />
    </label>
  `;
}

/** The values of a picture, for those who would rather read them. */
function table(values: Table | undefined): View {
  return html`
    <details>
      <summary>${T.picture.table}</summary>
      ${values
        ? html`
            <div class="scroll" tabindex="0" role="region" aria-label="${T.picture.table}: ${values.caption}">
              <table class="numbers" part="table">
                <caption>${values.caption}</caption>
                <thead><tr>${values.head.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
                <tbody>
                  ${values.rows.map(([first, ...others]) => html`
                    <tr><th scope="row">${first}</th>${others.map((value) => html`<td>${typeof value === "number" && !Number.isInteger(value) ? figure(value) : value}</td>`)}</tr>
                  `)}
                </tbody>
              </table>
            </div>
          `
        : html`<p class="note">${T.picture.empty}</p>`}
    </details>
  `;
}

/** The text of one model. When both are complete, what is in only one of them is marked. */
function text(title: string, { written, differences }: Findings, side: "before" | "after"): View {
  const own = differences?.filter((piece) => piece.side === "both" || piece.side === side);
  const marked = own?.map(({ text, side }) =>
    side === "both" ? text : side === "before" ? html`<del>${text}</del>` : html`<ins>${text}</ins>`,
  );
  return html`
    <div>
      <p class="note">${title}</p>
      <div class="written">
        <p tabindex="0" role="group" aria-label=${title}
          ><span class="prompt">${T.compare.promptDefault}</span>${marked ?? written?.[side] ?? ""}</p
        >
      </div>
    </div>
  `;
}
