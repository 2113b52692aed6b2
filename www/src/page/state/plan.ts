/**
 * How long a job of several steps has left: by what each step is expected to take, and by what the
 * steps that have ended took. Pure.
 */

/** Seconds of each step, in order. */
export type Steps = readonly { name: string; seconds: number }[];

export interface Plan {
  steps: Steps;
  /** The running one. */
  at: number;
  /** When it began, milliseconds. */
  begun: number;
  /** Seconds that those before it took. */
  took: number;
}

/** Right within a factor of so much, or the expectation is dropped. */
const MOST_OFF = 8;

export function begin(steps: Steps, now: number): Plan {
  return { steps, at: 0, begun: now, took: 0 };
}

/** The step of this name runs now; steps that are left out took no time. */
export function advance(plan: Plan, name: string, now: number): Plan {
  const at = plan.steps.findIndex((step, at) => at >= plan.at && step.name === name);
  if (at < 0 || at === plan.at) return plan;
  return { ...plan, at, begun: now, took: plan.took + (now - plan.begun) / 1000 };
}

/** `ofStep`: what the running step itself says of what it does at the moment. */
export function secondsLeft({ steps, at, begun, took }: Plan, ofStep: number | undefined, now: number): number {
  const sum = (some: Steps): number => some.reduce((sum, { seconds }) => sum + seconds, 0);
  const before = sum(steps.slice(0, at));
  // This machine may be faster or slower than expected, and so it is in what comes.
  const pace = before > 0 ? Math.min(MOST_OFF, Math.max(1 / MOST_OFF, took / before)) : 1;
  const running = (steps[at]?.seconds ?? 0) * pace - (now - begun) / 1000;
  return Math.max(0, running, ofStep ?? 0) + sum(steps.slice(at + 1)) * pace;
}
