/** Follows the user from part to part: the current one is where they clicked or typed last. */
import { isPart, type Part } from "../state/part";
import { state, update } from "../state/state";

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
