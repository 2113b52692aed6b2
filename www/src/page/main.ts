/** Starts the page. */
import "./style/base.css";
import "./style/controls.css";
import "./style/frame.css";
import "./style/sheet.css";
import { render } from "lit-html";
import { drawCharts } from "./charts/draw";
import { acceptDrops } from "./drop";
import { watchParts } from "./part";
import { onUpdate, state, update } from "./state";
import { T } from "./texts";
import { restoreTheme } from "./theme";
import { page } from "./view/page";
import { shareDone } from "./view/status";

const root = document.getElementById("page") as HTMLElement;

restoreTheme();
onUpdate(() => {
  render(page(), root);
  document.title = state.job ? T.working(T.title, T.status.jobs[state.job.name], shareDone()) : T.title;
  void drawCharts();
});
new ResizeObserver(() => void drawCharts()).observe(root);
acceptDrops();
watchParts(root);
update();
