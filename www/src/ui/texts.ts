/**
 * Every text of the page and of the element: here and in texts/. Those of the tour are loaded with
 * it (page/tour/texts.ts). A translation is a copy of all of them.
 */
import { count, figure } from "./format";
import { ERROR_KINDS } from "./texts/errors";
import { MERGING } from "./texts/merging";
import { PICTURES } from "./texts/pictures";

export const T = {
  title: "MKA Lab",
  tagline: "Find out which layers of a language model do the same work, merge them, see what that cost, keep the smaller model.",
  /** The window's title while something runs. */
  working: (title: string, job: string, share: number | undefined) =>
    `${share === undefined ? "" : `${Math.floor(share * 100)} % `}${job} – ${title}`,
  privacy: "Everything runs in this tab. Nothing is uploaded.",
  skip: "Skip to the model",
  parts: "Parts of the page",
  none: "—",

  tour: {
    enter: "Take the tour",
    resume: (step: number, steps: number) => `Resume the tour at step ${step} of ${steps}`,
    toPanel: "Back to the tour",
  },

  link: {
    share: "Share this state",
    label: "Link to this state",
    copy: "Copy the link",
    copied: "Copied.",
    selected: "The link is selected: copy it.",
    hub: "the model hub",
    note: "It opens this page with the model, the settings and the place where you are. Results are computed again by whoever opens it.",
    autorun: "Compute at once when it is opened",
    withoutFiles: "This model is not in the link: whoever opens it chooses it themselves.",
    withoutText: "Your own text is not in the link, only that it was another one: send it along.",
    close: "Close",
    wanted: (name: string) => `This link is about the model ${name}.`,
    wantedNote: (host: string) => `It comes from ${host}, which is asked for it only when you open it.`,
    ownText: "This link was made with a text of the sender's own, which is not in it. Paste that text to get the same numbers.",
    open: "Open it",
    notNow: "Not now",
    corrected: "Some of what the address says can't be used:",
    taken: (name: string, given: string, taken: string) => `${name}=${given} became ${taken}`,
    ignored: (name: string, given: string) => `${name}=${given} was left out`,
    more: (n: number) => `and ${n} more`,
  },

  engine: {
    label: "Engine",
    /** The engine gives its reason as a part of a sentence. */
    reason: (reason: string) => `${reason.charAt(0).toUpperCase()}${reason.slice(1)}${/[.!?]$/.test(reason) ? "" : "."}`,
    auto: "Automatic",
    webgpu: "WebGPU",
    cpu: "CPU",
    starting: "The engine is starting …",
    running: (backend: string, adapter: string) => `${backend === "webgpu" ? "WebGPU" : "CPU"}: ${adapter}`,
    waiting: "The engine starts when it is needed.",
    failed: "No engine runs.",
  },
  theme: { label: "Colours", themes: { system: "System", light: "Light", dark: "Dark" } },

  load: {
    title: "Load",
    lead: "A model in Hugging Face layout: config.json, safetensors and tokenizer.json. Drop its folder anywhere on this page.",
    folder: "Choose a folder",
    files: "Choose files",
    builtIn: "Or take one that is built in",
    models: [
      {
        id: "demo",
        name: "Fairy tales",
        facts: "12 layers, 2.4 M parameters, 4.9 MB",
        note: "Trained for this page. Its inner layers are nearly redundant.",
      },
      {
        id: "stories260k",
        name: "stories260K",
        facts: "5 layers, 0.26 M parameters, 1.0 MB",
        note: "Andrej Karpathy's smallest storyteller (MIT).",
      },
    ],
    address: "Or one from the network",
    addressLabel: "Name on the hub, or address of a folder",
    addressExample: "hub:owner/name",
    addressHint: "hub:owner/name, with @revision if you like, or the https address of a folder. Its server is asked only when you press Open.",
    keep: "Keep it in this browser, to work without a network",
    more: "Gated models and mirrors",
    token: "Access token",
    hub: "Address of the hub",
    notes: {
      token: "For models whose licence you had to accept. It stays in this tab's memory, goes to the hub only, and is gone after a reload.",
      hub: "A mirror, if you use one. Empty: the usual hub.",
    },
    transfer: (amount: string, rate: string, left: string) =>
      `From the network: ${[amount, `${rate}/s`, left && `${left} left`].filter(Boolean).join(", ")}`,
    download: "Download all of it, for use without a network",
    kept: {
      title: "Kept in this browser",
      size: (kept: string, total: string) => (total ? `${kept} of ${total}` : `${kept}, complete`),
      open: "open now",
      openLabel: "Open",
      delete: "Delete",
      deleteAll: "Delete all",
      total: (all: string, quota: string) => `${all} in all${quota && `; the browser allows ${quota}`}.`,
    },
    open: "Open",
    dropHere: "Let go to open this model",
    facts: {
      name: "Model",
      family: "Family",
      layers: "Layers",
      width: "Width × heads",
      parameters: "Parameters",
      dtype: "Stored as",
      size: "Size",
      commit: "Commit",
      memory: "Expected memory",
    },
    tied: (dtype: string, tied: boolean) => (tied ? `${dtype}, tied head` : dtype),
    folderName: "Your files",
  },

  calibrate: {
    title: "Calibrate",
    lead: "A text runs through the model once. What each layer makes of it, at a few hundred tokens, is what the layers are compared by.",
    text: "Text",
    builtIn: "Built-in mix",
    own: "My own",
    builtInNote: "Fables, drama and natural history in turn, all public domain, from the start of each text. What a merge fits anew is fitted to this text: for a model that reads another kind, take that.",
    placeholder: "Paste a text here, or drop a .txt file.",
    file: "Choose a text file",
    ownLabel: "Calibration text",
    sequences: "Sequences",
    window: "Tokens each",
    rows: "Rows kept",
    seed: "Seed",
    skip: "First tokens left out",
    more: "More",
    run: "Calibrate",
    again: "Calibrate again",
    done: (rows: number, tokens: number, sequences: number) =>
      `${count(rows)} rows from ${count(tokens)} tokens in ${count(sequences)} sequences.`,
    notYet: "Not calibrated yet.",
  },

  forecast: {
    ask: "How long will it take?",
    expected: (calibrate: string, merge: string, measure: string, memory: string) =>
      `Expected: ${calibrate} to calibrate, ${merge} to average a pair, ${measure} to measure the model on as many tokens; up to ${memory} of memory.`,
    trials: (time: string | undefined) =>
      `${time ? `Expected: ${time} to try pairs, merge and fit.` : "Pairs are tried, merged and fitted."} A method that tries nothing, such as MKA, takes a fraction of that, and costs more of the model.`,
    again: (bytes: string) => `${bytes} of weights do not fit and are read anew in each pass.`,
    budget: "Weights in memory, MB",
    budgetNote: "As much as this machine seems to have room for. More is faster where the whole model fits; it is halved when memory runs out.",
  },

  ...PICTURES,
  ...MERGING,

  status: {
    ready: "Ready.",
    needModel: "Load a model to begin.",
    needMerge: "Merge first.",
    busy: "Something else is running. Wait for it, or cancel it.",
    failed: "Something went wrong: see what, and what to do.",
    cancel: "Cancel",
    cancelled: "Cancelled.",
    rate: (bytes: string) => `${bytes}/s`,
    left: (seconds: string) => `${seconds} left`,
    memory: (engine: string, peak: string) => `Engine memory ${engine}, peak ${peak}`,
    /** The news when a job is done. */
    done: {
      open: (name: string, layers: number, size: string) => `${name} is open: ${layers} layers, ${size}. Next: calibrate.`,
      download: "All of it is kept: it works without a network now.",
      forget: "Deleted.",
      look: "The map is there. Next: merge.",
      example: (agree: boolean) =>
        agree ? "Computed here, and the numbers agree." : "Computed here; not all numbers agree: see below the headline.",
      depth: "Every depth is measured.",
      merge: (layers: number, size: string) => `Merged: ${layers} layers, ${size}.`,
      compare: (before: string, after: string) => `Perplexity ${before} before, ${after} after.`,
      write: "Both models have written.",
      keep: "Saved.",
      lineup: "Done. The results are in the line-up.",
    },
    jobs: {
      start: "Starting the engine",
      open: "Opening the model",
      download: "Downloading",
      forget: "Deleting",
      forecast: "Measuring the speed",
      calibrate: "Calibrating",
      look: "Comparing the layers",
      example: "Running it here",
      depth: "Measuring every depth",
      merge: "Merging",
      compare: "Measuring",
      write: "Writing",
      keep: "Packing",
      lineup: "Running the line-up",
    },
    /** Names of the steps that the engine reports. */
    steps: {
      open: "reading headers",
      download: "keeping all of it",
      calibrate: "running the text through the blocks",
      embed: "drawing each layer's diffusion map",
      similarity: "comparing layers",
      depth: "merging and measuring",
      merge: "computing merged tensors",
      evaluate: "reading the held-out text",
      repair: "repairing the gap",
      refit: "fitting the later blocks anew",
      choose: "trying candidates",
      choice: "answering questions",
      cloze: "completing facts",
      generate: "writing",
      write: "putting the files together",
      save: "writing files",
    } as Record<string, string>,
  },

  /** <mka-lab>, the element for other pages. */
  element: {
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
  },

  error: { kinds: ERROR_KINDS, close: "Close", unknown: "Something went wrong that was not expected.", unknownHint: "Try the step again; reload the page if it stays." },
  warning: "Note",
};
