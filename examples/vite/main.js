// The element, and the interface beside it. Vite copies the worker, the wasm file, the texts and the built-in models.
import { builtInModel, builtInTexts, Lab } from "mka-lab";
import "mka-lab/element";

const lab = await Lab.create();
const model = await lab.open(await builtInModel("demo"));
const calibration = await model.calibrate({ sequences: 8 });
const merged = await model.merge({ calibration, preset: "mka", remove: 2 });
const [fables] = await builtInTexts();
const { dense, merged: after } = await merged.evaluate({ text: fables.slice(-20_000), sequences: 4 });
document.querySelector("#said").textContent =
  `${model.summary.layers} layers, perplexity ${dense.perplexity.toFixed(2)}\n` +
  `${merged.summary.layers} layers, perplexity ${after.perplexity.toFixed(2)}`;
lab.close();
