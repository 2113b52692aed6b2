/** Starts the page. */
import "./style/base.css";
import "../ui/style/controls.css";
import "./style/frame.css";
import "../ui/style/sheet.css";
import "./style/example.css";
import "../ui/style/status.css";
import "../ui/style/charts.css";
import "./style/tour.css";
import "./style/forced.css";
import { render } from "lit-html";
import { loadExample } from "./actions/example";
import { drawInSight } from "../ui/charts/chart";
import { acceptDrops } from "./actions/drop";
import { followState, openLink } from "./actions/link";
import { watchParts } from "./actions/part";
import { refreshKept } from "./actions/remote";
import { keepForOffline } from "./actions/offline";
import { onUpdate, state } from "./state/state";
import { T } from "../ui/texts";
import { restoreTheme } from "./actions/theme";
import { drawTour } from "./tour/draw";
import { restoreTour } from "./tour/tour";
import { unfold } from "./actions/unfold";
import { followRuns } from "./view/history";
import { page } from "./view/page";
import { shareDone } from "./view/status";

const root = document.getElementById("page") as HTMLElement;

restoreTheme();
// What is out of sight is not laid out either (style/frame.css).
drawInSight(() => document.documentElement.removeAttribute("data-asleep"));
restoreTour();
onUpdate(() => {
  render(page(), root);
  document.title = state.job ? T.working(T.title, T.status.jobs[state.job.name], shareDone()) : T.title;
  drawTour();
  followState();
});
acceptDrops();
watchParts(root);
// Not in the task that loads the code: between many short tasks a slow phone can react.
setTimeout(() => {
  void openLink();
  unfold();
});
followRuns();
void refreshKept();
void loadExample();
// Last, so that it does not slow down the page itself.
addEventListener("load", () => void keepForOffline());
