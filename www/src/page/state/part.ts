/** The part of the page that the user is at: where they clicked or typed last. Must not know what the parts are for. */
import { state, update } from "./state";

export const PARTS = ["look", "manifold", "load", "calibrate", "merge", "compare", "keep", "lineup"] as const;
export type Part = (typeof PARTS)[number];

export function isPart(id: string): id is Part {
  return (PARTS as readonly string[]).includes(id);
}

/** Goes there, and takes the focus along. */
export function goToPart(part: Part): void {
  document.getElementById(`${part}-title`)?.focus({ preventScroll: true });
  document.getElementById(part)?.scrollIntoView();
  setPart(part);
}

/** Follows the user. */
export function watchParts(root: HTMLElement): void {
  const follow = (event: Event): void => {
    const id = event.target instanceof Element ? (event.target.closest(".panel")?.id ?? "") : "";
    if (isPart(id)) setPart(id);
  };
  root.addEventListener("focusin", follow);
  root.addEventListener("pointerdown", follow);
}

function setPart(part: Part): void {
  if (state.part === part) return;
  state.part = part;
  update();
}
