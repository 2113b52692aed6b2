/** The words of <mka-lab>, the element for other pages. */
import { figure } from "../format";

export const ELEMENT = {
  label: "MKA Lab",
  title: "Merging the layers of a language model",
  run: "Run it here",
  again: "Run again",
  ready: "Not run yet. It runs in this tab.",
  began: "Starting …",
  looked: "The layers are compared; none was merged.",
  done: (before: number, after: number, { dense, merged }: { dense: { perplexity: number }; merged: { perplexity: number } }) =>
    `${before} layers became ${after}; perplexity ${figure(dense.perplexity)} became ${figure(merged.perplexity)}.`,
  panels: {
    summary: "What it cost",
    similarity: "How alike the layers are",
    manifold: "The manifold of a layer",
    influence: "How much each block does",
    stack: "What became of the layers",
    perplexity: "Perplexity by depth",
    generation: "Both write on",
  },
  manifold: (layer: number) => `The manifold of layer ${layer}: a point for each token, close together where the layer treats them alike.`,
  pointAt: "Point at a token, or move with the arrow keys",
  token: ({ before, texts, after }: { before: readonly string[]; texts: readonly string[]; after: readonly string[] }, row: number) =>
    `…${before[row] ?? ""}[${texts[row] ?? ""}]${after[row] ?? ""}…`,
  groups: { other: "others", range: (from: number, to: number) => (from === to ? String(from) : `${from} to ${to}`) },
  method: "This method",
  tour: {
    summary:
      "The merged model is smaller, and it predicts worse. Perplexity says how many tokens it hesitates between at each step; KL divergence how far its predictions are from the original's; agreement how often both guess the same token. All three are measured on a text that played no part in the merge.",
    similarity:
      "Each layer's activations are drawn as a diffusion map: tokens that the layer treats alike lie close together. A cell says how much information the maps of two layers share. A bright cell next to the diagonal is a pair of neighbours that do nearly the same work: choose one, and that pair is merged.",
    manifold:
      "A point for each token of the calibration text, drawn where the layer's diffusion map puts it, in two of its eight dimensions. Move through the layers: each map is turned so that it lies over the one before it, so a point moves because the layer moved it.",
    stack:
      "The layers before, above, and after, below. Bands show which layer went into which survivor, and with which weight; a cross marks a layer that was dropped.",
    perplexity:
      "What it costs to remove one layer, two, and so on. The scale is logarithmic, and the first point is the model as it was. Choose how many layers go, and they are merged.",
    influence:
      "How far each block turns the stream that it is given, on a logarithmic scale. A block with little influence can go with little harm. It is a control: it knows nothing of what the layers share.",
    generation:
      "Both models go on from the same beginning, always with the most likely token. What the figures say of a model is one thing, what it writes another.",
  },
  back: "Back",
  next: "Next",
  stepOf: (step: number, steps: number) => `${step} of ${steps}`,
  notInDocument: "This <mka-lab> is in no document.",
  notInDocumentHint: "Put it into the page first, then run it.",
  noModel: "The attribute model names no model.",
  noModelHint: 'Give "demo", "stories260k", hub:owner/name, or the address (http or https) of a folder with a model in it.',
  noMethod: (name: string) => `There is no method ${name}.`,
  noMethodHint: (names: string) => `Methods are ${names}.`,
  noText: (address: string) => `The attribute text-src is no address: ${address}`,
  noTextHint: "Check the address, and that its server lets this page read it (CORS). Or give the text itself as text.",
  answered: (status: number) => `the server answered ${status}`,
  badMessageHint: "The messages of embed.html are described in the documentation, under Embed.",
  noEngine: (reason: string) => `The engine could not be loaded: ${reason}`,
  noEngineHint: "mka.js and the folder element/ must lie beside mka-lab.js, and the page's policy must allow them in script-src.",
};
