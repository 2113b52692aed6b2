/** A picture with what belongs to it: its values as a table, and files of both. */
import { html, nothing } from "lit-html";
import { offer } from "../actions/keep";
import { show } from "../actions/job";
import { csv, type Table } from "../../ui/charts/table";
import { figure } from "../../ui/format";
import { type PictureName, state, update } from "../state/state";
import { T } from "../../ui/texts";
import type { View } from "./parts";

interface Picture {
  name: PictureName;
  /** What is shown, and where the drawing is taken from unless `draw` makes one. */
  chart: { element: HTMLElement; ready?(): Promise<void> };
  draw?: () => SVGSVGElement;
  /** The values; undefined: there are none yet. */
  table: (() => Table) | undefined;
  /** What the CSV file has, where that is more than the table. */
  whole?: () => Table;
  /** The table's own form, where it is not a plain one. */
  form?: () => View;
}

export function picture({ name, chart, draw, table, whole = table, form }: Picture): View {
  // Loaded when somebody takes a file.
  const drawn = async (): Promise<{ text: string; png: () => Promise<Blob> }> => {
    const { pngBlob, svgText } = await import("../../ui/charts/export");
    await chart.ready?.();
    const text = drawing(chart.element, draw, svgText);
    return { text, png: () => pngBlob(text) };
  };
  const open = state.tables.has(name);
  const toggle = (event: Event): void => {
    if ((event.target as HTMLDetailsElement).open) state.tables.add(name);
    else state.tables.delete(name);
    update();
  };
  return html`
    <figure class="picture" id=${name}>
      ${chart.element}
      <div class="picture-foot">
        <details id="${name}-table" ?open=${open} @toggle=${toggle}>
          <summary>${T.picture.table}</summary>
          ${!table ? html`<p class="note">${T.picture.empty}</p>` : open ? (form ?? (() => plain(table())))() : nothing}
        </details>
        <div class="takes" role="group" aria-label=${T.picture.take(T.picture.names[name])}>
          ${taken(name, "CSV", whole && (() => new Blob([csv(whole())], { type: "text/csv" })))}
          ${taken(name, "PNG", table && (async () => (await drawn()).png()))}
          ${taken(name, "SVG", table && (async () => new Blob([(await drawn()).text], { type: "image/svg+xml" })))}
        </div>
      </div>
    </figure>
  `;
}

function taken(name: PictureName, kind: string, make: (() => Blob | Promise<Blob>) | undefined): View {
  const take = async (): Promise<void> => {
    try {
      if (make) offer(await make(), `${name}.${kind.toLowerCase()}`);
    } catch (error) {
      show(error, "look");
    }
  };
  return html`<button type="button" class="link" data-take=${kind} aria-disabled=${make ? "false" : "true"} @click=${take}>${kind}</button>`;
}

/** The picture as an SVG document. */
function drawing(element: HTMLElement, draw: (() => SVGSVGElement) | undefined, svgText: (drawing: SVGSVGElement) => string): string {
  if (!draw) return svgText(largest(element));
  // Only in its place a drawing has colours.
  const made = element.appendChild(draw());
  const text = svgText(made);
  made.remove();
  return text;
}

/** The largest drawing: a legend may stand beside it. */
function largest(element: HTMLElement): SVGSVGElement {
  const all = [...element.querySelectorAll("svg")];
  const [first] = all.sort((a, b) => b.clientWidth * b.clientHeight - a.clientWidth * a.clientHeight);
  if (!first) throw new Error(T.picture.empty);
  return first;
}

function shown(value: string | number | undefined): string {
  if (value === undefined) return T.none;
  return typeof value === "number" && !Number.isInteger(value) ? figure(value) : String(value);
}

function plain({ caption, head, rows }: Table): View {
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${caption}>
      <table class="numbers">
        <caption>${caption}</caption>
        <thead>
          <tr>${head.map((name) => html`<th scope="col">${name}</th>`)}</tr>
        </thead>
        <tbody>
          ${rows.map(
            ([first, ...rest]) => html`<tr><th scope="row">${first}</th>${rest.map((value) => html`<td>${shown(value)}</td>`)}</tr>`,
          )}
        </tbody>
      </table>
    </div>
  `;
}
