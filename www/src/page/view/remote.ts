/** In panel 1: a model from the network, and what is kept of such models. */
import { HUB, type StoredModel } from "#mka";
import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { isHubName } from "../../api/source";
import { openModel } from "../actions/load";
import { deleteKept, downloadAll, isOpen, keptOfOpen, remoteOptions } from "../actions/remote";
import { bytes, duration } from "../../ui/format";
import { state } from "../state/state";
import { lastName } from "../state/where";
import { T } from "../../ui/texts";
import { button, checkbox, labelled, type View, warnings } from "./parts";

export function remoteForm(): View {
  const words = T.load;
  const { remote } = state;
  const open = (event: SubmitEvent): void => {
    event.preventDefault();
    // What is after a ? or # may be a secret: it must not get into a name or a link.
    const typed = String(new FormData(event.target as HTMLFormElement).get("address")).trim().replace(/[?#].*$/, "");
    const address = isHubName(typed) ? `hub:${typed}` : typed;
    void openModel(address, lastName(address));
  };
  const field = (id: "token" | "hub", type: "password" | "url", label: string, placeholder: string): View => html`
    <label class="field grow">
      <span>${label}</span>
      <input
        id=${id}
        type=${type}
        autocomplete="off"
        spellcheck="false"
        placeholder=${placeholder}
        aria-describedby="${id}-note"
        .value=${live(remote[id])}
        @input=${(event: Event) => {
          remote[id] = (event.target as HTMLInputElement).value.trim();
        }}
      />
    </label>
    <p class="note" id="${id}-note">${words.notes[id]}</p>
  `;
  return html`
    <h3>${words.address}</h3>
    <form class="row address" @submit=${open}>
      <input
        type="text"
        id="address"
        name="address"
        inputmode="url"
        autocomplete="off"
        autocapitalize="none"
        spellcheck="false"
        placeholder=${words.addressExample}
        aria-label=${words.addressLabel}
        aria-describedby="address-note"
        required
      />
      <button class="plain">${words.open}</button>
    </form>
    <p class="note" id="address-note">${words.addressHint}</p>
    ${checkbox(words.keep, remote.keep, (keep) => {
      remote.keep = keep;
    })}
    <details>
      <summary>${words.more}</summary>
      ${field("token", "password", words.token, "")} ${field("hub", "url", words.hub, HUB)}
    </details>
  `;
}

/** What the open model takes from the network, and the way to have all of it. */
export function transfer(): View {
  const words = T.load;
  const { job, source } = state;
  const progress = job?.progress;
  const kept = keptOfOpen();
  const downloads = job?.name === "download" || (job?.name === "open" && state.remote.opening);
  const running = downloads && progress?.bytesPerSecond !== undefined;
  const offer = source?.remote && !kept?.complete && job?.name !== "download";
  return html`
    ${running
      ? html`<p class="note" id="transfer">${words.transfer(
          progress.unit === "bytes" ? `${bytes(progress.done)} / ${bytes(progress.total)}` : "",
          bytes(progress.bytesPerSecond as number),
          progress.secondsLeft === undefined ? "" : duration(progress.secondsLeft),
        )}</p>`
      : nothing}
    ${offer ? html`<div class="row">${button(words.download, () => void downloadAll(), { id: "download-all" })}</div>` : nothing}
    <div role="status">${state.remote.warning ? warnings([state.remote.warning]) : nothing}</div>
  `;
}

/** The models that are kept in this browser. */
export function keptList(): View {
  const words = T.load.kept;
  const { models, quota } = state.kept;
  if (models.length === 0) return nothing;
  const all = models.reduce((sum, model) => sum + model.bytes, 0);
  return html`
    <h3 id="kept" tabindex="-1">${words.title}</h3>
    <ul class="kept">
      ${models.map((model) => row(model))}
    </ul>
    <div class="row">
      <p class="note">${words.total(bytes(all), quota === undefined ? "" : bytes(quota))}</p>
      ${models.length > 1 ? button(words.deleteAll, () => void deleteKept(models)) : nothing}
    </div>
  `;
}

function row(model: StoredModel): View {
  const words = T.load.kept;
  const { source, hub } = model;
  const name = lastName(source);
  const open = (): void => void openModel(source, name, remoteOptions(source, hub ?? HUB));
  return html`
    <li>
      <p>
        <b>${source}</b>
        <span>${words.size(bytes(model.bytes), model.complete ? "" : bytes(model.total))}</span>
        ${hub && hub !== HUB ? html`<span>${hub}</span>` : nothing}
        ${isOpen(model) ? html`<span>${words.open}</span>` : nothing}
      </p>
      ${labelled(words.openLabel, name, open)} ${labelled(words.delete, name, () => void deleteKept([model]))}
    </li>
  `;
}

