/**
 * Lays clouds of points over one another: orthogonal Procrustes, so that what moves from layer to
 * layer is what the layers do, and not the free choice of signs and rotation that every diffusion
 * map has.
 */
import { svd } from "./svd";

/** N points in d coordinates, row-major. */
export interface Cloud {
  readonly dimensions: number;
  readonly values: Float32Array;
}

/**
 * The orthogonal matrix R (d x d, row-major; a reflection is allowed) that makes |A R - B|
 * (Frobenius) the least: R = U V' with U S V' = A' B (Schönemann 1966).
 */
export function procrustes(a: Cloud, b: Cloud): Float64Array {
  const d = a.dimensions;
  const product = new Float64Array(d * d);
  for (let row = 0; row < a.values.length; row += d) {
    for (let i = 0; i < d; i += 1) {
      for (let j = 0; j < d; j += 1) product[i * d + j]! += a.values[row + i]! * b.values[row + j]!;
    }
  }
  const { u, v } = svd(product, d);
  return Float64Array.from({ length: d * d }, (_, at) => {
    const [i, j] = [Math.floor(at / d), at % d];
    let sum = 0;
    for (let k = 0; k < d; k += 1) sum += u[i * d + k]! * v[j * d + k]!;
    return sum;
  });
}

/** Each cloud turned towards the one before it. The first stays as it is. */
export function align(clouds: readonly Cloud[]): Cloud[] {
  const aligned: Cloud[] = [];
  for (const cloud of clouds) {
    const before = aligned.at(-1);
    aligned.push(before ? turn(cloud, procrustes(cloud, before)) : cloud);
  }
  return aligned;
}

function turn({ dimensions: d, values }: Cloud, rotation: Float64Array): Cloud {
  const turned = new Float32Array(values.length);
  for (let row = 0; row < values.length; row += d) {
    for (let j = 0; j < d; j += 1) {
      let sum = 0;
      for (let i = 0; i < d; i += 1) sum += values[row + i]! * rotation[i * d + j]!;
      turned[row + j] = sum;
    }
  }
  return { dimensions: d, values: turned };
}

/** |A R - B| / |B| with the best orthogonal R: 0, the same shape; about 1.4, nothing in common. */
export function misfit(a: Cloud, b: Cloud): number {
  const turned = turn(a, procrustes(a, b)).values;
  let [off, all] = [0, 0];
  turned.forEach((value, at) => {
    off += (value - b.values[at]!) ** 2;
    all += b.values[at]! ** 2;
  });
  return all === 0 ? 0 : Math.sqrt(off / all);
}

/** The first coordinates of each point, each centred. The signs and the scale stay. */
export function leading(values: Float32Array, dimensions: number, kept: number): Cloud {
  const rows = values.length / dimensions;
  const d = Math.min(kept, dimensions);
  const cloud = new Float32Array(rows * d);
  for (let k = 0; k < d; k += 1) {
    let mean = 0;
    for (let row = 0; row < rows; row += 1) mean += values[row * dimensions + k]! / rows;
    for (let row = 0; row < rows; row += 1) cloud[row * d + k] = values[row * dimensions + k]! - mean;
  }
  return { dimensions: d, values: cloud };
}
