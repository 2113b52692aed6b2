/** The whole page: header, the six panels in reading order, and the status bar. */
import { html, nothing } from "lit-html";
import { startEngine } from "../actions/load";
import { state, type Theme, update } from "../state";
import { T } from "../texts";
import { calibratePanel } from "./calibrate";
import { comparePanel } from "./compare";
import { keepPanel } from "./keep";
import { loadPanel } from "./load";
import { lookPanel } from "./look";
import { mergePanel } from "./merge";
import { selectField, trouble, type View } from "./parts";
import { statusBar } from "./status";
import { setTheme } from "../theme";

export function page(): View {
  return html`
    <a class="skip" href="#load">${T.skip}</a>
    ${masthead()}
    <main class="sheet">
      ${loadPanel()} ${calibratePanel()} ${lookPanel()} ${mergePanel()} ${comparePanel()} ${keepPanel()}
    </main>
    ${statusBar()}
    ${state.dragging ? html`<div class="drop-veil"><p>${T.load.dropHere}</p></div>` : nothing}
  `;
}

function masthead(): View {
  const { lab, job, error } = state;
  const engineText = lab
    ? T.engine.running(lab.backend, lab.adapter)
    : job?.name === "start"
      ? T.engine.starting
      : error?.place === "engine"
        ? T.engine.failed
        : T.engine.waiting;
  const engines = { auto: T.engine.auto, webgpu: T.engine.webgpu, cpu: T.engine.cpu };
  const themes = { system: T.theme.system, light: T.theme.light, dark: T.theme.dark };
  return html`
    <header class="masthead">
      <div class="name">
        <img src="./icon.svg" alt="" width="30" height="30" />
        <h1>${T.title}</h1>
        <p>${T.tagline} <b>${T.privacy}</b></p>
      </div>
      <div class="engine">
        <p class="engine-now"><span class="lamp ${lab ? "on" : ""}"></span>${engineText}</p>
        <p class="engine-why">${lab ? T.engine.reason(lab.reason) : ""}</p>
        ${trouble("engine")}
        <div class="fields">
          ${selectField(T.engine.label, state.engine, engines, (engine) => void startEngine(engine), "engine")}
          ${selectField(T.theme.label, state.theme, themes, (theme: Theme) => {
            setTheme(theme);
            update();
          })}
        </div>
      </div>
    </header>
  `;
}
