/** All layers' manifolds beside one another, small: the same colours, the same point lit in each, a click shows one large. */
import { type Chart, chart, focusNear, svg } from "./chart";
import type { Cloud } from "./procrustes";
import { colourOf, type Groups } from "./rows";
import { frame } from "./scatter";

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
  let places: Places;
  return chart<LayersInput>("layers", (place, input) => {
    if (!shown || shown.clouds !== input.clouds || shown.groups !== input.groups) {
      const focused = buttons.indexOf(focusNear(place) as HTMLButtonElement);
      places = frame(input.clouds, SIDE, HEIGHT, 4);
      buttons = make(input, places);
      place.replaceChildren(...buttons);
      buttons[focused]?.focus();
    }
    shown = input;
    buttons.forEach((button, layer) => mark(button, input, layer, places));
  });
}

type Places = ReturnType<typeof frame>;

function make({ clouds, groups, nameOf, onLayer }: LayersInput, { x, y }: Places): HTMLButtonElement[] {
  return clouds.map(({ values, dimensions: d }, layer) => {
    // A path for each group: a stroke of no length with round ends is a dot.
    const paths = groups.names.map(() => "");
    groups.of.forEach((at, row) => {
      paths[at] += `M${x(values[row * d]!).toFixed(1)} ${y(d > 1 ? values[row * d + 1]! : 0).toFixed(1)}h0`;
    });
    const picture = svg(
      "svg",
      { viewBox: `0 0 ${SIDE} ${HEIGHT}`, "aria-hidden": "true" },
      ...paths.map((path, at) => svg("path", { class: "dots", d: path, style: `stroke: ${colourOf(groups, at)}` })),
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

function mark(button: HTMLButtonElement, { clouds, layer, lit, only }: LayersInput, at: number, { x, y }: Places): void {
  button.setAttribute("aria-pressed", String(at === layer));
  button.querySelectorAll(".dots").forEach((dots, group) => dots.classList.toggle("dim", only !== undefined && group !== only));
  const halo = button.querySelector(".halo");
  const { values, dimensions: d } = clouds[at]!;
  const hidden = lit === undefined || lit * d >= values.length;
  halo?.setAttribute("visibility", hidden ? "hidden" : "visible");
  if (hidden) return;
  halo?.setAttribute("cx", String(x(values[lit * d]!)));
  halo?.setAttribute("cy", String(y(d > 1 ? values[lit * d + 1]! : 0)));
}
