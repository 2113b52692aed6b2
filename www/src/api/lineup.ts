/** The line-up: methods held against each other, points as they come. */
import { builtInTexts } from "./builtin";
import { split } from "./options";
import type { Made, Remote } from "./remote";
import type { LineupOptions, LineupPoint } from "./types";

export async function lineup(
  remote: Remote<Made>,
  options: LineupOptions,
  onPoint: (point: LineupPoint) => void,
): Promise<LineupPoint[]> {
  const { points = [], ...others } = options;
  const [rest, watch] = split(others);
  const calibrate = rest.calibrate ?? {};
  const given = calibrate.text ?? calibrate.texts ?? calibrate.ids;
  const text = given === undefined ? { texts: await builtInTexts(watch.signal) } : {};
  const done = points.map(({ preset, removed, seed }) => ({ preset, removed, seed }));
  const all = [...points];
  const take = (point: LineupPoint): void => {
    all.push(point);
    onPoint(point);
  };
  await remote.call("lineup", [{ ...rest, calibrate: { ...calibrate, ...text }, done }], { ...watch, onPoint: take });
  return all;
}
