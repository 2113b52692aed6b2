/**
 * embed.html: one <mka-lab> with the query's parameters as its attributes, and the messages of
 * messages.ts. Only the window that holds the frame may send messages, and only from an origin that
 * is allowed; only that window gets answers.
 */
import "./embed.css";
import { MkaError } from "../api/error";
import { ELEMENT } from "../ui/texts/element";
import { ATTRIBUTES, allowedOrigins, type EmbedReply, type EmbedRequest, plainError, readRequest, toFiles } from "./messages";
import "./mka-lab";

type Body = EmbedReply extends infer Reply ? (Reply extends EmbedReply ? Omit<Reply, "mka" | "id"> : never) : never;

const query = new URLSearchParams(location.search);
const origins = allowedOrigins(query.get("origin"), location.origin);
const host = window.parent === window ? undefined : window.parent;
/**
 * Where the browser gives the origin of the page around the frame (Firefox does not), only that one
 * gets messages, if it is allowed. Elsewhere a message is sent to each allowed origin: the browser
 * delivers it only to a page of that origin.
 */
const around = (location as { ancestorOrigins?: DOMStringList }).ancestorOrigins;
const audience = around ? origins.filter((origin) => origin === around[0]) : origins;

const element = document.createElement("mka-lab");
set(Object.fromEntries([...query].filter(([name]) => (ATTRIBUTES as readonly string[]).includes(name))));

element.addEventListener("progress", (event) => publish({ tell: "progress", progress: (event as unknown as CustomEvent).detail }));
element.addEventListener("result", (event) => publish({ tell: "result", result: (event as unknown as CustomEvent).detail }));
element.addEventListener("error", (event) => publish({ tell: "error", error: plainError((event as unknown as CustomEvent).detail) }));
addEventListener("message", ({ source, origin, data }) => {
  if (!host || source !== host || !origins.includes(origin)) return;
  const request = readRequest(data);
  if (!request) return;
  const answer = (body: Body): void => send(body, origin, request.id);
  if ("wrong" in request) {
    answer({ tell: "error", error: plainError(new MkaError("bad-argument", request.wrong, ELEMENT.badMessageHint)) });
  } else {
    void perform(request, answer);
  }
});
new ResizeObserver(() => publish({ tell: "resize", height: Math.ceil(document.documentElement.getBoundingClientRect().height) })).observe(document.documentElement);

document.body.append(element);
publish({ tell: "ready" });

async function perform(request: EmbedRequest, answer: (body: Body) => void): Promise<void> {
  try {
    if (request.ask === "open") element.files = toFiles(request.files);
    else if (request.ask === "set") set(request.attributes);
    else if (request.ask === "cancel") element.cancel();
    else if (request.ask === "run") return answer({ tell: "result", result: await element.run() });
    answer({ tell: "status", status: element.status, result: element.result ?? null, error: element.error ? plainError(element.error) : null });
  } catch (error) {
    answer({ tell: "error", error: plainError(error) });
  }
}

/** Sets attributes. `false` and null remove one; so do 0 and false for a switch in an address. */
function set(attributes: Record<string, string | number | boolean | null>): void {
  for (const [name, value] of Object.entries(attributes)) {
    const isSwitch = name === "tour" || name === "autorun";
    const off = value === null || value === false || (isSwitch && (value === "0" || value === "false"));
    if (off) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

function publish(body: Body): void {
  for (const origin of audience) send(body, origin);
}

function send(body: Body, origin: string, id?: string | number): void {
  host?.postMessage({ mka: 1, ...(id !== undefined && { id }), ...body }, origin);
}

