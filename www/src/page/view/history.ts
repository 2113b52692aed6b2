/** Panel: the runs that were made. Its content is loaded with the first of them. */
import { html } from "lit-html";
import { onJobEnd } from "../actions/job";
import { anyKept } from "../run/store";
import { state, update } from "../state/state";
import { T } from "../../ui/texts";
import { button, panel, type View } from "./parts";

type List = typeof import("./runs");
let list: List | undefined;
let loading: Promise<List> | undefined;

/** The list, loaded once; what was kept comes with it. */
export function loadRuns(): Promise<List> {
  loading ??= import("./runs").then(async (loaded) => {
    await loaded.restoreRuns();
    list = loaded;
    update();
    return loaded;
  });
  loading.catch(() => (loading = undefined)); // the next one tries again
  return loading;
}

/** Takes each run into the list as it comes, and shows those that were kept. */
export function followRuns(): void {
  onJobEnd(() => {
    if (state.calibration || state.merged) void loadRuns().then(({ remember }) => remember());
  });
  if (anyKept()) void loadRuns();
}

export function runsPanel(): View {
  const { title, lead, open } = T.runs;
  return panel("runs", undefined, title, lead, list ? list.runsList() : html`<div class="row">${button(open, loadRuns, { off: false, id: "open-runs" })}</div>`);
}
