/**
 * The steps of the tour, in order, by their names in the address, and the parts of the page that
 * they are about.
 */

/** What each step is about, by ids: the first that is on the page is shown. */
export const TARGETS = {
  activations: ["run-calibrate", "calibrate"],
  distances: ["manifold", "look"],
  kernel: ["sigma", "look"],
  map: ["manifold", "look"],
  information: ["measure", "look"],
  matrix: ["map", "look"],
  merging: ["stack", "merge"],
  failure: ["preset", "merge"],
  repair: ["repair", "merge"],
  evaluation: ["before-after", "compare"],
} as const;

export type TourStep = keyof typeof TARGETS;
export const STEPS = Object.keys(TARGETS) as TourStep[];
