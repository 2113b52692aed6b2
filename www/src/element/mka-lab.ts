/**
 * <mka-lab>: MKA Lab as one tag. This module is small and is all that a page loads at first; the
 * engine, its wasm file and the charts are loaded when the element is asked to run, or, with
 * `autorun`, when it comes into view.
 */
import { render } from "lit-html";
import { MkaError } from "../api/error";
import type { ModelFiles } from "../api/source";
import { T } from "../ui/texts";
import { ELEMENT } from "../ui/texts/element";
import { addressOf, modelOf, type Panel, panelsOf, removeOf, seedOf, type Theme, themeOf } from "./attributes";
import type { Pictures } from "./pictures";
import { Run } from "./running";
import type { MkaLabProgress, MkaLabResult, MkaLabStatus } from "./outcome";
import { sheet } from "./style";
import { blank, type Shown, view } from "./view";

export type { MkaError };
export type { MkaLabProgress, MkaLabResult, MkaLabStatus };
export type { EmbedFile, EmbedReply, EmbedRequest } from "./messages";
export type { Panel, Theme };

/** The events of the element; none of them bubbles. */
export interface MkaLabEvents {
  progress: CustomEvent<MkaLabProgress>;
  result: CustomEvent<MkaLabResult>;
  error: CustomEvent<MkaError>;
}

/** A change of these needs another run; a change of the others only another look. */
const RUNS = ["model", "text", "text-src", "remove", "method", "seed"];

/** How far below the window an element with `autorun` starts its run. */
const AHEAD = "200px";

export class MkaLabElement extends HTMLElement {
  static readonly observedAttributes = [...RUNS, "panels", "theme", "tour", "autorun"];

  readonly #root = this.attachShadow({ mode: "open" });
  readonly #shown: Shown = blank();
  readonly #run = new Run();
  readonly #seen = new IntersectionObserver((entries) => {
    this.#inView = entries.at(-1)?.isIntersecting ?? false;
    this.#begin();
  }, { rootMargin: AHEAD });
  #inView = false;
  /** A run is needed: nothing was run yet, or something that matters has changed since. */
  #due = true;
  #changed = false;
  #files: ModelFiles | undefined;
  #pictures: Pictures | undefined;

  connectedCallback(): void {
    this.#root.adoptedStyleSheets = [sheet()];
    this.#seen.observe(this);
    this.#update();
  }

  /** Ends what runs and frees everything, unless the element was only moved. */
  disconnectedCallback(): void {
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#seen.disconnect();
      this.#inView = false;
      this.#forget();
      void this.#run.close();
    });
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (before === after) return;
    if (name === "model") this.#files = undefined;
    if (RUNS.includes(name)) {
      this.#shown.picked = [];
      this.#forget();
    }
    // A panel may show what the last run did not compute.
    if (name === "panels" && this.panels.some((panel) => !this.#shown.panels.includes(panel))) this.#due = true;
    if (this.#changed || !this.isConnected) return;
    this.#changed = true; // several changes in a row are one
    queueMicrotask(() => {
      this.#changed = false;
      this.#update();
      this.#begin();
    });
  }

  /** Name of a built-in model, or the address of a folder. */
  get model(): string {
    return this.getAttribute("model") ?? "demo";
  }
  set model(value: string) {
    this.setAttribute("model", value);
  }

  /** A text to calibrate on; "" stands for the built-in mix. */
  get text(): string {
    return this.getAttribute("text") ?? "";
  }
  set text(value: string) {
    this.setAttribute("text", value);
  }

  /** The address of a text to calibrate on. */
  get textSrc(): string {
    return this.getAttribute("text-src") ?? "";
  }
  set textSrc(value: string) {
    this.setAttribute("text-src", value);
  }

  /** What is shown, in the order in which it is shown. */
  get panels(): readonly Panel[] {
    return panelsOf(this.getAttribute("panels"));
  }
  set panels(value: readonly Panel[]) {
    this.setAttribute("panels", value.join(" "));
  }

  /**
   * The attribute `remove`, how many layers are removed; undefined: a fifth of them. (Every element
   * has a method `remove()`.)
   */
  get removeLayers(): number | undefined {
    return removeOf(this.getAttribute("remove"));
  }
  set removeLayers(value: number | undefined) {
    if (value === undefined) this.removeAttribute("remove");
    else this.setAttribute("remove", String(value));
  }

  /** Name of a method, one of `lab.presets`; "" stands for the first. */
  get method(): string {
    return this.getAttribute("method")?.trim() ?? "";
  }
  set method(value: string) {
    this.setAttribute("method", value);
  }

  /** Seed of the draw of rows, and of the generated text. */
  get seed(): number {
    return seedOf(this.getAttribute("seed"));
  }
  set seed(value: number) {
    this.setAttribute("seed", String(value));
  }

  /** `light`, `dark`, `system`, or "" for the colours of the page around the element. */
  get theme(): Theme {
    return themeOf(this.getAttribute("theme"));
  }
  set theme(value: Theme) {
    this.setAttribute("theme", value);
  }

  /** Whether a panel at a time is explained. */
  get tour(): boolean {
    return this.hasAttribute("tour");
  }
  set tour(value: boolean) {
    this.toggleAttribute("tour", value);
  }

  /** Whether it runs as soon as it is in view. */
  get autorun(): boolean {
    return this.hasAttribute("autorun");
  }
  set autorun(value: boolean) {
    this.toggleAttribute("autorun", value);
  }

  /** Files of a model that stand in for `model`, until that is set anew. */
  get files(): ModelFiles | undefined {
    return this.#files;
  }
  set files(value: ModelFiles | undefined) {
    this.#files = value;
    this.#shown.picked = [];
    this.#forget();
    this.#update();
    this.#begin();
  }

  get status(): MkaLabStatus {
    return this.#shown.status;
  }

  /** What the last run gave. */
  get result(): MkaLabResult | undefined {
    const { before, after, similarity, recipe, evaluation } = this.#shown.findings;
    const summary = after ?? before;
    if (this.status !== "done" || !summary || !similarity) return undefined;
    return { summary, similarity, recipe: recipe ?? null, evaluation: evaluation ?? null };
  }

  /** What the last run failed with. */
  get error(): MkaError | undefined {
    return this.#shown.error;
  }

  /**
   * Runs everything. Rejects with an MkaError, or with an AbortError when it is cancelled or
   * something that matters changes.
   */
  async run(): Promise<MkaLabResult> {
    if (!this.isConnected) throw new MkaError("bad-argument", ELEMENT.notInDocument, ELEMENT.notInDocumentHint);
    this.#due = false;
    const base = this.ownerDocument.baseURI;
    const shown = this.#shown;
    Object.assign(shown, { status: "running", error: undefined, news: ELEMENT.began, findings: {}, cell: undefined });
    const started = this.#run.start(
      {
        model: modelOf(this.getAttribute("model"), base),
        files: this.#files,
        text: this.text || undefined,
        textSource: this.textSrc ? (addressOf(this.textSrc, base) ?? this.textSrc) : undefined,
        method: this.method,
        remove: this.removeLayers,
        picked: shown.picked,
        seed: this.seed,
        panels: this.panels,
      },
      {
        onProgress: (job, progress) => {
          if (shown.job !== job) shown.news = `${T.status.jobs[job]} …`;
          Object.assign(shown, { job, progress });
          this.#update();
          this.#dispatch("progress", { job, ...progress });
        },
        onFound: (found) => {
          Object.assign(shown.findings, found);
          this.#update();
        },
      },
    );
    this.#update();
    try {
      await started;
    } catch (cause) {
      if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
      const error = cause as MkaError;
      Object.assign(shown, { status: "failed", job: undefined, progress: undefined, error, news: "" });
      this.#update();
      this.#dispatch("error", error);
      throw error;
    }
    const { before, after, evaluation } = shown.findings;
    Object.assign(shown, { status: "done", job: undefined, progress: undefined });
    shown.news = after && evaluation ? ELEMENT.done(before?.layers ?? 0, after.layers, evaluation) : ELEMENT.looked;
    this.#update();
    const result = this.result as MkaLabResult;
    this.#dispatch("result", result);
    return result;
  }

  /** Ends what runs; what was found until then stays in sight. */
  cancel(): void {
    if (this.status !== "running") return;
    this.#run.cancel();
    Object.assign(this.#shown, { status: "idle", job: undefined, progress: undefined, news: T.status.cancelled });
    this.#update();
  }

  /** Starts a due run, if it may. A failure is shown, and dispatched as `error`. */
  #begin(): void {
    if (this.autorun && this.#inView && this.#due) this.#ask();
  }

  #ask(): void {
    this.run().catch(() => {});
  }

  /** Ends what runs; what was found does not hold any more. */
  #forget(): void {
    this.#run.cancel();
    const { picked, tour, layer, fallback } = this.#shown;
    Object.assign(this.#shown, blank(), { picked, tour, layer, fallback });
    this.#due = true;
  }

  #dispatch<Name extends keyof MkaLabEvents>(name: Name, detail: MkaLabEvents[Name]["detail"]): void {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #update(): void {
    const shown = this.#shown;
    shown.panels = this.panels;
    shown.touring = this.tour;
    render(
      view(shown, {
        run: () => this.#ask(),
        cancel: () => this.cancel(),
        step: (tour) => this.#change({ tour }),
        showLayer: (layer) => this.#change({ layer }),
        remove: (layers) => this.#removeSo(layers),
        slotted: ({ target }) => {
          const nodes = (target as HTMLSlotElement).assignedNodes();
          this.#change({ fallback: nodes.some((node) => node instanceof Element || node.textContent?.trim()) });
        },
      }),
      this.#root,
    );
    void this.#draw();
  }

  #removeSo(layers: number): void {
    this.removeLayers = layers;
    this.#ask();
  }

  #change(change: Partial<Shown>): void {
    Object.assign(this.#shown, change);
    this.#update();
  }

  /** The pictures; their module is loaded when there is something to draw. */
  async #draw(): Promise<void> {
    const shown = this.#shown;
    if (!this.#pictures && !shown.findings.before) return;
    try {
      this.#pictures ??= await this.#makePictures();
    } catch {
      return; // the tables have the same values; the next change tries again
    }
    this.#pictures.show(shown);
  }

  async #makePictures(): Promise<Pictures> {
    const { Pictures } = await import("./pictures");
    return (this.#pictures ??= new Pictures(this.#root, {
      onCell: (cell) => this.#change({ cell }),
      onLit: (lit) => this.#change({ lit }),
      onPick: (boundary) => {
        const { picked } = this.#shown;
        this.#shown.picked = picked.includes(boundary) ? picked.filter((other) => other !== boundary) : [...picked, boundary];
        this.#ask();
      },
      onRemoved: (removed) => this.#removeSo(removed),
    }));
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "mka-lab": MkaLabElement;
  }
}

// A page may load this module twice, from two addresses.
if (!customElements.get("mka-lab")) customElements.define("mka-lab", MkaLabElement);
