/** The whole page: its head, the panels in reading order, and the status bar. */
import { html, nothing } from "lit-html";
import { state } from "../state/state";
import { T } from "../../ui/texts";
import { isThere } from "../actions/unfold";
import { calibratePanel } from "./calibrate";
import { comparePanel } from "./compare";
import { exampleBanner } from "./example";
import { keepPanel } from "./keep";
import { lineupPanel } from "./evidence";
import { runsPanel } from "./history";
import { loadPanel } from "./load";
import { lookPanel } from "./look";
import { manifoldPanel } from "./manifold";
import { masthead, partsNav, to } from "./masthead";
import { mergePanel } from "./merge";
import { notices } from "./notices";
import type { View } from "./parts";
import { statusBar } from "./status";

export function page(): View {
  return html`
    <a class="skip" href="#load" @click=${to("load")}>${T.skip}</a>
    ${masthead()} ${notices()} ${partsNav()} ${exampleBanner()}
    <main class="sheet">
      ${lookPanel()} ${isThere("manifold") ? manifoldPanel() : nothing} ${loadPanel()}
      ${isThere("calibrate") ? calibratePanel() : nothing} ${isThere("merge") ? mergePanel() : nothing}
      ${isThere("compare") ? comparePanel() : nothing} ${isThere("keep") ? keepPanel() : nothing}
      ${isThere("runs") ? runsPanel() : nothing} ${isThere("lineup") ? lineupPanel() : nothing}
    </main>
    ${statusBar()}
    ${state.dragging ? html`<div class="drop-veil"><p>${T.load.dropHere}</p></div>` : nothing}
  `;
}
