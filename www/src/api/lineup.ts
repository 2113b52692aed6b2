/** The line-up: methods compared with each other, points as they come. */
import { calibratedOn } from "./builtin";
import { MkaError } from "./error";
import { split } from "./options";
import type { Made, WorkerProxy } from "./proxy";
import type { LineupOptions, LineupPoint } from "./types";

/** The model that a point was measured on; undefined for a method that failed. */
const modelOf = ({ recipe }: LineupPoint): string | undefined => recipe?.model.fingerprint;

export async function lineup(
  proxy: WorkerProxy<Made>,
  options: LineupOptions,
  onPoint: (point: LineupPoint) => void,
): Promise<LineupPoint[]> {
  const { points = [], ...others } = options;
  const [rest, watch] = split(others);
  const calibrate = await calibratedOn(rest.calibrate ?? {}, watch.signal);
  const done = points.map(({ preset, removed, seed }) => ({ preset, removed, seed }));
  const all = [...points];
  const models = new Set(points.map(modelOf).filter((model) => model !== undefined));
  // Stopped by the caller, or where the first new point shows that the earlier ones are of another
  // model.
  const stop = new AbortController();
  const forward = (): void => stop.abort();
  watch.signal?.addEventListener("abort", forward, { once: true });
  let mixed = models.size > 1;
  const take = (point: LineupPoint): void => {
    const model = modelOf(point);
    mixed ||= model !== undefined && models.size > 0 && !models.has(model);
    if (mixed) return stop.abort();
    all.push(point);
    onPoint(point);
  };
  try {
    if (watch.signal?.aborted || mixed) stop.abort();
    await proxy.call("lineup", [{ ...rest, calibrate, done }], { ...watch, signal: stop.signal, onPoint: take });
  } catch (error) {
    if (mixed) throw new MkaError("bad-argument", "points: they were measured on another model than this one.", "Leave them out, or pass this model's own.");
    throw error;
  } finally {
    watch.signal?.removeEventListener("abort", forward);
  }
  return all;
}
