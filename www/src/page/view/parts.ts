/** Small pieces that several panels use. */
import { html, noChange, nothing, type TemplateResult } from "lit-html";
import { Directive, directive, type PropertyPart } from "lit-html/directive.js";
import { live } from "lit-html/directives/live.js";
import { refuse } from "../actions/job";
import { takeTextFile } from "../actions/texts";
import { type Place, state, type TextChoice, update } from "../state/state";
import { T } from "../../ui/texts";

export type View = TemplateResult | typeof nothing;

/** A part of the page; the steps of the way from a model to a smaller one are numbered. */
export function panel(id: string, step: number | undefined, title: string, lead: string, content: unknown): View {
  return html`
    <section class="panel" id=${id} aria-labelledby="${id}-title">
      <header>
        ${step ? html`<span class="step" aria-hidden="true">${step}</span>` : nothing}
        <h2 id="${id}-title" tabindex="-1">${title}</h2>
        <p class="lead">${lead}</p>
      </header>
      ${content}
    </section>
  `;
}

export function busy(): boolean {
  return state.job !== undefined;
}

/** A button that starts something. It keeps the focus while it cannot be used. */
export function button(label: unknown, action: () => unknown, { primary = false, off = busy(), id = "" } = {}): View {
  return html`
    <button
      type="button"
      id=${id || nothing}
      class=${primary ? "primary" : "plain"}
      aria-disabled=${off ? "true" : "false"}
      @click=${() => (off ? refuse() : action())}
    >
      ${label}
    </button>
  `;
}

/** A button in a row, whose accessible name has also what the row is about. */
export function labelled(label: string, name: string, action: () => unknown, off = busy()): View {
  return button(html`${label}<span class="visually-hidden"> ${name}</span>`, action, { off });
}

interface NumberOptions {
  min: number;
  max: number;
  step?: number | "any";
  optional?: boolean;
}

/** The value of a field, except while the user types in it: a new drawing must not undo that. */
const unlessTyping = directive(
  class extends Directive {
    override update(part: PropertyPart, [value]: [string]): typeof noChange {
      const field = part.element as HTMLInputElement;
      if (field !== document.activeElement && field.value !== value) field.value = value;
      return noChange;
    }
    override render(_value: string): typeof noChange {
      return noChange;
    }
  },
);

/** A number that is taken when it is valid, and put back into its bounds when the field is left. */
export function numberField(
  label: string,
  value: number | undefined,
  { min, max, step = 1, optional = false }: NumberOptions,
  set: (value: number | undefined) => void,
): View {
  const text = (number: number | undefined): string => (number === undefined ? "" : String(number));
  const take = (event: Event): void => {
    const field = event.target as HTMLInputElement;
    const typed = field.valueAsNumber;
    let taken = optional ? undefined : value;
    if (!Number.isNaN(typed)) {
      const bounded = Math.min(max, Math.max(min, typed));
      taken = step === 1 ? Math.round(bounded) : bounded;
    }
    set(taken);
    field.value = text(taken);
    update();
  };
  return html`
    <label class="field">
      <span>${label}</span>
      <input
        type="number"
        min=${min}
        max=${max}
        step=${step}
        .value=${unlessTyping(text(value))}
        @change=${take}
      />
    </label>
  `;
}

/** A list of named choices. */
export function selectField<K extends string>(
  label: string,
  value: K,
  options: Record<K, string>,
  set: (value: K) => void,
  id = "",
): View {
  const entries = Object.entries(options) as [K, string][];
  return html`
    <label class="field">
      <span>${label}</span>
      <select id=${id || nothing} @change=${(event: Event) => set((event.target as HTMLSelectElement).value as K)}>
        ${entries.map(([key, text]) => html`<option value=${key} .selected=${live(key === value)}>${text}</option>`)}
      </select>
    </label>
  `;
}

export function checkbox(label: string, checked: boolean, set: (checked: boolean) => void): View {
  return html`
    <label class="check">
      <input
        type="checkbox"
        .checked=${live(checked)}
        @change=${(event: Event) => {
          set((event.target as HTMLInputElement).checked);
          update();
        }}
      />
      <span>${label}</span>
    </label>
  `;
}

interface TextWords {
  text: string;
  builtIn: string;
  own: string;
  builtInNote: string;
  ownLabel: string;
  placeholder: string;
  file: string;
}

/** The built-in text, or one that is pasted, chosen or dropped. */
export function textChoice(place: "calibrate" | "compare", choice: TextChoice, words: TextWords): View {
  const take = (file: File | undefined): void => {
    if (file) void takeTextFile(choice, file, place);
  };
  const set = (own: boolean): void => {
    choice.own = own;
    update();
  };
  const option = (own: boolean, label: string): View => html`
    <label>
      <input type="radio" name="${place}-text" .checked=${live(choice.own === own)} @change=${() => set(own)} />
      <span>${label}</span>
    </label>
  `;
  const drop = (event: DragEvent): void => {
    event.preventDefault();
    event.stopPropagation();
    take(event.dataTransfer?.files[0]);
  };
  return html`
    <div class="text-choice" data-drop-text @drop=${drop}>
    <fieldset class="segmented">
      <legend>${words.text}</legend>
      ${option(false, words.builtIn)} ${option(true, words.own)}
    </fieldset>
    ${choice.own
      ? html`<textarea
          class="text-input"
          aria-label=${words.ownLabel}
          placeholder=${words.placeholder}
          spellcheck="false"
          .value=${live(choice.text)}
          @input=${(event: Event) => {
            choice.text = (event.target as HTMLTextAreaElement).value;
          }}
        ></textarea>
        ${fileButton(`${place}-file`, words.file, ([file]) => take(file), { accept: ".txt,.md,text/*", multiple: false })}`
      : html`<p class="note">${words.builtInNote}</p>`}
    </div>
  `;
}

/** A readout: a name, and a value or a dash. */
export function fact(name: string, value: string | undefined, note = ""): View {
  return html`
    <div class="fact">
      <dt>${name}</dt>
      <dd class=${value === undefined ? "empty" : ""}>${value ?? T.none}${note ? html`<small>${note}</small>` : nothing}</dd>
    </div>
  `;
}

export function warnings(list: readonly string[] | undefined): View {
  if (!list || list.length === 0) return nothing;
  return html`<ul class="warnings">${list.map((text) => html`<li><b>${T.warning}.</b> ${text}</li>`)}</ul>`;
}

interface FileButtonOptions {
  accept?: string;
  multiple?: boolean;
  folder?: boolean;
  off?: boolean;
}

/** A button over a file field, which takes the focus: it works by keyboard and by script. */
export function fileButton(
  id: string,
  label: string,
  take: (files: File[]) => void,
  { accept = "", multiple = true, folder = false, off = false }: FileButtonOptions = {},
): View {
  const choose = (event: Event): void => {
    const field = event.target as HTMLInputElement;
    const files = [...(field.files ?? [])];
    field.value = ""; // choosing the same files again is a choice too
    if (files.length > 0) take(files);
  };
  return html`
    <label class="file-button">
      <input
        type="file"
        id=${id}
        accept=${accept || nothing}
        ?multiple=${multiple}
        ?webkitdirectory=${folder}
        ?disabled=${off}
        @change=${choose}
      />
      <span>${label}</span>
    </label>
  `;
}

/** Where the errors of a part of the page are shown, and read out. */
export function trouble(place: Place): View {
  const error = state.error?.place === place ? state.error : undefined;
  const close = (): void => {
    state.error = undefined;
    update();
  };
  return html`
    <div class="trouble" role="alert">
      ${error
        ? html`
            <div class="error" id="error" tabindex="-1" data-code=${error.code ?? ""}>
              <div>
                ${error.code ? html`<p class="kind">${T.error.kinds[error.code]}</p>` : nothing}
                <p><b>${/[.!?]$/.test(error.message) ? error.message : `${error.message}.`}</b> ${error.hint}</p>
              </div>
              <button type="button" class="plain" @click=${close}>${T.error.close}</button>
            </div>
          `
        : nothing}
    </div>
  `;
}
