/** Perplexity against depth, method by method. */
import { html, nothing } from "lit-html";
import type { Comparison } from "#mka";
import { deepest, measureDepth } from "../actions/depth";
import { presets } from "../actions/load";
import { COLOURS } from "../../ui/charts/methods";
import { perplexityChart, perplexityTable, type Series } from "../../ui/charts/perplexity";
import { figure } from "../../ui/format";
import type { Results } from "../run/results";
import { earlier, shown } from "../state/shown";
import { removable, state, update } from "../state/state";
import { T } from "../../ui/texts";
import { busy, button, checkbox, numberField, type View } from "./parts";
import { picture } from "./picture";

const chart = perplexityChart();

export function depthCurves(): View {
  const words = T.depth;
  const { depth } = state;
  const series = drawn();
  const any = series.length > 0;
  chart.show(any ? { series, removed: looked(), onRemoved } : undefined);
  const choose = (name: string) => (checked: boolean) => {
    const others = depth.methods.filter((other) => other !== name);
    depth.methods = checked ? [...others, name].slice(-COLOURS) : others;
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
  const at = looked();
  const here = drawn().flatMap(({ title, points }) => {
    const point = points.find(({ removed }) => removed === at);
    return point ? [`${title} ${figure(point.perplexity)}`] : [];
  });
  return here.length > 0 ? T.depth.here(at, here.join(", ")) : "";
}

/** A depth of an earlier run that was clicked at. */
let clicked: { of: Results; removed: number } | undefined;

/** The number of layers removed that is looked at: the slider's, or that of an earlier run. */
function looked(): number {
  const results = shown();
  const { summary, merged } = results;
  if (!earlier()) return state.remove;
  if (clicked?.of === results) return clicked.removed;
  return summary && merged ? summary.layers - merged.summary.layers : state.remove;
}

let last: { series: readonly Series[]; own: Series | undefined; all: readonly Series[] } | undefined;

/** The curves, and the run on the screen where it is on none of them; the same while they are. */
function drawn(): readonly Series[] {
  const { series, merged, comparison, summary } = shown();
  const removed = (summary?.layers ?? 0) - (merged?.summary.layers ?? 0);
  const own = merged && comparison && ownPoint(merged.method, removed, comparison, series);
  if (last?.series !== series || JSON.stringify(last.own) !== JSON.stringify(own)) last = { series, own, all: own ? [own, ...series] : series };
  return last.all;
}

function ownPoint(method: string, removed: number, { dense, merged }: Comparison, series: readonly Series[]): Series | undefined {
  const curve = series.find((other) => other.method === method);
  if (curve?.points.some((point) => point.removed === removed)) return undefined;
  // Another text's perplexities do not go into the same picture.
  const before = series[0]?.points[0]?.perplexity;
  if (before !== undefined && Math.abs(before / dense.perplexity - 1) > 1e-6) return undefined;
  const title = presets().find(({ name }) => name === method)?.title ?? T.merge.custom;
  const points = [{ removed: 0, perplexity: dense.perplexity }, { removed, perplexity: merged.perplexity }];
  return { method: curve ? "" : method, title: curve ? T.depth.own(title) : title, points };
}

function onRemoved(removed: number): void {
  if (earlier()) clicked = { of: shown(), removed };
  else state.remove = state.model ? Math.min(removed, removable()) : removed;
  update();
}
