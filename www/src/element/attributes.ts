/**
 * The attributes of <mka-lab>: whatever a page writes, the parsed values are valid. Must not know
 * the element or the engine; a model's own limits are applied when it is open (run.ts).
 */

import { isHubName } from "../api/source";

/** What can be shown, in the order in which it is shown. */
export const PANELS = ["summary", "similarity", "manifold", "influence", "stack", "perplexity", "generation"] as const;
export type Panel = (typeof PANELS)[number];
const USUAL: readonly Panel[] = ["summary", "similarity"];

const BUILT_IN = ["demo", "stories260k"] as const;
export type BuiltInName = (typeof BUILT_IN)[number];

export const THEMES = ["light", "dark", "system"] as const;
/** "" takes the colours of the page around the element. */
export type Theme = (typeof THEMES)[number] | "";

/** Every seed is below it. */
const SEEDS = 2 ** 32;
/** No model has so many layers. */
const LAYERS = 1000;

/**
 * The names among `value` that are panels, each once, in their fixed order; without any, the usual
 * ones.
 */
export function panelsOf(value: string | null): Panel[] {
  const named = new Set((value ?? "").toLowerCase().split(/[\s,]+/));
  const known = PANELS.filter((panel) => named.has(panel));
  return known.length > 0 ? known : [...USUAL];
}

/** A whole number of layers; undefined: a fifth of the model's. */
export function removeOf(value: string | null): number | undefined {
  return whole(value, LAYERS);
}

export function seedOf(value: string | null): number {
  return whole(value, SEEDS - 1) ?? 0;
}

export function themeOf(value: string | null): Theme {
  const word = (value ?? "").trim().toLowerCase();
  return THEMES.find((theme) => theme === word) ?? "";
}

/** Name on a model hub, which the interface checks. */
export type HubName = `hub:${string}`;

/**
 * Name of a built-in model or of one on a hub, or the address of a folder; undefined: none of them.
 */
export function modelOf(value: string | null, base: string): BuiltInName | HubName | URL | undefined {
  const word = (value ?? "").trim();
  if (word === "") return "demo";
  if (word.startsWith("hub:")) return word as HubName;
  if (isHubName(word)) return `hub:${word}`;
  return isBuiltIn(word) ? word : addressOf(word, base);
}

export function isBuiltIn(model: unknown): model is BuiltInName {
  return (BUILT_IN as readonly unknown[]).includes(model);
}

/** An address that can be fetched. */
export function addressOf(value: string, base: string): URL | undefined {
  try {
    const url = new URL(value, base);
    return url.protocol === "https:" || url.protocol === "http:" ? url : undefined;
  } catch {
    return undefined;
  }
}

/** `value` as a whole number from 0 to `most`; undefined where it is no number. */
function whole(value: string | null, most: number): number | undefined {
  if (value === null || value.trim() === "") return undefined;
  const number = Math.round(Number(value));
  return Number.isNaN(number) ? undefined : Math.min(most, Math.max(0, number));
}
