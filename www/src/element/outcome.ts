/**
 * What <mka-lab> gives to the page around it: its status, its progress and its result. Types only.
 */
import type { Comparison, LayerMatrix, Progress, Recipe, Summary } from "../api/types";

/** What `result` carries in its `detail`. */
export interface MkaLabResult {
  /** The merged model where something was merged, else the model. */
  summary: Summary;
  /** NPIB of each two layers. */
  similarity: LayerMatrix;
  /** What was done; null where nothing was merged. */
  recipe: Recipe | null;
  /** Both models on the built-in held-out text; null where nothing was merged. */
  evaluation: Comparison | null;
}

/** What `progress` carries in its `detail`: what is being done, and how far it is. */
export interface MkaLabProgress extends Partial<Progress> {
  job: string;
}

export type MkaLabStatus = "idle" | "running" | "done" | "failed";
