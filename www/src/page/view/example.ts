/** The banner that tells a precomputed run from one in this tab, and starts the latter. */
import { html, nothing } from "lit-html";
import { choose } from "../actions/choose";
import { offer } from "../actions/keep";
import { runFile, runHere } from "../actions/example";
import type { Difference } from "../run/agreement";
import type { Example } from "../run/file";
import { FINISHED, type Run } from "../run/run";
import { duration, figure, moment } from "../../ui/format";
import { earlier, listed } from "../state/shown";
import { state } from "../state/state";
import { T } from "../../ui/texts";
import { button, trouble, type View } from "./parts";

/** As high with a model as without, so that nothing moves when one is opened. */
export function exampleBanner(): View {
  const words = T.example;
  const { agreement, model, source, example, exampleMissing } = state;
  const run = listed();
  const own = model !== undefined && !earlier();
  const content = run
    ? fromList(run)
    : own
      ? agreement
        ? agreed(agreement)
        : ownModel()
      : exampleMissing
        ? html`<p>${words.missing}</p>`
        : about(example);
  const offered = !run && !own;
  return html`
    <aside class="example" id="example" aria-label=${words.label}>
      <div>${content} ${trouble("example")}</div>
      <div>
        ${offered ? button(words.run, runHere, { primary: !model, id: "run-here" }) : nothing}
        ${model && earlier() ? button(words.back, () => choose(undefined), { off: false, id: "back-here" }) : nothing}
        ${!offered && example ? button(words.showFinished, () => choose(FINISHED), { off: false, id: "show-finished" }) : nothing}
        ${offered ? html`<p class="note">${words.runNote(tookAll(example))} ${model ? words.closes(source?.name ?? "") : nothing}</p>` : nothing}
      </div>
    </aside>
  `;
}

/** How long all of it took where it was made. */
function tookAll(example: Example | undefined): string | undefined {
  const took = example?.made.took?.reduce((sum, { seconds }) => sum + seconds, 0);
  return took === undefined ? undefined : duration(took);
}

function ownModel(): View {
  const layers = state.model?.summary.layers ?? 0;
  return html`<p><b>${T.example.here(state.source?.name ?? "", layers)}</b></p><p class="note">${T.example.hereNote}</p>`;
}

function fromList({ name, at, made }: Run): View {
  return html`<p><b>${T.example.listed(name)}</b></p><p class="note">${T.example.listedNote(moment(at), made.engine)}</p>`;
}

/** Two lines, also while they are not known yet: nothing moves when they come. */
function about(example: Example | undefined): View {
  const words = T.example;
  if (!example) return html`<p><b>${words.title}.</b></p><p class="note">&nbsp;</p>`;
  const { made, settings, results, presets } = example;
  const method = presets.find(({ name }) => name === settings.preset)?.title ?? settings.preset;
  return html`
    <p><b>${state.linked ? words.linked : words.title}.</b> ${words.made(made.name, results.summary?.layers ?? 0, settings.remove, method)}</p>
    <p class="note">${words.where(made.tool, made.engine, made.when, settings.calibrate.seed)}</p>
  `;
}

function agreed(list: readonly Difference[]): View {
  const words = T.example;
  const all = list.every(({ agrees }) => agrees);
  const verdict = list.length === 0 ? words.alone : all ? words.agree : words.disagree;
  const save = (): void => {
    const file = runFile();
    if (file) offer(file, "demo.json");
  };
  return html`
    <p id="agreement" data-agrees=${all}><b>${verdict}</b></p>
    <details>
      <summary>${words.numbers}</summary>
      <ul class="differences">
        ${list.map((difference) => html`<li class=${difference.agrees ? "" : "off"}>${words.quantities[difference.quantity]}: ${inWords(difference)}</li>`)}
      </ul>
      ${button(words.save, save, { id: "save-run" })}
    </details>
  `;
}

function inWords({ quantity, largest, relative }: Difference): string {
  const words = T.example;
  if (largest === 0) return words.same;
  if (quantity === "layers" || quantity === "texts" || largest === Infinity) return words.other;
  return words.apart(relative ? `${figure(largest * 100)}\u00a0%` : figure(largest), relative);
}
