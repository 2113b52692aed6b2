/** The bar at the bottom: what runs, how far it is, and that something failed. */
import { html, nothing } from "lit-html";
import { styleMap } from "lit-html/directives/style-map.js";
import { cancel } from "../actions/job";
import { bytes, duration } from "../../ui/format";
import { secondsLeft } from "../state/plan";
import { type Job, state } from "../state/state";
import { T } from "../../ui/texts";
import type { View } from "./parts";

export function statusBar(): View {
  const { job, news } = state;
  const progress = job?.progress;
  const share = shareDone();
  return html`
    <footer class="status ${job ? "busy" : ""}">
      <p class="visually-hidden" role="status">${news}</p>
      <div
        class="bar ${job && share === undefined ? "unknown" : ""}"
        role=${job ? "progressbar" : nothing}
        aria-label=${job ? T.status.jobs[job.name] : nothing}
        aria-valuemin=${job ? "0" : nothing}
        aria-valuemax=${job ? "100" : nothing}
        aria-valuenow=${share === undefined ? nothing : Math.round(share * 100)}
      >
        <i style=${styleMap({ transform: `scaleX(${job ? (share ?? 0) : 0})` })}></i>
      </div>
      <div class="status-line">
        <p class="doing">${job ? doing(T.status.jobs[job.name], progress?.step) : idle()}</p>
        <p class="share">${share === undefined ? "" : `${Math.floor(share * 100)}\u00a0%`}</p>
        <p class="left">
          ${progress?.bytesPerSecond === undefined ? "" : T.status.rate(bytes(progress.bytesPerSecond))}
          ${left(job)}
        </p>
        <p class="memory">${memory()}</p>
        <button type="button" id="cancel" class="plain" ?hidden=${!job} @click=${cancel}>${T.status.cancel}</button>
      </div>
    </footer>
  `;
}

/** How much of the running step is done, where that is known. */
export function shareDone(): number | undefined {
  const progress = state.job?.progress;
  return progress && progress.total > 0 ? Math.min(1, progress.done / progress.total) : undefined;
}

/** Of the whole job where that is known, else of the step that it says. */
function left(job: Job | undefined): string {
  const ofStep = job?.progress?.secondsLeft;
  if (job?.plan) return T.status.left(duration(secondsLeft(job.plan, ofStep, performance.now())));
  return ofStep === undefined ? "" : T.status.leftOfStep(duration(ofStep));
}

function doing(name: string, step: string | undefined): View {
  return html`<b>${name}</b>${step ? html` <span>${T.status.steps[step] ?? step}</span>` : nothing}`;
}

function idle(): View | string {
  if (state.error) return html`<a class="failed" href="#error" @click=${toError}>${T.status.failed}</a>`;
  return state.news || (state.model ? T.status.ready : T.status.needModel);
}

/** The place of an error may be out of sight. */
function toError(event: Event): void {
  event.preventDefault();
  document.getElementById("error")?.focus();
}

function memory(): string {
  const figures = state.lab?.memory();
  if (!figures || figures.wasmPeak === 0) return "";
  return T.status.memory(bytes(figures.wasm + figures.device), bytes(figures.wasmPeak + figures.devicePeak));
}
