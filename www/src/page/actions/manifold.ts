/** Moving through the layers. */
import { shown } from "../state/shown";
import { state, update } from "../state/state";

/** How long each layer is shown, its move included, milliseconds. */
const STAY = 1400;

let next: ReturnType<typeof setTimeout> | undefined;

/** From the layer that is shown to the last; from the first one where that is the last. */
export function play(): void {
  const { manifold } = state;
  const last = (shown().clouds?.length ?? 0) - 1;
  if (last < 1) return pause();
  manifold.playing = true;
  if (manifold.layer >= last) manifold.layer = 0;
  else manifold.layer += 1;
  update();
  clearTimeout(next);
  next = setTimeout(() => (manifold.layer < last ? play() : pause()), STAY);
}

export function pause(): void {
  clearTimeout(next);
  state.manifold.playing = false;
  update();
}

export function showLayer(layer: number): void {
  pause();
  state.manifold.layer = layer;
}
