/** Perplexity against depth, method by method. */
import { html, nothing } from "lit-html";
import { deepest, measureDepth } from "../actions/depth";
import { presets } from "../actions/load";
import { MOST_SERIES, perplexityChart, perplexityTable } from "../../ui/charts/perplexity";
import { figure } from "../../ui/format";
import { shown } from "../state/shown";
import { removable, state, update } from "../state/state";
import { T } from "../../ui/texts";
import { busy, button, checkbox, numberField, type View } from "./parts";
import { picture } from "./picture";

const chart = perplexityChart();

export function depthCurves(): View {
  const words = T.depth;
  const { depth } = state;
  const { series } = shown();
  const any = series.length > 0;
  chart.show(any ? { series, removed: state.remove, onRemoved } : undefined);
  const choose = (name: string) => (checked: boolean) => {
    const others = depth.methods.filter((other) => other !== name);
    depth.methods = checked ? [...others, name].slice(-MOST_SERIES) : others;
  };
  return html`
    <h3>${words.title}</h3>
    <p class="note">${words.lead}</p>
    <div class="map-frame">
      ${picture({ name: "perplexity", chart, table: any ? () => perplexityTable(series) : undefined })}
      ${any ? nothing : html`<p class="empty-note"><span>${words.empty}</span></p>`}
    </div>
    <p class="note" id="at-depth">${any ? atDepth() : ""}</p>
    <fieldset class="checks">
      <legend>${words.methods}</legend>
      ${presets().map(({ name, title }) => checkbox(title, depth.methods.includes(name), choose(name)))}
    </fieldset>
    <div class="fields">
      ${numberField(words.most, depth.most, { min: 1, max: deepest() }, (value) => {
        depth.most = value ?? depth.most;
      })}
      ${button(words.run, measureDepth, { off: busy() || !state.model || depth.methods.length === 0, id: "run-depth" })}
    </div>
  `;
}

/** What was measured with as many layers removed as the slider has: kept, not computed. */
function atDepth(): string {
  const here = shown().series.flatMap(({ title, points }) => {
    const point = points.find(({ removed }) => removed === state.remove);
    return point ? [`${title} ${figure(point.perplexity)}`] : [];
  });
  return here.length > 0 ? T.depth.here(state.remove, here.join(", ")) : "";
}

function onRemoved(removed: number): void {
  state.remove = state.model ? Math.min(removed, removable()) : removed;
  update();
}
