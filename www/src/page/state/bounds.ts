/**
 * The least and the most that each number of the page may be: for its field, and for the address.
 */

export interface Bounds {
  min: number;
  max: number;
}

/**
 * The most tokens to calibrate on of the built-in texts: 22,000 of each, which has 30,000 at least.
 */
export const BUILT_IN_TOKENS = 65_536;

/** Every seed is a 32-bit number. */
const SEED = { min: 0, max: 2 ** 32 - 1 };

export const BOUNDS = {
  sequences: { min: 1, max: 1_000_000 },
  window: { min: 16, max: 8192 },
  rows: { min: 32, max: 2048 },
  seed: SEED,
  skip: { min: 0, max: 8191 },
  /** Megabytes. */
  budget: { min: 2, max: 1_000_000 },
  dimensions: { min: 1, max: 64 },
  sigma: { min: 1e-6, max: 1e6 },
  power: { min: 0.1, max: 8 },
  seeds: { min: 1, max: 5 },
  layer: { min: 0, max: 9999 },
  remove: { min: 1, max: 9999 },
  alpha: { min: 0, max: 1 },
  testSequences: { min: 1, max: 4096 },
  testWindow: { min: 2, max: 8192 },
  tokens: { min: 1, max: 2000 },
  temperature: { min: 0, max: 5 },
  writeSeed: SEED,
} as const satisfies Record<string, Bounds>;
