/**
 * The manifold of a layer: a point for each token, moving from layer to layer. The clouds are
 * expected to be aligned, so that a point moves because its layer moved it.
 */
import { type Chart, chart, focusNear, set, svg } from "./chart";
import type { Cloud } from "./procrustes";
import { colourOf, type Groups } from "./rows";

export interface ScatterInput {
  /** One per layer, of the same rows in the same order. */
  clouds: readonly Cloud[];
  groups: Groups;
  /** The layer that is shown; the points move to it from where they are. */
  layer: number;
  /** The group that is not dimmed; all, if undefined. */
  only: number | undefined;
  /** The row that is lit, with its way through all layers. */
  lit: number | undefined;
  /** The text alternative of the picture. */
  label: string;
  /** What a point is called. */
  nameOf: (row: number) => string;
  onLit: (row: number | undefined) => void;
}

/** Height by width, at most this many pixels high. */
const SHAPE = 0.82;
const HIGHEST = 560;
/** This share of all points lies inside the frame. */
const INSIDE = 0.995;
const RADIUS = 3.6;
/** How far from a point the pointer may be, pixels. */
const REACH = 18;
/** A move from one layer to another, milliseconds. */
const MOVE = 650;

export function scatter(): Chart<ScatterInput> {
  let cloud: Moving | undefined;
  return chart<ScatterInput>("scatter", (place, input, width) => {
    if (cloud?.picture.parentNode !== place || !cloud.fits(input, width)) {
      const focused = cloud?.focused();
      const at = cloud?.at ?? input.layer;
      cloud?.stop();
      cloud = new Moving(input, width, at);
      place.replaceChildren(cloud.picture);
      if (focused !== undefined) cloud.focus(focused);
    }
    cloud.show(input);
  });
}

/**
 * Where the points of aligned clouds lie in a frame, x, y, x, y … for each cloud; one scale for all
 * of them. A diffusion map has a few points far out, so the distance from the centre is drawn as
 * its asinh: straight inside, logarithmic outside; the outermost points are at the edge.
 */
export function placed(clouds: readonly Cloud[], width: number, height: number, margin: number): Float32Array[] {
  const radii: number[] = [];
  for (const { values, dimensions: d } of clouds) {
    for (let at = 0; at < values.length; at += d) radii.push(Math.hypot(values[at]!, d > 1 ? values[at + 1]! : 0));
  }
  radii.sort((a, b) => a - b);
  const unit = radii[Math.floor(radii.length / 2)] || 1;
  const edge = Math.asinh((radii[Math.floor(radii.length * INSIDE)] || 1) / unit);
  return clouds.map(({ values, dimensions: d }) => {
    const places = new Float32Array((2 * values.length) / d);
    for (let row = 0; row < values.length / d; row += 1) {
      const [x, y] = [values[row * d]!, d > 1 ? values[row * d + 1]! : 0];
      const radius = Math.hypot(x, y);
      const share = radius === 0 ? 0 : Math.min(1, Math.asinh(radius / unit) / edge) / radius;
      places[2 * row] = width / 2 + x * share * (width / 2 - margin);
      places[2 * row + 1] = height / 2 - y * share * (height / 2 - margin);
    }
    return places;
  });
}

class Moving {
  readonly picture: SVGSVGElement;
  /** The layer that is drawn; between two layers while it moves. */
  at: number;
  private input: ScatterInput;
  private readonly width: number;
  private readonly height: number;
  private readonly points: SVGCircleElement[];
  private readonly halo = svg("circle", { class: "halo", r: RADIUS + 4 });
  private readonly way = svg("path", { class: "way" });
  private readonly stops = svg("g", { class: "stops" });
  /** Pixels of each layer's points: x, y, x, y … */
  private readonly places: Float32Array[];
  private now: Float32Array;
  private tab = 0;
  private target: number;
  private frame = 0;

  constructor(input: ScatterInput, width: number, at: number) {
    this.input = input;
    this.width = width;
    this.height = Math.round(Math.min(HIGHEST, width * SHAPE));
    this.places = placed(input.clouds, width, this.height, 14);
    this.at = this.target = Math.min(at, input.clouds.length - 1);
    this.now = this.between(this.at);
    this.points = Array.from({ length: this.now.length / 2 }, (_, row) =>
      svg("circle", { r: RADIUS, tabindex: -1, style: `fill: ${colourOf(input.groups, input.groups.of[row]!)}` }),
    );
    this.picture = svg(
      "svg",
      { class: "plot", width, height: this.height, viewBox: `0 0 ${width} ${this.height}`, role: "group" },
      svg("path", { class: "cross", d: `M${width / 2} 0V${this.height}M0 ${this.height / 2}H${width}` }),
      svg("g", { class: "points" }, ...this.points),
      this.way,
      this.stops,
      this.halo,
    );
    this.listen();
    this.place();
    this.light();
  }

  fits({ clouds, groups }: ScatterInput, width: number): boolean {
    return clouds === this.input.clouds && groups === this.input.groups && width === this.width;
  }

  show(input: ScatterInput): void {
    const before = this.input;
    this.input = input;
    this.picture.setAttribute("aria-label", input.label);
    const { of } = input.groups;
    this.points.forEach((point, row) => point.classList.toggle("dim", input.only !== undefined && of[row] !== input.only));
    if (input.layer !== this.target) this.moveTo(input.layer);
    if (input.lit !== before.lit) this.light();
  }

  stop(): void {
    cancelAnimationFrame(this.frame);
  }

  focused(): number | undefined {
    const row = this.points.indexOf(focusNear(this.picture) as SVGCircleElement);
    return row < 0 ? undefined : row;
  }

  /** Moves the focus to a point; only the one that has it can be reached by Tab. */
  focus(row: number): void {
    const point = this.points[row];
    if (!point) return;
    this.setTab(row);
    point.focus();
  }

  private setTab(row: number): void {
    const old = this.points[this.tab];
    if (old) {
      old.setAttribute("tabindex", "-1");
      old.removeAttribute("role");
      old.removeAttribute("aria-label");
    }
    this.tab = row;
    const point = this.points[row];
    if (point) set(point, { tabindex: 0, role: "img", "aria-label": this.input.nameOf(row) });
  }

  private moveTo(layer: number): void {
    this.stop();
    this.target = Math.min(Math.max(0, layer), this.places.length - 1);
    const from = this.now;
    const to = this.between(this.target);
    const start = this.at;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.at = this.target;
      this.now = to;
      return this.place();
    }
    const begun = performance.now();
    const step = (): void => {
      const share = Math.min(1, (performance.now() - begun) / MOVE);
      const eased = share < 0.5 ? 4 * share ** 3 : 1 - (2 - 2 * share) ** 3 / 2;
      this.at = start + (this.target - start) * eased;
      this.now = from.map((value, at) => value + (to[at]! - value) * eased);
      this.place();
      if (share < 1) this.frame = requestAnimationFrame(step);
    };
    this.frame = requestAnimationFrame(step);
  }

  private between(at: number): Float32Array {
    const low = this.places[Math.floor(at)]!;
    const high = this.places[Math.ceil(at)] ?? low;
    const share = at - Math.floor(at);
    return low.map((value, index) => value + (high[index]! - value) * share);
  }

  private place(): void {
    this.points.forEach((point, row) => {
      point.setAttribute("cx", this.now[2 * row]!.toFixed(1));
      point.setAttribute("cy", this.now[2 * row + 1]!.toFixed(1));
    });
    this.placeHalo();
  }

  private placeHalo(): void {
    const { lit } = this.input;
    if (lit === undefined || lit * 2 >= this.now.length) return this.halo.setAttribute("visibility", "hidden");
    set(this.halo, { cx: this.now[2 * lit]!, cy: this.now[2 * lit + 1]!, visibility: "visible" });
  }

  /** The lit point's way through the layers. */
  private light(): void {
    const { lit } = this.input;
    this.placeHalo();
    if (this.focused() === undefined) this.setTab(lit ?? this.tab);
    const stops = lit === undefined ? [] : this.places.map((place) => [place[2 * lit]!, place[2 * lit + 1]!] as const);
    this.way.setAttribute("d", stops.map(([x, y], at) => `${at === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join(""));
    this.stops.replaceChildren(...stops.map(([x, y]) => svg("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 1.8 })));
  }

  private listen(): void {
    const { picture } = this;
    picture.addEventListener("pointermove", (event) => {
      const row = this.nearest(event);
      if (row !== undefined && row !== this.input.lit) this.input.onLit(row);
    });
    picture.addEventListener("click", (event) => {
      const row = this.nearest(event);
      if (row !== undefined) this.focus(row);
    });
    this.points.forEach((point, row) => point.addEventListener("focus", () => this.input.onLit(row)));
    picture.addEventListener("keydown", (event) => {
      const row = this.focused();
      const next = row === undefined ? undefined : this.towards(row, event.key);
      if (next === undefined) return;
      event.preventDefault();
      this.focus(next);
    });
  }

  private nearest({ clientX, clientY }: MouseEvent): number | undefined {
    const box = this.picture.getBoundingClientRect();
    const [x, y] = [clientX - box.left, clientY - box.top];
    let best: number | undefined;
    let least = REACH ** 2;
    for (let row = 0; row < this.points.length; row += 1) {
      if (this.isDim(row)) continue;
      const distance = (this.now[2 * row]! - x) ** 2 + (this.now[2 * row + 1]! - y) ** 2;
      if (distance < least) [best, least] = [row, distance];
    }
    return best;
  }

  private isDim(row: number): boolean {
    return this.input.only !== undefined && this.input.groups.of[row] !== this.input.only;
  }

  /** The nearest point in the direction of an arrow key, where sideways counts double. */
  private towards(row: number, key: string): number | undefined {
    if (key === "Home") return 0;
    if (key === "End") return this.points.length - 1;
    const directions: Record<string, [number, number]> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const direction = directions[key];
    if (!direction) return undefined;
    let best = row;
    let least = Infinity;
    for (let other = 0; other < this.points.length; other += 1) {
      const dx = this.now[2 * other]! - this.now[2 * row]!;
      const dy = this.now[2 * other + 1]! - this.now[2 * row + 1]!;
      const ahead = dx * direction[0] + dy * direction[1];
      if (ahead <= 0.5 || this.isDim(other)) continue;
      const cost = ahead + 2 * Math.abs(dx * direction[1] + dy * direction[0]);
      if (cost < least) [best, least] = [other, cost];
    }
    return best;
  }
}
