/** What a merge did: the survivors and what they are made of, and the distances of each new tensor from its parents. */
import { html, nothing } from "lit-html";
import { styleMap } from "lit-html/directives/style-map.js";
import { figure } from "../format";
import { state } from "../state";
import { T } from "../texts";
import type { View } from "./parts";

/** Each survivor is as wide as the number of original layers that went into it. */
export function mergedLayers(): View {
  const words = T.merge;
  const { merged, model } = state;
  if (!merged || !model) return html`<p class="note" id="merged-note">${words.notYet}</p>`;
  const { steps } = merged.recipe;
  const groups = groupLayers(model.summary.layers, steps);
  const averaged = new Set(steps.filter(({ alpha }) => alpha !== 1).map(({ keep }) => keep));
  return html`
    <div class="stack" role="img" aria-label="${words.strip}: ${groups.map((group) => group.join("+")).join(", ")}">
      ${groups.map(
        (group) => html`
          <span
            class=${group.length === 1 ? "single" : averaged.has(group[0] as number) ? "averaged" : "dropped"}
            style=${styleMap({ flexGrow: String(group.length) })}
            >${group.map((layer, at) => html`<b class=${at === 0 ? "" : "gone"}>${layer}</b>`)}</span
          >
        `,
      )}
    </div>
    <ol class="steps" id="steps">
      ${steps.map(({ keep, gone, alpha }) => html`<li>${alpha === 1 ? words.dropped(keep, gone) : words.averaged(keep, gone, figure(alpha))}</li>`)}
    </ol>
  `;
}

/** The original layers behind each survivor, from the front. */
function groupLayers(layers: number, steps: readonly { keep: number; gone: number }[]): number[][] {
  const groups = new Map(Array.from({ length: layers }, (_, layer) => [layer, [layer]]));
  for (const { keep, gone } of steps) {
    groups.get(keep)?.push(...(groups.get(gone) ?? []));
    groups.delete(gone);
  }
  return [...groups.values()];
}

export function proof(): View {
  const words = T.merge;
  const tensors = state.merged?.summary.tensors ?? [];
  return html`
    <details id="proof" open ?hidden=${!state.merged}>
      <summary>${tensors.length > 0 ? words.proof(tensors.length) : words.proofNone}</summary>
      <p class="note">${words.proofNote}</p>
      <div class="scroll" tabindex="0" role="region" aria-label=${words.proofHead.join(", ")}>
        <table class="numbers">
          <thead>
            <tr>${words.proofHead.map((head) => html`<th scope="col">${head}</th>`)}</tr>
          </thead>
          <tbody>
            ${tensors.map(({ name, parents }) =>
              parents.map(
                ({ layer, weight, distance }, at) => html`
                  <tr>
                    ${at === 0 ? html`<th scope="rowgroup" rowspan=${parents.length}>${name}</th>` : nothing}
                    <td>${layer}</td>
                    <td>${figure(weight)}</td>
                    <td>${figure(distance)}</td>
                  </tr>
                `,
              ),
            )}
          </tbody>
        </table>
      </div>
    </details>
  `;
}
