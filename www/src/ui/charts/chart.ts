/**
 * What all pictures have in common. A picture is made once; it is drawn anew when its input or its
 * width has changed, and keeps the focus where it is. Pictures must not know the page, only data
 * and options.
 */
import { T } from "../texts";

export interface Chart<Input> {
  /** To be put into a page. It takes the width that it is given, and the height that it needs. */
  readonly element: HTMLElement;
  /** Shows something else; `undefined` empties it. Cheap where nothing has changed. */
  show(input: Input | undefined): void;
  /**
   * Waits until the input is drawn, also out of sight; ends at once where there is nothing to draw,
   * or no room.
   */
  ready(): Promise<void>;
}

/**
 * `draw` may find `place` emptied since it last drew there. The properties of `input` are compared
 * one by one: arrays and functions must stay the same objects while they mean the same.
 */
export function chart<Input extends object>(
  kind: string,
  draw: (place: HTMLElement, input: Input, width: number) => void | Promise<void>,
): Chart<Input> {
  const element = document.createElement("div");
  element.className = `chart ${kind} empty`;
  let wanted: Input | undefined;
  let drawn: { input: Input; width: number } | undefined;
  let busy = false;
  /** As of the last layout: reading it while the page changes would cost a layout per picture. */
  let width = 0;
  let near = false;

  const redraw = async (): Promise<void> => {
    if (busy || !wanted || width === 0 || (drawn && drawn.width === width && same(drawn.input, wanted))) return;
    if (!near && !awake) {
      sleepers.add(redraw);
      return;
    }
    busy = true;
    if (!drawn) await yieldNow();
    const input = wanted as Input | undefined; // it may have been emptied meanwhile
    if (!input) {
      busy = false;
      return clear();
    }
    const now = { input, width };
    try {
      await draw(element, now.input, now.width);
      drawn = now;
      element.classList.remove("empty");
    } catch (error) {
      drawn = undefined;
      if (wanted) {
        wanted = undefined; // the next `show` tries again
        element.textContent = T.picture.failed(error instanceof Error ? error.message : String(error));
        return;
      }
    } finally {
      busy = false;
    }
    if (!wanted) clear();
    else if (wanted !== now.input) void redraw(); // what came in between
    // Not at once: a picture that changes its own width must not stop the page.
    else requestAnimationFrame(() => void redraw());
  };
  const clear = (): void => {
    element.replaceChildren();
    element.classList.add("empty"); // it keeps the room of the picture
    drawn = undefined;
  };
  const look = (): void => {
    // What the browser skips would be laid out for it; it is far from sight.
    if (!element.checkVisibility({ contentVisibilityAuto: true })) return;
    width = element.clientWidth;
    near ||= width > 0 && isNear(element);
  };
  new ResizeObserver(() => {
    width = element.clientWidth;
    void redraw();
  }).observe(element);
  const sight = new IntersectionObserver((entries) => {
    // All of them: on a busy machine "out of sight" and "in sight" arrive in one call.
    if (!entries.some((entry) => entry.isIntersecting)) return;
    near = true;
    sight.disconnect();
    void redraw();
  }, { rootMargin: `${100 * NEAR}%` });
  sight.observe(element);
  return {
    element,
    show(input) {
      wanted = input;
      if (!input) return busy ? undefined : clear();
      if (width === 0 || !near) lookSoon(look, redraw);
      void redraw();
    },
    async ready() {
      near = true;
      void redraw();
      while (wanted && width > 0 && !(drawn && same(drawn.input, wanted))) {
        await new Promise((resolve) => setTimeout(resolve, 16));
      }
    },
  };
}

/** Of a window's height: pictures so far out of sight are drawn with those in sight. */
const NEAR = 0.1;

function isNear(element: Element): boolean {
  const { top, bottom } = element.getBoundingClientRect();
  return top < innerHeight * (1 + NEAR) && bottom > -innerHeight * NEAR;
}

/** Pictures of which it is not known yet whether they have room and are in sight. */
const looking = new Map<() => void, () => Promise<void>>();

/**
 * Looks, and redraws then; all at once, so that it costs one layout. Observers tell the same, but
 * with a frame, which comes late on a busy machine, and not at all in a tab in the background.
 */
function lookSoon(look: () => void, redraw: () => Promise<void>): void {
  if (looking.size === 0) {
    setTimeout(() => {
      const all = [...looking];
      looking.clear();
      for (const [look] of all) look();
      for (const [, redraw] of all) void redraw();
    });
  }
  looking.set(look, redraw);
}

/** Pictures out of sight are drawn too. */
let awake = true;
const sleepers = new Set<() => Promise<void>>();

/** Until the user does anything, only pictures in sight are drawn: the page opens faster. */
export function drawInSight(woken: () => void): void {
  awake = false;
  const kinds = ["pointerdown", "keydown", "wheel", "touchstart", "scroll"];
  const wake = (): void => {
    awake = true;
    for (const kind of kinds) removeEventListener(kind, wake, true);
    woken();
    for (const redraw of sleepers) void redraw();
    sleepers.clear();
  };
  for (const kind of kinds) addEventListener(kind, wake, { capture: true, passive: true });
}

let queue: Promise<void> = Promise.resolve();

/**
 * Yields between pictures, which are drawn one after the other: the user's input comes in between.
 */
function yieldNow(): Promise<void> {
  queue = queue.then(() => new Promise((resolve) => setTimeout(resolve)));
  return queue;
}

function same<T extends object>(a: T, b: T): boolean {
  const names = Object.keys(a) as (keyof T)[];
  return names.length === Object.keys(b).length && names.every((name) => Object.is(a[name], b[name]));
}

let library: Promise<typeof import("@observablehq/plot")> | undefined;

/** Observable Plot, loaded when the first picture needs it. */
export function plot(): Promise<typeof import("@observablehq/plot")> {
  library ??= import("@observablehq/plot").catch((error: unknown) => {
    library = undefined; // the next picture tries again
    throw error;
  });
  return library;
}

/** The element that has the focus, also inside of a shadow tree. */
export function focusNear(element: Element): Element | null {
  return (element.getRootNode() as Document | ShadowRoot).activeElement ?? null;
}

type Attributes = Record<string, string | number>;

/** An SVG element. */
export function svg<K extends keyof SVGElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  set(element, attributes);
  element.append(...children);
  return element;
}

/** Sets attributes. */
export function set(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
}

/** Of L layers, those whose numbers are written along an axis. */
export function ticks(layers: number): number[] {
  const every = layers <= 16 ? 1 : layers <= 40 ? 5 : 10;
  return Array.from({ length: Math.ceil(layers / every) }, (_, at) => at * every);
}
