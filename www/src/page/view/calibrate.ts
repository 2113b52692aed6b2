/** Panel 2: the text that the layers are compared on. */
import { html, nothing } from "lit-html";
import { calibrate } from "../actions/measure";
import { BOUNDS, BUILT_IN_TOKENS } from "../state/bounds";
import { state } from "../state/state";
import { T } from "../../ui/texts";
import { budgetField, expectation } from "./forecast";
import { busy, button, numberField, panel, textChoice, trouble, type View, warnings } from "./parts";

export function calibratePanel(): View {
  const words = T.calibrate;
  const { calibrate: options, calibration, calibrateText } = state;
  const most = calibrateText.own ? BOUNDS.sequences.max : Math.floor(BUILT_IN_TOKENS / options.window);
  const info = calibration?.info;
  return panel("calibrate", 2, words.title, words.lead, html`
    ${textChoice("calibrate", calibrateText, words)}
    <div class="fields figures">
      ${numberField(words.sequences, options.sequences, { min: 1, max: most }, (value) => {
        options.sequences = value ?? options.sequences;
      })}
      ${numberField(words.window, options.window, BOUNDS.window, (value) => {
        options.window = value ?? options.window;
        if (!calibrateText.own) options.sequences = Math.min(options.sequences, Math.floor(BUILT_IN_TOKENS / options.window));
      })}
      ${numberField(words.rows, options.rows, BOUNDS.rows, (value) => {
        options.rows = value ?? options.rows;
      })}
      ${numberField(words.seed, options.seed, BOUNDS.seed, (value) => {
        options.seed = value ?? options.seed;
      })}
    </div>
    <details>
      <summary>${words.more}</summary>
      <div class="fields figures">
        ${numberField(words.skip, options.skip, { min: 0, max: options.window - 1 }, (value) => {
          options.skip = value ?? options.skip;
        })}
        ${budgetField()}
      </div>
    </details>
    <div class="row">
      ${button(calibration ? words.again : words.run, calibrate, { off: busy() || !state.model, id: "run-calibrate" })}
      <p class="note" id="calibrated">
        ${info ? words.done(info.rows, info.tokens, info.sequences) : words.notYet}
      </p>
    </div>
    ${expectation()}
    ${trouble("calibrate")}
    ${info ? warnings(info.warnings) : nothing}
  `);
}
