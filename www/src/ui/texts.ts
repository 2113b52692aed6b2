/**
 * Every text of the page and of the element: here and in texts/. Those of the element, the
 * line-up, the runs and the tour are loaded with them (texts/element.ts, texts/lineup.ts,
 * texts/runs.ts, page/tour/texts.ts). A translation is a copy of all of them.
 */
import { count } from "./format";
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
    note: "It opens this page with the model, the settings and the place where you are. Who opens it sees the finished run where that is meant, and computes other results again.",
    autorun: "Compute at once when it is opened",
    withoutFiles: "This model is not in the link: whoever opens it chooses it themselves.",
    withoutText: "Your own text is not in the link, only that it was another one: send it along.",
    close: "Close",
    wanted: (name: string) => `This link is about the model ${name}.`,
    wantedNote: (host: string) => `It comes from ${host}, which is asked for it only when you open it.`,
    ownText: "This link was made with a text of the sender's own, which is not in it. Paste that text to get the same numbers.",
    notComputed: "What this link is about is not computed yet.",
    takes: (time: string) => `Here it takes about ${time}.`,
    willTake: "The model is opened and its speed measured first.",
    compute: "Compute it",
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
    addressExample: "owner/name",
    addressHint: "owner/name on the model hub, with @revision if you like, or the https address of a folder. Its server is asked only when you press Open.",
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
      width: "Shape",
      parameters: "Parameters",
      dtype: "Stored as",
      size: "Size",
      commit: "Commit",
      memory: "Expected memory",
    },
    shape: (width: number, heads: number) => `${width} wide, ${heads} heads`,
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
    calibratedOn: (own: boolean, sequences: number, window: number, seed: number) =>
      `${own ? "own text" : "the built-in mix"}, ${sequences} sequences of ${window} tokens, seed ${seed}`,
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
    leftOfStep: (seconds: string) => `${seconds} left of this step`,
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
      restore: "Making it again",
      lineup: "Running the line-up",
    },
    /** Names of the steps that the engine reports. */
    steps: {
      open: "reading headers",
      download: "keeping all of it",
      estimate: "running a sample through one block",
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

  error: { kinds: ERROR_KINDS, close: "Close", unknown: "Something went wrong that was not expected.", unknownHint: "Try the step again; reload the page if it stays." },
  warning: "Note",
};
