/** All that decides the numbers of a run. Data only; must not know the page or its results. */
import type { Measure } from "#mka";

export interface Settings {
  calibrate: { sequences: number; window: number; rows: number; seed: number; skip: number };
  /** The diffusion map; without a `sigma` its kernel is as wide as the median distance. */
  map: { dimensions: number; sigma: number | undefined; power: number };
  /** Draws of rows that each measure is repeated over; above 1 there are error bars. */
  seeds: number;
  /** The measure that the map of the layers shows. */
  measure: Measure;
  /** Name of a preset, or "" for one's own choice. */
  preset: string;
  /** How many layers go. */
  remove: number;
  compare: { sequences: number; window: number };
  write: { prompt: string; tokens: number; temperature: number; seed: number };
  /** Which named methods are measured at every depth, and how far down. */
  depth: { methods: string[]; most: number };
}
