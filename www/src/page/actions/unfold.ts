/**
 * When the page is opened its panels come one after the other, so that what the user does can come in between, also on a slow
 * phone. Must not know what the panels are.
 */
import { update } from "../state/state";

/** In the order in which they come; those in sight first. */
const PANELS = ["look", "load", "manifold", "calibrate", "merge", "compare", "keep", "lineup"] as const;
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

/** Brings the next panel, until all are there. */
export function unfold(): void {
  if (allThere()) return done();
  setTimeout(() => {
    there += 1;
    update();
    unfold();
  });
}
