/** The layers before and after a merge, step by step. */
import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { stackChart, stackTable } from "../charts/stack";
import { state, update } from "../state";
import { T } from "../texts";
import type { View } from "./parts";
import { picture } from "./picture";

const chart = stackChart();

export function stack(): View {
  const words = T.stack;
  const { merged, model } = state;
  const layers = model?.summary.layers ?? 0;
  const all = merged?.recipe.steps ?? [];
  const shown = Math.min(state.stackSteps ?? all.length, all.length);
  // The same steps must be the same object, so that nothing is drawn twice.
  const steps = stepsUpTo(all, shown);
  chart.show(merged && { layers, steps });
  const table = merged && (() => stackTable({ layers, steps }));
  return html`
    ${picture({ name: "stack", chart, table })}
    ${all.length > 1
      ? html`
          <label class="slider">
            <span>${words.step}</span>
            <output>${words.stepOf(shown, all.length)}</output>
            <input
              type="range"
              id="stack-steps"
              min="0"
              max=${all.length}
              .value=${live(String(shown))}
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

type Steps = NonNullable<typeof state.merged>["recipe"]["steps"];
let cut: { all: Steps; shown: number; steps: Steps } | undefined;

function stepsUpTo(all: Steps, shown: number): Steps {
  if (cut?.all !== all || cut.shown !== shown) cut = { all, shown, steps: all.slice(0, shown) };
  return cut.steps;
}
