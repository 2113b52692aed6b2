/** The tokens of the points, and the groups that they are coloured by. */

/** Of each row of the activations: the place of its token, and its text. */
export interface Rows {
  sequence: Uint32Array;
  position: Uint32Array;
  /** The token's own text. */
  texts: readonly string[];
  /** A few tokens before it, and after. */
  before: readonly string[];
  after: readonly string[];
}

export type Colouring = "token" | "position" | "sequence";

/** At most eight groups: more colours can't be distinguished. */
export interface Groups {
  colouring: Colouring;
  names: readonly string[];
  /** The group of each row. */
  of: Uint8Array;
  /** The last group is the rest, and grey. */
  rest: boolean;
}

const MOST = 8;

export function group(rows: Rows, colouring: Colouring, words: { other: string; range: (from: number, to: number) => string }): Groups {
  if (colouring === "token") return byToken(rows.texts, words.other);
  const values = rows[colouring];
  const least = values.reduce((a, b) => Math.min(a, b), Infinity);
  const most = values.reduce((a, b) => Math.max(a, b), 0);
  const width = Math.max(1, Math.ceil((most - least + 1) / MOST));
  const of = Uint8Array.from(values, (value) => Math.floor((value - least) / width));
  const count = Math.floor((most - least) / width) + 1;
  const names = Array.from({ length: count }, (_, at) =>
    words.range(least + at * width, Math.min(most, least + (at + 1) * width - 1)),
  );
  return { colouring, names, of, rest: false };
}

/** The commonest tokens, and the rest. */
function byToken(texts: readonly string[], other: string): Groups {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(visible(text), (counts.get(visible(text)) ?? 0) + 1);
  const common = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, MOST - 1).map(([text]) => text);
  const of = Uint8Array.from(texts, (text) => {
    const at = common.indexOf(visible(text));
    return at < 0 ? common.length : at;
  });
  return { colouring: "token", names: [...common, other], of, rest: true };
}

/** A token as it can be shown: without the spaces around it, a line break as its sign. */
export function visible(text: string): string {
  return text.trim() || text.replace(/\n/g, "↵").replace(/\s/g, "␣") || "∅";
}

/** The colour of a group, as CSS: a variable of the pictures' style sheet. */
export function colourOf({ colouring, names, rest }: Groups, at: number): string {
  if (rest && at === names.length - 1) return "var(--group-rest)";
  // An order is shown by an order of lightness, spread over all of the scale.
  const step = colouring === "token" ? at : Math.round((at * (MOST - 1)) / Math.max(1, names.length - 1));
  return `var(--${colouring}-${step})`;
}
