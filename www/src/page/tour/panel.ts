/**
 * The tour's panel: not modal, so that the page can be used beside it; and the mark around its
 * target.
 */
import { html, nothing, render, type TemplateResult } from "lit-html";
import { state } from "../state/state";
import { TOUR } from "./texts";
import { formulaOf } from "./formulas";
import { STEPS, TARGETS, type TourStep } from "../state/tour-steps";
import { goToStep, leaveTour } from "./tour";

const MARK = "data-tour-here";

const root = document.createElement("div");
document.body.append(root);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && state.tour && !event.defaultPrevented) leaveTour();
});

let shown: TourStep | undefined;

/** Draws the step that the state has; a new one is scrolled to and takes the focus. */
export function drawPanel(): void {
  const step = state.tour;
  document.documentElement.toggleAttribute("data-tour", step !== undefined);
  const target = step && targetOf(step);
  for (const marked of document.querySelectorAll(`[${MARK}]`)) if (marked !== target) marked.removeAttribute(MARK);
  target?.setAttribute(MARK, "");
  if (step === shown) return;
  shown = step;
  render(step ? view(step, isAtRight(target)) : nothing, root);
  if (!step) return;
  show(target);
  document.getElementById("tour-title")?.focus({ preventScroll: true });
}

function targetOf(step: TourStep): Element | undefined {
  for (const id of TARGETS[step]) {
    const element = document.getElementById(id);
    if (element) return element.closest(".field, .sliders") ?? element;
  }
  return undefined;
}

/** Opens what it is folded into, and scrolls there. */
function show(target: Element | undefined): void {
  const folded = target?.closest("details");
  if (folded) folded.open = true;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  target?.scrollIntoView({ behavior: calm ? "instant" : "smooth", block: "start" });
}

/** The panel is then at the left. */
function isAtRight(target: Element | undefined): boolean {
  if (!target) return false;
  const { left, right } = target.getBoundingClientRect();
  return (left + right) / 2 > innerWidth / 2;
}

function view(step: TourStep, atLeft: boolean): TemplateResult {
  const at = STEPS.indexOf(step);
  const { title, text, hint } = TOUR.steps[step];
  const last = at === STEPS.length - 1;
  return html`
    <section id="tour" class="tour ${atLeft ? "at-left" : ""}" role="dialog" aria-labelledby="tour-title" aria-describedby="tour-text">
      <div class="tour-head">
        <p>${TOUR.label}. ${TOUR.place(at + 1, STEPS.length)}</p>
        <button type="button" class="plain" id="tour-close" aria-label=${TOUR.close} @click=${() => leaveTour()}>×</button>
      </div>
      <div class="tour-text" tabindex="0" role="group" aria-labelledby="tour-title">
        <h2 id="tour-title" tabindex="-1">${title}</h2>
        <div id="tour-text">
          ${text.map((paragraph) => html`<p>${paragraph}</p>`)}
        </div>
        ${formulaOf(step)}
        ${hint ? html`<p class="hint"><b>${TOUR.hint}</b> ${hint}</p>` : nothing}
      </div>
      <div class="tour-foot">
        <ol aria-label=${TOUR.label}>
          ${STEPS.map(
            (other, index) => html`
              <li>
                <button
                  type="button"
                  aria-label=${TOUR.go(index + 1, TOUR.steps[other].title)}
                  aria-current=${other === step ? "step" : nothing}
                  @click=${() => goToStep(other)}
                ></button>
              </li>
            `,
          )}
        </ol>
        <div class="row">
          <button type="button" class="plain" id="tour-show" @click=${goThere}>${TOUR.show}</button>
          ${at > 0
            ? html`<button type="button" class="plain" id="tour-back" @click=${() => goToStep(STEPS[at - 1] as TourStep)}>${TOUR.back}</button>`
            : nothing}
          ${last
            ? html`<button type="button" class="primary" id="tour-next" @click=${() => leaveTour(true)}>${TOUR.done}</button>`
            : html`<button type="button" class="primary" id="tour-next" @click=${() => goToStep(STEPS[at + 1] as TourStep)}>${TOUR.next}</button>`}
        </div>
      </div>
    </section>
  `;
}

/** To the first focusable element there, for those who use the keyboard. */
function goThere(): void {
  const target = state.tour && targetOf(state.tour);
  if (!target) return;
  show(target);
  const inside = target.matches("button, select, input") ? target : target.querySelector("button, select, input, summary, [tabindex='0']");
  ((inside ?? target) as HTMLElement | SVGElement).focus({ preventScroll: true });
}
