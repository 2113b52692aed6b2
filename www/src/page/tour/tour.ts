/** Entering, leaving and resuming the tour. Must not know what the steps are about. */
import { state, update } from "../state/state";
import { STEPS, type TourStep } from "../state/tour-steps";

const KEY = "mka-tour";

/** Enters the tour where it was left, or at its beginning. */
export function enterTour(): void {
  goToStep(state.tourLeft ?? STEPS[0] as TourStep);
}

export function goToStep(step: TourStep): void {
  state.tour = step;
  update();
}

/** The step is kept for the next time; after the last one the tour begins anew. */
export function leaveTour(done = false): void {
  keep(done ? undefined : state.tour);
  state.tour = undefined;
  update();
  document.getElementById("tour-open")?.focus();
}

export function restoreTour(): void {
  try {
    const kept = localStorage.getItem(KEY);
    state.tourLeft = STEPS.find((step) => step === kept);
  } catch {
    // Storage may be forbidden: then the tour begins at its first step.
  }
}

function keep(step: TourStep | undefined): void {
  state.tourLeft = step;
  try {
    if (step) localStorage.setItem(KEY, step);
    else localStorage.removeItem(KEY);
  } catch {
    // As above.
  }
}
