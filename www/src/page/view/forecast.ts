/**
 * What a calibration and a merge will take, and the memory that weights may take. Parts of the
 * panels "Calibrate" and "Merge".
 */
import { html, nothing } from "lit-html";
import { estimated, forecast, setBudget } from "../actions/forecast";
import { BOUNDS } from "../state/bounds";
import { bytes, duration } from "../../ui/format";
import { removing, state, triesOnOriginal } from "../state/state";
import { T } from "../../ui/texts";
import { busy, button, numberField, type View } from "./parts";

/** Beside the button that starts: what it will take, or a way to find out. */
export function expectation(): View | typeof nothing {
  if (!state.model) return nothing;
  const expected = estimated();
  if (!expected) return html`${button(T.forecast.ask, forecast, { off: busy(), id: "run-forecast" })}`;
  const { calibrateSeconds, mergeSeconds, evaluateSeconds, peakBytes, readAgain } = expected;
  return html`
    <p class="note" id="forecast">
      ${T.forecast.expected(duration(calibrateSeconds), duration(mergeSeconds), duration(evaluateSeconds), bytes(peakBytes))}
      ${readAgain > 0 ? T.forecast.again(bytes(readAgain)) : nothing}
    </p>
  `;
}

/** Below the button that merges: the time of a method that tries pairs before it merges any. */
export function trialsExpectation(): View | typeof nothing {
  if (!triesOnOriginal()) return nothing;
  const seconds = estimated()?.lossGuidedSeconds[removing() - 1];
  return html`<p class="note" id="forecast-merge">${T.forecast.trials(seconds === undefined ? undefined : duration(seconds))}</p>`;
}

/** The budget for weights, in megabytes. */
export function budgetField(): View | typeof nothing {
  if (!state.lab) return nothing;
  return html`
    ${numberField(T.forecast.budget, Math.round(state.lab.budget / 1e6), BOUNDS.budget, (value) => {
      if (value !== undefined) void setBudget(value);
    })}
    <p class="note">${T.forecast.budgetNote}</p>
  `;
}
