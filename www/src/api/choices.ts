/**
 * The words that options take, one type for each choice. They mirror the enums of the crate's merge
 * options, spelled in the same way; texts and lists are `Record`s over them, so that the compiler
 * finds what a new word lacks.
 */

/** Which layers go. */
export type Selection = "tail" | "similarity" | "block-influence" | "window" | "loss" | "manual";

/** How two layers are compared: `angular` is a distance, the others are similarities in [0, 1]. */
export type Measure = "npib" | "npib-knn" | "cosine" | "angular" | "cka";

/** What the layer becomes that a pair is merged into. */
export type Combination = "drop" | "average" | "difference" | "concatenate";

/** Where the weight of the earlier layer in an average comes from, unless it is a number. */
export type AlphaSource = "similarity" | "search" | "published";

/** What becomes of the gains of the norms: folded into the matrices after them, or kept. */
export type Norms = "fold" | "keep";

/** What is done about the gap that a removed layer leaves. */
export type Repair = "none" | "scale" | "linear" | "refit";
