/** What a server's answers mean, as errors: what happened, and what to do. */
import type { PlainError } from "../shared/protocol";
import { mkaError } from "./errors";

/** A server that files come from. */
export interface Host {
  /** What the user named, without anything secret. */
  name: string;
  /** The only origin that the token is sent to. */
  origin: string;
  token?: string | undefined;
  /** On a hub: the page where a person reads about the model and accepts its licence. */
  page?: string;
  /** Called with what the user should know and what stops nothing. */
  onWarning?: (warning: PlainError) => void;
}

/** Files below this size come fast enough as a whole. */
const LARGE = 16e6;

/** A network error; `unreachable` where no answer came at all. */
export interface NetworkError extends PlainError {
  unreachable?: boolean;
}

export function networkError(where: string, reason: string, hint = "Check the address and the connection, then try again."): NetworkError {
  return mkaError("network", `${where}: ${reason}`, hint);
}

/** The server sent a whole file where a part was requested. */
export function sentWhole(host: Host, url: string, size: number): void {
  if (size < LARGE) return;
  const reason = `the server sends no parts of files, so all ${Math.round(size / 1e6)} MB of it were downloaded at once`;
  host.onWarning?.(networkError(url, reason, "It works all the same. A server that answers range requests gives only what is needed, when it is needed."));
}

/**
 * No answer: offline, no such server, or one that does not let this page read. `there`: whether the
 * server answers at all.
 */
export function unreachable(url: string, there: boolean): NetworkError {
  const trouble = there
    ? networkError(
        url,
        "its server answers, but does not allow this page to read it (CORS)",
        "Its owner has to send Access-Control-Allow-Origin. Or download the files and choose them here.",
      )
    : navigator.onLine === false
      ? networkError(url, "this computer is offline", "Connect, then try again; or open a model that is kept on this device.")
      : location.protocol === "https:" && url.startsWith("http:")
        ? networkError(url, "it could not be reached", "A page on https may only read from https. Check the address.")
        : networkError(url, "it could not be reached");
  return { ...trouble, unreachable: !there };
}

/**
 * An answer that is not the file. `code` is the hub's name for what is wrong, `wait` is Retry-After
 * in seconds.
 */
export function refusal(host: Host, url: string, status: number, code = "", wait?: number): NetworkError {
  const name = host.page ? host.name : url;
  const say = (reason: string, hint?: string): NetworkError => networkError(name, reason, hint);
  const { page, token } = host;
  if (status === 401 && token) return say("the server does not accept this token (401)", "Check that the token is whole, has not expired, and may read this model.");
  if (status === 401 && page) {
    return say(
      "the hub asks who you are (401): the model is gated or private, or there is none of this name",
      `Check the name. If ${page} shows a licence, accept it there and give a token that may read.`,
    );
  }
  if (status === 401) return say("the server asks for a login (401)", "Give a token, if that server takes one. Or download the files and choose them here.");
  if (status === 403 && page) {
    return say(
      `access is refused (403)${code === "GatedRepo" ? ": the model is gated" : ""}`,
      `Accept the model's licence on ${page}, then give a token of the same account that may read gated models.`,
    );
  }
  if (status === 403) return say("the server refuses to give it (403)", "Ask its owner for access, or check that the address has not expired.");
  if (isMissing(status) && page) return say(MISSING[code] ?? "the hub has no such model, revision or file (404)", `Check the spelling, upper and lower case too. ${page}`);
  if (isMissing(status)) return say(`there is no such file (${status})`);
  if (status === 429) {
    const when = wait === undefined ? "some minutes" : wait < 90 ? `${Math.ceil(wait)} seconds` : `${Math.ceil(wait / 60)} minutes`;
    return say("the server has had too many requests (429)", `Wait ${when}, then try again.${page && !token ? " With a token the hub allows more." : ""}`);
  }
  if (status >= 500) return say(`the server is in trouble (${status})`, "That is not your fault. Try again in a few minutes.");
  return say(`the server answered ${status}`);
}

const MISSING: Record<string, string> = {
  RepoNotFound: "the hub has no model of this name (404)",
  RevisionNotFound: "the model has no such revision (404)",
  EntryNotFound: "the model has no such file (404): it is not in the safetensors layout",
};

export function isMissing(status: number): boolean {
  return status === 404 || status === 410;
}
