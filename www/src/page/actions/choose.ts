/** Which run is on the screen. */
import { listed } from "../state/shown";
import { state, update } from "../state/state";
import { pause } from "./manifold";

/** Puts a run on the screen, by its id; undefined: what this tab has open. */
export function choose(id: string | undefined): void {
  pause();
  state.chosen = id;
  state.cell = undefined;
  state.stackSteps = undefined;
  if (state.compared === id) state.compared = undefined;
  const matrices = listed()?.results.matrices;
  const [first] = matrices?.keys() ?? [];
  if (matrices && first && !matrices.has(state.measure)) state.measure = first;
  update();
}
