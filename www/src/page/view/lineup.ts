/**
 * The line-up: methods side by side; and more evidence: questions, facts, a text at each depth,
 * recipes. Loaded when it is opened.
 */
import { html, nothing } from "lit-html";
import type { LineupPoint, Recipe } from "#mka";
import {
  askFacts,
  askQuestions,
  budgets,
  choosePoint,
  cliff,
  editCurrent,
  forgetOthers,
  lineup,
  replayEdited,
  run,
  takeCsv,
  takeRecipe,
  writeDepths,
} from "../actions/lineup";
import { lineupChart, type LineupMark } from "../../ui/charts/lineup";
import { figure, percent } from "../../ui/format";
import { state, update } from "../state/state";
import { T } from "../../ui/texts";
import { LINEUP } from "../../ui/texts/lineup";
import { busy, button, checkbox, fileButton, labelled, numberField, selectField, trouble, type View } from "./parts";

const picture = lineupChart();

export function lineupContent(): View {
  forgetOthers();
  return html`${choices()} ${trouble("lineup")} ${results()} ${depths()} ${questions()} ${cloze()} ${recipes()}`;
}

function choices(): View {
  const words = LINEUP;
  const presets = state.lab?.presets ?? [];
  return html`
    <fieldset class="checks" id="lineup-methods">
      <legend>${words.methods}</legend>
      ${presets.map(({ name, title }) =>
        checkbox(title, lineup.presets.has(name), (checked) => {
          if (checked) lineup.presets.add(name);
          else lineup.presets.delete(name);
        }),
      )}
    </fieldset>
    <div class="fields">
      <label class="field">
        <span>${words.budgets}</span>
        <input type="text" id="lineup-budgets" inputmode="numeric" .value=${lineup.budgets} @change=${(event: Event) => {
          lineup.budgets = (event.target as HTMLInputElement).value;
          update();
        }} />
      </label>
      ${numberField(words.seeds, lineup.seeds, { min: 1, max: 8 }, (value) => (lineup.seeds = value ?? 1))}
    </div>
    <p class="note">${words.conditions(state.calibrate.sequences, state.calibrate.window, state.compare.sequences, state.compare.window)}</p>
    <div class="row">
      ${button(words.run, run, { primary: true, off: busy() || !state.model || lineup.presets.size === 0 || budgets().length === 0, id: "run-lineup" })}
    </div>
  `;
}

/** What is drawn of a point on the chosen text. */
function valueOf(point: LineupPoint): number | undefined {
  const found = point.measured.find(({ text }) => text === shownText()) ?? point.measured[0];
  if (!found) return undefined;
  return lineup.measure === "perplexity" ? found.merged.perplexity : lineup.measure === "kl" ? found.kl : found.top1Agreement;
}

function textNames(): string[] {
  return [...new Set(lineup.points.flatMap(({ measured }) => measured.map(({ text }) => text)))];
}

function shownText(): string {
  return lineup.text || (textNames()[0] ?? "");
}

let drawn: { points: readonly LineupPoint[]; key: string; marks: LineupMark[] } = { points: [], key: "", marks: [] };

/** The means over the seeds; the same array while nothing changes, so that the picture stays. */
function marks(): LineupMark[] {
  const { points } = lineup;
  const key = `${lineup.measure} ${shownText()}`;
  if (points === drawn.points && key === drawn.key) return drawn.marks;
  const groups = new Map<string, LineupPoint[]>();
  for (const point of points) {
    const name = `${point.preset} ${point.removed}`;
    groups.set(name, [...(groups.get(name) ?? []), point]);
  }
  const all = [...groups.values()].flatMap((points) => {
    const values = points.map(valueOf).filter((value) => value !== undefined);
    const [first] = points;
    if (!first || values.length === 0) return [];
    const title = state.lab?.presets.find(({ name }) => name === first.preset)?.title ?? first.preset;
    const value = values.reduce((sum, value) => sum + value, 0) / values.length;
    return [{ preset: first.preset, title, removed: first.removed, value, least: Math.min(...values), most: Math.max(...values) }];
  });
  drawn = { points, key, marks: all.sort((a, b) => a.removed - b.removed) };
  return drawn.marks;
}

function takeMark({ preset, removed }: LineupMark): void {
  const point = lineup.points.find((other) => other.preset === preset && other.removed === removed && other.recipe);
  if (point) void choosePoint(point);
}

function results(): View {
  const words = LINEUP;
  const { points } = lineup;
  picture.show(points.length > 0 ? { marks: marks(), label: words.measures[lineup.measure], log: lineup.measure === "perplexity", onMark: takeMark } : undefined);
  if (points.length === 0) return html`${picture.element}`;
  const names = Object.fromEntries(textNames().map((name) => [name, name]));
  return html`
    <div class="fields">
      ${selectField(words.show, lineup.measure, words.measures, (value) => {
        lineup.measure = value;
        update();
      })}
      ${selectField(words.on, shownText(), names, (value) => {
        lineup.text = value;
        update();
      })}
    </div>
    ${picture.element}
    <div class="scroll" tabindex="0" role="region" aria-label=${words.table}>
      <table class="numbers" id="lineup-table">
        <thead>
          <tr>${words.head.map((name) => html`<th scope="col">${name}</th>`)}</tr>
        </thead>
        <tbody>${ordered(points).map(row)}</tbody>
      </table>
    </div>
  `;
}

/** Method by method, each by the number of layers. */
function ordered(points: readonly LineupPoint[]): LineupPoint[] {
  const methods = [...new Set(points.map(({ preset }) => preset))];
  const rank = ({ preset }: LineupPoint): number => methods.indexOf(preset);
  return [...points].sort((a, b) => rank(a) - rank(b) || a.removed - b.removed || a.seed - b.seed);
}

function row(point: LineupPoint): View {
  const words = LINEUP;
  const title = state.lab?.presets.find(({ name }) => name === point.preset)?.title ?? point.preset;
  const found = point.measured.find(({ text }) => text === shownText());
  return html`
    <tr class=${point === lineup.chosen ? "chosen" : ""}>
      <th scope="row">${title}</th>
      <td>${point.removed}</td>
      <td>${point.seed}</td>
      ${point.failed || !found
        ? html`<td colspan="3">${point.failed ?? T.none}</td>`
        : html`<td>${figure(found.merged.perplexity)} <small>${words.times(figure(found.merged.perplexity / found.dense.perplexity))}</small></td>
            <td>${figure(found.kl)}</td>
            <td>${percent(found.top1Agreement).replace("+", "")}</td>`}
      <td>${point.recipe ? labelled(point === lineup.chosen ? words.taken : words.take, words.which(title, point.removed, point.seed), () => choosePoint(point), busy()) : nothing}</td>
    </tr>
  `;
}

function depths(): View {
  const words = LINEUP;
  const able = [...new Set(lineup.points.filter(({ recipe }) => recipe).map(({ preset }) => preset))];
  const edge = cliff(lineup.depths);
  return html`
    <details id="lineup-depths">
      <summary>${words.depths}</summary>
      <p class="note">${words.depthsNote}</p>
      <div class="row">
        ${able.map((preset) => button(state.lab?.presets.find(({ name }) => name === preset)?.title ?? preset, () => writeDepths(preset), { off: busy() }))}
      </div>
      <ol class="depths">
        ${lineup.depths.map(
          ({ removed, text, perplexity }) => html`
            <li class=${removed === edge ? "cliff" : ""}>
              <b>${words.removed(removed)}, ${words.measures.perplexity} ${figure(perplexity)}${removed === edge ? html` · ${words.cliff}` : nothing}</b>
              <q>${text}</q>
            </li>
          `,
        )}
      </ol>
    </details>
  `;
}

function questions(): View {
  const words = LINEUP;
  const { choice, csv } = lineup;
  return html`
    <details id="lineup-choice">
      <summary>${words.choice}</summary>
      <p class="note">${words.choiceNote}</p>
      <div class="row">
        ${fileButton("choice-csv", csv ? csv.name : words.choiceFile, ([file]) => void (file && takeCsv(file)), { accept: ".csv", multiple: false, off: !state.model })}
        ${button(words.ask, askQuestions, { off: busy() || !csv || !state.model, id: "run-choice" })}
      </div>
      ${choice
        ? html`
            <div class="scroll" tabindex="0" role="region" aria-label=${words.choice}><table class="numbers" id="choice-result">
              <thead><tr>${words.choiceHead.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
              <tbody>
                ${([["before", choice.before], ["after", choice.after]] as const).map(([side, result]) =>
                  result
                    ? html`<tr><th scope="row">${words.sides[side]}</th><td>${figure(result.perplexity)}</td><td>${figure(result.accuracy)}</td><td>${figure(result.confidence)}</td></tr>`
                    : nothing,
                )}
              </tbody>
            </table></div>
            <p class="note">${words.choiceCount(choice.before.questions)}</p>
          `
        : nothing}
    </details>
  `;
}

function cloze(): View {
  const words = LINEUP;
  const { cloze: result } = lineup;
  return html`
    <details id="lineup-cloze">
      <summary>${words.cloze}</summary>
      <p class="note">${words.clozeNote}</p>
      <label class="field wide">
        <span>${words.facts}</span>
        <textarea rows="6" .value=${lineup.facts} @change=${(event: Event) => (lineup.facts = (event.target as HTMLTextAreaElement).value)}></textarea>
      </label>
      <div class="row">${button(words.ask, askFacts, { off: busy() || !state.model, id: "run-cloze" })}</div>
      ${result
        ? html`
            <div class="scroll" tabindex="0" role="region" aria-label=${words.cloze}><table class="numbers" id="cloze-result">
              <thead><tr>${words.clozeHead.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
              <tbody>
                ${result.before.facts.map((fact, at) => {
                  const after = result.after?.facts[at];
                  return html`<tr><th scope="row">${fact.prompt} <b>${fact.token}</b></th><td>${fact.rank}</td><td>${after?.rank ?? T.none}</td><td>${after?.likeliest ?? fact.likeliest}</td></tr>`;
                })}
                <tr><th scope="row">${words.measures.perplexity}</th><td>${figure(result.before.perplexity)}</td><td>${result.after ? figure(result.after.perplexity) : T.none}</td><td></td></tr>
              </tbody>
            </table></div>
          `
        : nothing}
    </details>
  `;
}

function recipes(): View {
  const words = LINEUP;
  return html`
    <details id="lineup-recipes">
      <summary>${words.recipes}</summary>
      <p class="note">${words.recipesNote}</p>
      <div class="row">
        ${button(words.current, editCurrent, { off: !state.merged })}
        ${fileButton("recipe-file", words.load, ([file]) => void (file && takeRecipe(file)), { accept: ".json", multiple: false, off: false })}
        ${button(words.replay, replayEdited, { off: busy() || !state.model || !lineup.recipe, id: "replay-edited" })}
      </div>
      <label class="field wide">
        <span>${words.edit}</span>
        <textarea rows="10" spellcheck="false" id="recipe-text" .value=${lineup.recipe} @change=${(event: Event) => {
          lineup.recipe = (event.target as HTMLTextAreaElement).value;
          update();
        }}></textarea>
      </label>
      ${lineup.kept.length > 1 ? compared() : nothing}
    </details>
  `;
}

/** What each recipe did at each step, side by side. */
function compared(): View {
  const words = LINEUP;
  const most = Math.max(...lineup.kept.map(({ recipe }) => recipe.steps.length));
  const step = (recipe: Recipe, at: number): string => {
    const found = recipe.steps[at];
    return found ? words.step(found.keep, found.gone, found.alpha === undefined ? recipe.combination : figure(found.alpha)) : T.none;
  };
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${words.comparedTitle}>
      <table class="numbers" id="recipes-compared">
        <caption>${words.comparedTitle}</caption>
        <thead><tr><th scope="col">${words.stepHead}</th>${lineup.kept.map(({ title }) => html`<th scope="col">${title}</th>`)}</tr></thead>
        <tbody>
          ${Array.from({ length: most }, (_, at) => html`<tr><th scope="row">${at + 1}</th>${lineup.kept.map(({ recipe }) => html`<td>${step(recipe, at)}</td>`)}</tr>`)}
        </tbody>
      </table>
    </div>
  `;
}
