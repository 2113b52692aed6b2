/** The steps of the tour, in order, by the names that they have in the address; and what each points at, by its id. */

export const STEPS = [
  "activations",
  "distances",
  "kernel",
  "map",
  "information",
  "matrix",
  "merging",
  "failure",
  "repair",
  "evaluation",
] as const;
export type TourStep = (typeof STEPS)[number];
