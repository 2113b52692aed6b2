/** Small pieces that several panels use. */
import { html, nothing, type TemplateResult } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { takeTextFile } from "../actions/texts";
import { state, type TextChoice, update } from "../state";
import { T } from "../texts";

export type View = TemplateResult | typeof nothing;

/** A numbered part of the page. */
export function panel(id: string, step: number, title: string, lead: string, content: unknown): View {
  return html`
    <section class="panel" id=${id} aria-labelledby="${id}-title">
      <header>
        <span class="step" aria-hidden="true">${step}</span>
        <h2 id="${id}-title">${title}</h2>
        <p class="lead">${lead}</p>
      </header>
      ${content}
    </section>
  `;
}

export function busy(): boolean {
  return state.job !== undefined;
}

/** A button that starts something. It keeps the focus while it cannot be used, so that the keyboard does not get lost. */
export function button(label: string, action: () => unknown, { primary = false, off = busy(), id = "" } = {}): View {
  return html`
    <button
      type="button"
      id=${id || nothing}
      class=${primary ? "primary" : "plain"}
      aria-disabled=${off ? "true" : "false"}
      @click=${() => (off ? undefined : action())}
    >
      ${label}
    </button>
  `;
}

interface NumberOptions {
  min: number;
  max: number;
  step?: number | "any";
  optional?: boolean;
}

/** A number that is taken when it is valid, and put back into its bounds when the field is left. */
export function numberField(
  label: string,
  value: number | undefined,
  { min, max, step = 1, optional = false }: NumberOptions,
  set: (value: number | undefined) => void,
): View {
  const take = (event: Event): void => {
    const field = event.target as HTMLInputElement;
    const typed = field.valueAsNumber;
    if (Number.isNaN(typed)) {
      if (optional) set(undefined);
    } else {
      const bounded = Math.min(max, Math.max(min, typed));
      set(step === 1 ? Math.round(bounded) : bounded);
    }
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
        .value=${live(value === undefined ? "" : String(value))}
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
}

/** The built-in text, or one that is pasted or dropped. */
export function textChoice(id: string, choice: TextChoice, words: TextWords): View {
  const set = (own: boolean): void => {
    choice.own = own;
    update();
  };
  const option = (own: boolean, label: string): View => html`
    <label>
      <input type="radio" name=${id} .checked=${live(choice.own === own)} @change=${() => set(own)} />
      <span>${label}</span>
    </label>
  `;
  return html`
    <fieldset class="segmented">
      <legend>${words.text}</legend>
      ${option(false, words.builtIn)} ${option(true, words.own)}
    </fieldset>
    ${choice.own
      ? html`<textarea
          class="text-input"
          data-drop-text
          aria-label=${words.ownLabel}
          placeholder=${words.placeholder}
          spellcheck="false"
          .value=${live(choice.text)}
          @input=${(event: Event) => {
            choice.text = (event.target as HTMLTextAreaElement).value;
          }}
          @drop=${(event: DragEvent) => {
            const file = event.dataTransfer?.files[0];
            if (!file) return;
            event.preventDefault();
            event.stopPropagation();
            void takeTextFile(choice, file);
          }}
        ></textarea>`
      : html`<p class="note text-input">${words.builtInNote}</p>`}
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
