/** Panel 1: choose a model; what its headers contain. */
import { html, nothing } from "lit-html";
import { nameOf, openBuiltIn, openModel } from "../actions/load";
import { bytes, parameters } from "../../ui/format";
import { state } from "../state/state";
import { T } from "../../ui/texts";
import { keptList, remoteForm, transfer } from "./remote";
import { fact, fileButton, panel, trouble, type View, warnings } from "./parts";

export function loadPanel(): View {
  const words = T.load;
  const open = (files: File[]): void => void openModel(files, nameOf(files));
  return panel("load", 1, words.title, words.lead, html`
    <div class="row">
      ${fileButton("pick-folder", words.folder, open, { folder: true })} ${fileButton("pick-files", words.files, open)}
    </div>
    ${trouble("load")}
    <h3>${words.builtIn}</h3>
    <div class="built-in">
      ${words.models.map(
        ({ id, name, facts, note }) => html`
          <button type="button" class="model" id="open-${id}" @click=${() => openBuiltIn(id)}>
            <b>${name}</b><span>${facts}</span><small>${note}</small>
          </button>
        `,
      )}
    </div>
    ${remoteForm()} ${keptList()} ${transfer()}
    ${facts()}
  `);
}

function facts(): View {
  const { facts: names, tied, shape } = T.load;
  const summary = state.model?.summary;
  return html`
    <dl class="facts" id="facts">
      ${fact(names.name, summary && state.source?.name)}
      ${fact(names.family, summary?.family)}
      ${fact(names.layers, summary && String(summary.layers))}
      ${fact(names.width, summary && shape(summary.hidden, summary.heads))}
      ${fact(names.parameters, summary && parameters(summary.parameters))}
      ${fact(names.dtype, summary && tied(summary.dtype, summary.tied))}
      ${fact(names.size, summary && bytes(summary.bytes))}
      ${state.model?.commit ? fact(names.commit, state.model.commit.slice(0, 10)) : nothing}
      ${fact(names.memory, summary && bytes(summary.peakBytes))}
    </dl>
    ${warnings(summary?.warnings)}
  `;
}
