/** The layers before and after a merge, step by step. */
import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import type { Step } from "../../ui/charts/lineage";
import { stackChart, stackTable } from "../../ui/charts/stack";
import { shown } from "../state/shown";
import { state, update } from "../state/state";
import { T } from "../../ui/texts";
import type { View } from "./parts";
import { picture } from "./picture";

const chart = stackChart();

export function stack(): View {
  const words = T.stack;
  const { merged, summary } = shown();
  const layers = summary?.layers ?? 0;
  const all = merged?.steps ?? NO_STEPS;
  const upTo = Math.min(state.stackSteps ?? all.length, all.length);
  // The same steps must be the same object, so that nothing is drawn twice.
  const steps = stepsUpTo(all, upTo);
  chart.show(merged && { layers, steps });
  const table = merged && (() => stackTable({ layers, steps }));
  return html`
    ${picture({ name: "stack", chart, table })}
    ${all.length > 1
      ? html`
          <label class="slider">
            <span>${words.step}</span>
            <output>${words.stepOf(upTo, all.length)}</output>
            <input
              type="range"
              id="stack-steps"
              min="0"
              max=${all.length}
              .value=${live(String(upTo))}
              @input=${(event: Event) => {
                const { valueAsNumber } = event.target as HTMLInputElement;
                state.stackSteps = valueAsNumber === all.length ? undefined : valueAsNumber;
                update();
              }}
            />
          </label>
        `
      : nothing}
    ${merged
      ? html`
          <ul class="stack-legend" aria-hidden="true">
            <li class="part">${words.legend.part}</li>
            <li class="gone">${words.legend.gone}</li>
            <li class="stitched">${words.legend.stitch}</li>
          </ul>
        `
      : nothing}
  `;
}

type Steps = readonly Step[];
const NO_STEPS: Steps = [];
let cut: { all: Steps; upTo: number; steps: Steps } | undefined;

function stepsUpTo(all: Steps, upTo: number): Steps {
  if (cut?.all !== all || cut.upTo !== upTo) cut = { all, upTo, steps: all.slice(0, upTo) };
  return cut.steps;
}
