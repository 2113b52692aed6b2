/** The runs that were made: one row for each, and two of them side by side. */
import "../style/runs.css";
import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { canReopen } from "../actions/reopen";
import { choose } from "../actions/choose";
import { compareWith, currentRun, deleteRun, exportRun, finished, makeAgain, rename, undelete } from "../actions/runs";
import { figure, moment, percent } from "../../ui/format";
import { FINISHED, type Run } from "../run/run";
import { precomputed } from "../state/shown";
import { state } from "../state/state";
import { T } from "../../ui/texts";
import { RUNS } from "../../ui/texts/runs";
import { busy, labelled, trouble, type View, warnings } from "./parts";

export { remember, restoreRuns } from "../actions/runs";

export function runsList(): View {
  const { runs, unkept } = state;
  const example = finished();
  const all = example ? [...runs, example] : runs;
  return html`
    ${trouble("runs")} ${unkept === undefined ? nothing : warnings([RUNS.unkept(unkept)])}
    <ul class="runs" id="runs-list">${all.map(row)}</ul>
    ${deleted()} ${sideBySide(all)}
  `;
}

/** The id of the run on the screen. */
function shownId(): string | undefined {
  return precomputed() ? FINISHED : (state.chosen ?? currentRun());
}

function row(run: Run): View {
  const { id, name, recipe } = run;
  const isShown = id === shownId();
  const ofPage = id === FINISHED;
  const current = id === currentRun();
  const show = (): void => choose(ofPage ? (state.model ? FINISHED : undefined) : current ? undefined : id);
  return html`
    <li class=${isShown ? "chosen" : ""} data-run=${id}>
      <label class="show">
        <input type="radio" name="run" .checked=${live(isShown)} @change=${show} aria-label="${RUNS.show} ${name}" />
        <span>${isShown ? RUNS.shown : RUNS.show}</span>
      </label>
      ${ofPage
        ? html`<p class="run-name"><b>${name}</b> <small>${RUNS.ofPage}</small></p>`
        : html`<input
            class="run-name"
            type="text"
            aria-label=${RUNS.nameLabel}
            .value=${live(name)}
            @change=${(event: Event) => rename(run, (event.target as HTMLInputElement).value)}
          />`}
      <p class="run-facts">${facts(run).map((fact) => html`<span>${fact}</span>`)}</p>
      <div class="row run-ways">
        <label class="check">
          <input
            type="checkbox"
            .checked=${live(state.compared === id)}
            ?disabled=${isShown}
            @change=${(event: Event) => compareWith((event.target as HTMLInputElement).checked ? id : undefined)}
          />
          <span>${RUNS.compare}<span class="visually-hidden"> ${RUNS.which(name)}</span></span>
        </label>
        ${ofPage
          ? nothing
          : html`
              ${current ? nothing : labelled(RUNS.again, RUNS.which(name), () => makeAgain(run), busy() || !canReopen(run))}
              ${labelled(RUNS.export, RUNS.which(name), () => exportRun(run), false)} ${labelled(RUNS.delete, RUNS.which(name), () => deleteRun(run), false)}
            `}
      </div>
      ${canReopen(run) || ofPage ? nothing : html`<p class="note">${RUNS.againNote(run.made.name)}</p>`}
      ${recipe ? html`<details><summary>${RUNS.recipe}</summary><pre class="scroll" tabindex="0">${JSON.stringify(recipe, null, 2)}</pre></details>` : nothing}
    </li>
  `;
}

/** What it is, and what it cost, in a line. */
function facts({ made, method, results, at, id }: Run): string[] {
  const { summary, merged, comparison } = results;
  const layers = summary?.layers ?? 0;
  const when = id === FINISHED ? made.when : moment(at);
  const what = merged ? RUNS.removed(layers - merged.summary.layers, layers) : RUNS.nothing(layers);
  const cost = comparison ? [RUNS.perplexity(comparison.dense.perplexity, comparison.merged.perplexity), RUNS.kl(comparison.kl)] : [];
  return [made.name, ...(method ? [method] : []), what, ...(merged ? [RUNS.size(merged.summary.bytes)] : []), ...cost, when];
}

function deleted(): View {
  const { deleted } = state;
  if (!deleted) return nothing;
  return html`<div class="row" role="status"><p>${RUNS.deleted(deleted.name)}</p>${labelled(RUNS.undo, RUNS.which(deleted.name), undelete, false)}</div>`;
}

/** The run on the screen, and the one that it is compared with. */
function sideBySide(all: readonly Run[]): View {
  const pair = [shownId(), state.compared].map((id) => all.find((run) => run.id === id));
  const [first, second] = pair;
  if (all.length < 2) return nothing;
  if (!first || !second || first === second) return html`<p class="note">${RUNS.tableHint}</p>`;
  const measured = [first, second].map(measuredOn);
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${RUNS.table}>
      <table class="numbers" id="runs-compared">
        <caption>${RUNS.table}</caption>
        <thead><tr><td></td>${[first, second].map(({ name }) => html`<th scope="col">${name}</th>`)}</tr></thead>
        <tbody>
          ${(Object.keys(RUNS.rows) as (keyof typeof RUNS.rows)[]).map((name) => {
            const values = [first, second].map((run) => value(run, name));
            return html`<tr class=${values[0] === values[1] ? "" : "differs"}><th scope="row">${RUNS.rows[name]}</th>${values.map((text) => html`<td>${text}</td>`)}</tr>`;
          })}
        </tbody>
      </table>
    </div>
    ${first.results.comparison && second.results.comparison && measured[0] !== measured[1] ? warnings([RUNS.otherTexts]) : nothing}
  `;
}

function measuredOn({ results: { comparison, measuredOn } }: Run): string {
  return comparison && measuredOn ? T.compare.measuredOn(measuredOn, comparison.tokens) : T.none;
}

function value(run: Run, name: keyof typeof RUNS.rows): string {
  const { made, method, settings, own, results } = run;
  const { summary, merged, comparison } = results;
  switch (name) {
    case "model":
      return made.name;
    case "method":
      return method ?? T.none;
    case "removed":
      return summary && merged ? RUNS.removed(summary.layers - merged.summary.layers, summary.layers) : T.none;
    case "size":
      return merged ? RUNS.size(merged.summary.bytes) : T.none;
    case "calibrated":
      return T.calibrate.calibratedOn(own.calibration, settings.calibrate.sequences, settings.calibrate.window, settings.calibrate.seed);
    case "measured":
      return measuredOn(run);
    case "before":
      return comparison ? figure(comparison.dense.perplexity) : T.none;
    case "after":
      return comparison ? figure(comparison.merged.perplexity) : T.none;
    case "times":
      return comparison ? figure(comparison.merged.perplexity / comparison.dense.perplexity) : T.none;
    case "kl":
      return comparison ? figure(comparison.kl) : T.none;
    case "top1":
      return comparison ? percent(comparison.top1Agreement).replace("+", "") : T.none;
    case "steps":
      return merged?.steps.map(({ keep, gone }) => T.merge.pair(keep, gone, false)).join(", ") ?? T.none;
    case "engine":
      return made.engine;
  }
}
