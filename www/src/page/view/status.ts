/** The bar at the bottom: what runs, how far it is, and the errors. */
import { html, nothing } from "lit-html";
import { styleMap } from "lit-html/directives/style-map.js";
import { cancel } from "../actions/job";
import { bytes, duration } from "../format";
import { state, update } from "../state";
import { T } from "../texts";
import type { View } from "./parts";

export function statusBar(): View {
  const { job, error, news } = state;
  const progress = job?.progress;
  const share = progress && progress.total > 0 ? Math.min(1, progress.done / progress.total) : undefined;
  return html`
    <footer class="status ${job ? "busy" : ""}">
      <div role="alert">${error ? errorNote(error) : nothing}</div>
      <p class="visually-hidden" role="status">${news}</p>
      <div
        class="bar ${job && share === undefined ? "unknown" : ""}"
        role="progressbar"
        aria-label=${job ? T.status.jobs[job.name] : T.status.ready}
        aria-valuemin="0"
        aria-valuemax="100"
        aria-valuenow=${share === undefined ? nothing : Math.round(share * 100)}
      >
        <i style=${styleMap({ transform: `scaleX(${job ? (share ?? 0) : 0})` })}></i>
      </div>
      <div class="status-line">
        <p class="doing">${job ? doing(T.status.jobs[job.name], progress?.step) : idle()}</p>
        <p class="share">${share === undefined ? "" : `${Math.floor(share * 100)} %`}</p>
        <p class="left">${progress?.secondsLeft === undefined ? "" : T.status.left(duration(progress.secondsLeft))}</p>
        <p class="memory">${memory()}</p>
        <button type="button" id="cancel" class="plain" ?hidden=${!job} @click=${cancel}>${T.status.cancel}</button>
      </div>
    </footer>
  `;
}

function doing(name: string, step: string | undefined): View {
  return html`<b>${name}</b>${step ? html` <span>${T.status.steps[step] ?? step}</span>` : nothing}`;
}

function idle(): string {
  return state.news || (state.model ? T.status.ready : T.status.needModel);
}

function memory(): string {
  const figures = state.lab?.memory();
  if (!figures || figures.wasmPeak === 0) return "";
  return T.status.memory(bytes(figures.wasm + figures.device), bytes(figures.wasmPeak + figures.devicePeak));
}

function errorNote({ message, hint, code }: NonNullable<typeof state.error>): View {
  return html`
    <div class="error" data-code=${code ?? ""}>
      <p><b>${message}</b> ${hint}</p>
      <button
        type="button"
        class="plain"
        @click=${() => {
          state.error = undefined;
          update();
        }}
      >
        ${T.error.close}
      </button>
    </div>
  `;
}
