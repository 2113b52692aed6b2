/**
 * When the page is opened its panels are added one after the other, so that it can react to the
 * user in between, also on a slow phone. Must not know what the panels are.
 */
import { update } from "../state/state";

/** In the order in which they are added; those in sight first. */
const PANELS = ["look", "load", "manifold", "calibrate", "merge", "compare", "keep", "runs", "lineup"] as const;
/** So many are there from the first moment. */
let there = 2;
let done: () => void = () => {};

/** All panels are there. */
export const unfolded = new Promise<void>((resolve) => (done = resolve));

export function isThere(panel: (typeof PANELS)[number]): boolean {
  return PANELS.indexOf(panel) < there;
}

export function allThere(): boolean {
  return there === PANELS.length;
}

/** Adds the next panel, until all are there. */
export function unfold(): void {
  if (allThere()) return done();
  setTimeout(() => {
    there += 1;
    update();
    unfold();
  });
}
