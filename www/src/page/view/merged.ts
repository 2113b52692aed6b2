/**
 * A merge: its layers and what they are made of, and the distances of each new tensor from its
 * parents.
 */
import { html, nothing } from "lit-html";
import { figure } from "../../ui/format";
import type { Step } from "../../ui/charts/lineage";
import type { Summary } from "#mka";
import { shown } from "../state/shown";
import { T } from "../../ui/texts";
import type { View } from "./parts";
import { stack } from "./stack";

/** The steps in words. */
export function mergedLayers(): View {
  const words = T.merge;
  const { merged } = shown();
  return html`
    ${stack()}
    ${merged
      ? html`
          <ol class="steps" id="steps">
            ${merged.steps.map(
              (step) => html`<li>${made(step)}${repaired(step)}</li>`,
            )}
          </ol>
        `
      : html`<p class="note" id="merged-note">${words.notYet}</p>`}
  `;
}

function made({ keep, gone, alpha, kept }: Step): string {
  const words = T.merge;
  if (alpha === 1) return words.dropped(keep, gone);
  if (alpha === 0) return words.replaced(keep, gone);
  if (alpha !== undefined) return words.averaged(keep, gone, figure(alpha));
  return kept ? words.concatenated(keep, gone) : words.added(keep, gone);
}

function repaired({ ridge, scale }: Step): string {
  if (ridge !== undefined) return `, ${T.merge.repaired}`;
  return scale === undefined ? "" : `, ${T.merge.scaled(figure(scale))}`;
}

type Change = NonNullable<Summary["tensors"]>[number];

/** A table for each block that is new; the first is open. */
export function proof(): View {
  const words = T.merge;
  const { merged } = shown();
  const tensors = merged?.summary.tensors ?? [];
  return html`
    <section id="proof" ?hidden=${!merged}>
      <h3>${tensors.length > 0 ? words.proof(tensors.length) : words.proofNone}</h3>
      ${tensors.length > 0 ? html`<p class="note">${words.proofNote}</p>` : nothing}
      ${blocksOf(tensors).map((block, at) => proofOfBlock(block, at === 0))}
    </section>
  `;
}

/** The new tensors by their block: those of a block have the same parents and are neighbours. */
function blocksOf(tensors: readonly Change[]): Change[][] {
  const blocks = new Map<string, Change[]>();
  for (const tensor of tensors) {
    const prefix = prefixOf(tensor.name);
    blocks.set(prefix, [...(blocks.get(prefix) ?? []), tensor]);
  }
  // Files may have layer 10 before layer 2.
  const layer = (prefix: string): number => Number(/\d+/.exec(prefix)?.[0] ?? -1);
  return [...blocks].sort(([a], [b]) => layer(a) - layer(b)).map(([, tensors]) => tensors);
}

/** What precedes a tensor's name inside of its block: "model.layers.6." */
function prefixOf(name: string): string {
  return /^.*?\.\d+\./.exec(name)?.[0] ?? "";
}

function proofOfBlock(tensors: Change[], open: boolean): View {
  const words = T.merge;
  const parents = tensors[0]?.parents.map(({ layer }) => layer) ?? [];
  const distances = tensors.flatMap((tensor) => tensor.parents.map(({ distance }) => distance));
  const range = words.proofRange(figure(Math.min(...distances)), figure(Math.max(...distances)));
  return html`
    <details class="proof" ?open=${open}>
      <summary>${words.proofBlock(parents)}: ${range}</summary>
      <table class="numbers">
        <thead>
          <tr>${words.proofHead.map((head) => html`<th scope="col">${head}</th>`)}</tr>
        </thead>
        ${tensors.map(
          ({ name, parents }) => html`
            <tbody>
              ${parents.map(
                ({ layer, weight, distance }, at) => html`
                  <tr>
                    ${at === 0
                      ? html`<th scope="rowgroup" rowspan=${parents.length} title=${name}>${shortName(name)}</th>`
                      : nothing}
                    <td>${layer}</td>
                    <td>${figure(weight)}</td>
                    <td>${figure(distance)}</td>
                  </tr>
                `,
              )}
            </tbody>
          `,
        )}
      </table>
    </details>
  `;
}

/** "model.layers.6.mlp.down_proj.weight" -> "mlp.down_proj", which may break at its dots. */
function shortName(name: string): View {
  const parts = name.slice(prefixOf(name).length).replace(/\.weight$/, "").split(".");
  return html`${parts.map((part, at) => html`${at > 0 ? html`.<wbr />` : nothing}${part}`)}`;
}
