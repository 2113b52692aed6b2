/**
 * MKA Lab's programming interface: the page uses nothing else.
 *
 * ```js
 * import { Lab } from "./mka.js";
 * const lab = await Lab.create({ backend: "auto" });
 * const model = await lab.open("models/demo/");
 * const calibration = await model.calibrate();
 * const merged = await model.merge({ preset: "mka", calibration, remove: 2 });
 * const files = await merged.files();
 * ```
 */
export { builtInModel, type BuiltIn, builtInTexts } from "./builtin";
export { Calibration } from "./calibration";
export { MkaError, type MkaErrorCode } from "./error";
export { Lab } from "./lab";
export { MergedModel, Model, type MergeOptions } from "./model";
export { HUB, type ModelFiles } from "./source";
export { forget, stored } from "./stored";
export type * from "./types";
