/**
 * The one colour scale of similarity: even steps of lightness from deep violet to pale green (after
 * seaborn's "mako"), so that the order of two values can be read without telling hues apart.
 */
const STOPS = [
  [0x21, 0x14, 0x23],
  [0x38, 0x29, 0x50],
  [0x40, 0x46, 0x82],
  [0x36, 0x68, 0x9d],
  [0x34, 0x8a, 0xa6],
  [0x3f, 0xac, 0xac],
  [0x70, 0xcf, 0xad],
  [0xb5, 0xe5, 0xc8],
  [0xde, 0xf5, 0xe5],
] as const;

/** The colour at t in [0, 1], as CSS. */
export function ramp(t: number): string {
  const at = Math.min(1, Math.max(0, t)) * (STOPS.length - 1);
  const low = Math.min(STOPS.length - 2, Math.floor(at));
  const from = STOPS[low] ?? STOPS[0];
  const to = STOPS[low + 1] ?? from;
  const channels = from.map((value, channel) => Math.round(value + ((to[channel] ?? value) - value) * (at - low)));
  return `rgb(${channels.join(" ")})`;
}

/** The same as a CSS gradient, for the legend. */
export function rampGradient(): string {
  return `linear-gradient(to right, ${STOPS.map((stop) => `rgb(${stop.join(" ")})`).join(", ")})`;
}

/** Whether text on the colour at t must be dark. */
export function darkTextOn(t: number): boolean {
  return t > 0.55;
}
