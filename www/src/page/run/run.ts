/** A run as it is listed and kept: what it was made of, and what came of it. Data only. */
import type { Recipe } from "#mka";
import type { Made } from "./file";
import type { Results } from "./results";
import type { Settings } from "./settings";

export interface Run {
  id: string;
  /** As the user calls it. */
  name: string;
  /** Milliseconds since 1970. */
  at: number;
  made: Made;
  settings: Settings;
  /** What the method is called; undefined: nothing was merged. */
  method: string | undefined;
  /**
   * Where the model comes from, as an address has it; undefined where it can't be named, as with
   * files.
   */
  address: string | undefined;
  /** Texts of the user's own, which are not kept: one was calibrated on, one was measured on. */
  own: { calibration: boolean; measure: boolean };
  /** Makes the merged model again, from the model. */
  recipe: Recipe | undefined;
  results: Results;
}

/** The precomputed run's id. */
export const FINISHED = "finished";
