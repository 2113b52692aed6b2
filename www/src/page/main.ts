/** Starts the page. */
import "./style/base.css";
import "./style/controls.css";
import "./style/sheet.css";
import { render } from "lit-html";
import { startEngine } from "./actions/load";
import { drawCharts } from "./charts/draw";
import { acceptDrops } from "./drop";
import { onUpdate, update } from "./state";
import { restoreTheme } from "./theme";
import { page } from "./view/page";

const root = document.getElementById("page") as HTMLElement;

restoreTheme();
onUpdate(() => {
  render(page(), root);
  void drawCharts();
});
new ResizeObserver(() => void drawCharts()).observe(root);
acceptDrops();
update();
void startEngine("auto");
