/**
 * All layers' manifolds beside one another, small: the same colours, the same point lit in each, a
 * click shows one large.
 */
import { type Chart, chart, focusNear, svg } from "./chart";
import type { Cloud } from "./procrustes";
import { colourOf, type Groups } from "./rows";
import { placed } from "./scatter";

export interface LayersInput {
  clouds: readonly Cloud[];
  groups: Groups;
  layer: number;
  only: number | undefined;
  lit: number | undefined;
  /** What a layer is called. */
  nameOf: (layer: number) => string;
  onLayer: (layer: number) => void;
}

const SIDE = 100;
const HEIGHT = 82;

export function layersChart(): Chart<LayersInput> {
  let shown: LayersInput | undefined;
  let buttons: HTMLButtonElement[] = [];
  let places: Float32Array[] = [];
  return chart<LayersInput>("layers", (place, input) => {
    if (!shown || buttons[0]?.parentNode !== place || shown.clouds !== input.clouds || shown.groups !== input.groups) {
      const focused = buttons.indexOf(focusNear(place) as HTMLButtonElement);
      places = placed(input.clouds, SIDE, HEIGHT, 4);
      buttons = make(input, places);
      place.replaceChildren(...buttons);
      buttons[focused]?.focus();
    }
    shown = input;
    buttons.forEach((button, layer) => mark(button, input, places[layer], layer));
  });
}

function make({ clouds, groups, nameOf, onLayer }: LayersInput, places: readonly Float32Array[]): HTMLButtonElement[] {
  return clouds.map((_, layer) => {
    const at = places[layer]!;
    // A path for each group: a stroke of no length with round ends is a dot.
    const paths = groups.names.map(() => "");
    groups.of.forEach((group, row) => {
      paths[group] += `M${at[2 * row]!.toFixed(1)} ${at[2 * row + 1]!.toFixed(1)}h0`;
    });
    const picture = svg(
      "svg",
      { viewBox: `0 0 ${SIDE} ${HEIGHT}`, "aria-hidden": "true" },
      ...paths.map((path, group) => svg("path", { class: "dots", d: path, style: `stroke: ${colourOf(groups, group)}` })),
      svg("circle", { class: "halo", r: 5 }),
    );
    const button = document.createElement("button");
    button.type = "button";
    button.className = "layer";
    button.append(picture, Object.assign(document.createElement("span"), { textContent: nameOf(layer) }));
    button.addEventListener("click", () => onLayer(layer));
    return button;
  });
}

function mark(button: HTMLButtonElement, { layer, lit, only }: LayersInput, places: Float32Array | undefined, at: number): void {
  button.setAttribute("aria-pressed", String(at === layer));
  button.querySelectorAll(".dots").forEach((dots, group) => dots.classList.toggle("dim", only !== undefined && group !== only));
  const halo = button.querySelector(".halo");
  const [x, y] = lit === undefined ? [] : [places?.[2 * lit], places?.[2 * lit + 1]];
  halo?.setAttribute("visibility", x === undefined ? "hidden" : "visible");
  if (x !== undefined) halo?.setAttribute("cx", String(x));
  if (y !== undefined) halo?.setAttribute("cy", String(y));
}
