/**
 * The words that options take, one type for each choice, generated from the crate's enums; texts
 * and lists are `Record`s over them, so that the compiler finds what a new word lacks.
 */
import type { AlphaSource as RecordedAlpha } from "../wasm/mka_lab.js";

export type { Combination, Measure, Norms, Repair, Selection } from "../wasm/mka_lab.js";

/**
 * Where the weight of the earlier layer in an average comes from, unless it is a number. Recipes
 * also say `fixed` for a number, and `equal` for what a window takes unless something else is
 * chosen.
 */
export type AlphaSource = Exclude<RecordedAlpha, "equal" | "fixed">;
