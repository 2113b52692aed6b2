/**
 * The pictures of <mka-lab>: made once, each in the place of its panel. Loaded when there is
 * something to draw.
 */
import { depthChart } from "../ui/charts/depth";
import { heatmap } from "../ui/charts/heatmap";
import { perplexityChart, type Series } from "../ui/charts/perplexity";
import { group, type Groups } from "../ui/charts/rows";
import { scatter } from "../ui/charts/scatter";
import { stepsOf } from "../ui/charts/lineage";
import { stackChart } from "../ui/charts/stack";
import { T } from "../ui/texts";
import { ELEMENT } from "../ui/texts/element";
import type { Findings } from "./run";
import { layerOf, type Shown } from "./view";

export interface Actions {
  onCell: (cell: Shown["cell"]) => void;
  /** The boundary between the layers i and i + 1 was chosen. */
  onPick: (boundary: number) => void;
  /** The token at this row was pointed at. */
  onLit: (row: number | undefined) => void;
  onRemoved: (removed: number) => void;
}

export class Pictures {
  readonly #charts = {
    similarity: heatmap(),
    influence: depthChart(),
    stack: stackChart(),
    manifold: scatter(),
    perplexity: perplexityChart(),
  };
  /** A picture's input must be the same object while it means the same. */
  readonly #groups = remembered((rows: NonNullable<Findings["rows"]>): Groups => group(rows, "token", ELEMENT.groups));
  readonly #series = remembered((points: NonNullable<Findings["depths"]>): Series[] => [{ method: "", title: ELEMENT.method, points }]);
  readonly #nameOf = remembered((rows: NonNullable<Findings["rows"]>) => (row: number) => ELEMENT.token(rows, row));

  constructor(readonly root: ShadowRoot, readonly actions: Actions) {}

  show(shown: Shown): void {
    const { findings, picked, lit } = shown;
    const layer = layerOf(shown);
    const { onCell, onPick, onLit, onRemoved } = this.actions;
    const { before, similarity, influence, recipe, maps, rows, depths, stands } = findings;
    for (const [name, { element }] of Object.entries(this.#charts)) {
      const place = this.root.querySelector(`[data-chart="${name}"]`);
      if (place && element.parentElement !== place) place.replaceChildren(element);
    }
    const charts = this.#charts;
    charts.similarity.show(similarity && { matrix: similarity, measure: "npib", picked, onCell, onPick });
    charts.influence.show(influence && { values: influence, label: T.look.influence, nameOf: layerName, colour: "influence" });
    charts.stack.show(before && stands ? { layers: before.layers, steps: recipe ? stepsOf(recipe) : NONE } : undefined);
    charts.manifold.show(
      maps && rows
        ? {
            clouds: maps,
            groups: this.#groups(rows),
            layer,
            only: undefined,
            lit,
            label: ELEMENT.manifold(layer),
            nameOf: this.#nameOf(rows),
            onLit,
          }
        : undefined,
    );
    charts.perplexity.show(depths && { series: this.#series(depths), removed: recipe?.steps.length, onRemoved });
  }
}

const NONE: readonly never[] = [];

function layerName(layer: number): string {
  return `${T.look.layer} ${layer}`;
}

/** `make` of the latest input, made once. */
function remembered<Input, Output>(make: (input: Input) => Output): (input: Input) => Output {
  let last: { input: Input; output: Output } | undefined;
  return (input) => (last?.input === input ? last : (last = { input, output: make(input) })).output;
}
