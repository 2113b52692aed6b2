/** Draws the tour's panel, which is loaded with its words when the tour is first entered. */
import { state, update } from "../state/state";
import { allThere } from "../actions/unfold";

let panel: Promise<typeof import("./panel")> | undefined;

/** Called after the page was drawn. */
export function drawTour(): void {
  if ((!state.tour && !panel) || !allThere()) return;
  panel ??= import("./panel").catch((error: unknown) => {
    panel = undefined; // the next step tries again
    throw error;
  });
  void panel.then(({ drawPanel }) => drawPanel(), () => {
    state.tour = undefined;
    update();
  });
}
