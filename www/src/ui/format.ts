/** Numbers as people read them. */

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** 12,345 */
export function count(value: number): string {
  return grouped.format(value);
}

/** A size in decimal units: 4.89 MB */
export function bytes(value: number): string {
  return scaled(value, ["B", "kB", "MB", "GB", "TB"]);
}

/** A number of parameters: 2.40 M */
export function parameters(value: number): string {
  return scaled(value, ["", "k", "M", "B"]);
}

function scaled(value: number, units: string[]): string {
  let rest = value;
  let unit = 0;
  while (rest >= 999.5 && unit < units.length - 1) {
    rest /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || rest >= 99.95 ? 0 : rest >= 9.995 ? 1 : 2;
  return `${rest.toFixed(digits)}\u00a0${units[unit]}`.trim();
}

/** A share with its sign: −18 %, +3.1 % */
export function percent(share: number): string {
  const value = Math.abs(share) * 100;
  const sign = share < 0 ? "−" : share > 0 ? "+" : "";
  return `${sign}${value >= 9.95 ? magnitude(value, 0) : value.toFixed(1)}\u00a0%`;
}

function magnitude(value: number, digits: number): string {
  return value >= 1e6 ? value.toExponential(1) : grouped.format(Number(value.toFixed(digits)));
}

/** A measured figure with about four digits that count: 15.26, 0.0760, 1,746, 7.31e8, 2.7e-5 */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 1e6) return value.toExponential(2).replace("e+", "e");
  if (size >= 1000) return grouped.format(value);
  if (size >= 100) return value.toFixed(1);
  if (size >= 10) return value.toFixed(2);
  if (size >= 1) return value.toFixed(3);
  if (size >= 5e-4 || size === 0) return value.toFixed(4);
  return value.toExponential(1);
}

/** 8 s, 2 min, 1 h 20 min */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))}\u00a0s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes}\u00a0min` : `${Math.floor(minutes / 60)}\u00a0h ${minutes % 60}\u00a0min`;
}

/** The user's day and time, so that they sort: 2026-11-30 16:49 */
export function moment(milliseconds: number): string {
  const date = new Date(milliseconds);
  return new Date(milliseconds - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16).replace("T", " ");
}
