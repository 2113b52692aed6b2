/** The head of the page: what it is, the engine, the colours, and the way to its parts. */
import { html, nothing } from "lit-html";
import { startEngine } from "../actions/load";
import { visit } from "../actions/link";
import { goToPart } from "../actions/part";
import { type Part, PARTS } from "../state/part";
import { state, type Theme, update } from "../state/state";
import { T } from "../../ui/texts";
import { setTheme } from "../actions/theme";
import { STEPS } from "../state/tour-steps";
import { enterTour } from "../tour/tour";
import { button, selectField, trouble, type View } from "./parts";

export function masthead(): View {
  const { lab, job, error } = state;
  const engineText = lab
    ? T.engine.running(lab.backend, lab.adapter)
    : job?.name === "start"
      ? T.engine.starting
      : error?.place === "engine"
        ? T.engine.failed
        : T.engine.waiting;
  const engines = { auto: T.engine.auto, webgpu: T.engine.webgpu, cpu: T.engine.cpu };
  return html`
    <header class="masthead">
      <div class="name">
        <div class="brand">
          <img src="./icon.svg" alt="" width="30" height="30" />
          <h1>${T.title}</h1>
        </div>
        <p>${T.tagline} <b>${T.privacy}</b></p>
      </div>
      <div class="row ways">
        ${tourButton()} ${button(T.link.share, openShare, { off: false, id: "share-open" })}
      </div>
      <div class="engine">
        <p class="engine-now"><span class="lamp ${lab ? "on" : ""}"></span>${engineText}</p>
        <p class="engine-why">${lab ? T.engine.reason(lab.reason) : ""}</p>
        ${trouble("engine")}
      </div>
      <div class="fields settings">
        ${selectField(T.engine.label, state.engine, engines, (engine) => void startEngine(engine), "engine")}
        ${selectField(T.theme.label, state.theme, T.theme.themes, (theme: Theme) => {
          setTheme(theme);
          update();
        })}
      </div>
    </header>
  `;
}

/** Into the tour; while it runs, to its panel. */
function tourButton(): View {
  const { tour, tourLeft } = state;
  const label = tour ? T.tour.toPanel : tourLeft ? T.tour.resume(STEPS.indexOf(tourLeft) + 1, STEPS.length) : T.tour.enter;
  const go = (): void => {
    if (tour) document.getElementById("tour-title")?.focus();
    else enterTour();
  };
  return button(label, go, { primary: true, off: false, id: "tour-open" });
}

function openShare(): void {
  state.share = { autorun: false, copied: false };
  update();
  setTimeout(() => document.getElementById("link")?.focus());
}

/** The parts that are steps of the way from a model to a smaller one. */
const STEP_OF: Partial<Record<Part, number>> = { load: 1, calibrate: 2, merge: 3, compare: 4, keep: 5 };

/**
 * The parts in their order in the document; the one that the user is at is marked. The steps are
 * numbered.
 */
export function partsNav(): View {
  return html`
    <nav class="parts" aria-label=${T.parts}>
      <ol>
        ${PARTS.map(
          (part) => html`
            <li>
              <a href="#${part}" aria-current=${state.part === part ? "location" : nothing} @click=${to(part)}
                >${STEP_OF[part] ? html`<i aria-hidden="true">${STEP_OF[part]}</i>` : nothing}${T[part].title}</a
              >
            </li>
          `,
        )}
      </ol>
    </nav>
  `;
}

/** The address is not for this: it keeps more than a place on the page. */
export function to(part: Part): (event: Event) => void {
  return (event) => {
    event.preventDefault();
    visit();
    goToPart(part);
  };
}
