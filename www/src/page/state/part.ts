/** The parts of the page, in their order in the document. Must not know what the parts are for. */

export const PARTS = ["look", "manifold", "load", "calibrate", "merge", "compare", "keep", "runs", "lineup"] as const;
export type Part = (typeof PARTS)[number];

export function isPart(id: string): id is Part {
  return (PARTS as readonly string[]).includes(id);
}
