/** What a calibration will take, and the memory that weights may take. Part of the panel "Calibrate". */
import { html, nothing } from "lit-html";
import { forecast, setBudget } from "../actions/forecast";
import { BOUNDS } from "../bounds";
import { bytes, duration } from "../format";
import { state } from "../state";
import { T } from "../texts";
import { busy, button, numberField, type View } from "./parts";

/** Beside the button that starts: what it will take, or a way to find out. */
export function expectation(): View | typeof nothing {
  const { forecast: told, calibrate } = state;
  if (!state.model) return nothing;
  if (!told || told.sequences !== calibrate.sequences || told.window !== calibrate.window) {
    return html`${button(T.forecast.ask, forecast, { off: busy(), id: "run-forecast" })}`;
  }
  const { calibrateSeconds, mergeSeconds, evaluateSeconds, peakBytes, readAgain } = told.estimate;
  return html`
    <p class="note" id="forecast">
      ${T.forecast.told(duration(calibrateSeconds), duration(mergeSeconds), duration(evaluateSeconds), bytes(peakBytes))}
      ${readAgain > 0 ? T.forecast.again(bytes(readAgain)) : nothing}
    </p>
  `;
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
