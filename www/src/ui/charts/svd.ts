/**
 * The singular value decomposition of a small square matrix, by one-sided Jacobi rotations
 * (Hestenes 1958).
 */

/** Sweeps over all pairs of columns; a matrix of a few columns needs five. */
const SWEEPS = 30;

/**
 * M = U diag(s) V', all d x d and row-major. U and V are orthogonal, also where M is singular; s is
 * not sorted.
 */
export function svd(matrix: Float64Array, d: number): { u: Float64Array; s: Float64Array; v: Float64Array } {
  // The columns of M V become orthogonal; their lengths are s, their directions U.
  const u = Float64Array.from(matrix);
  const v = identity(d);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    let turned = false;
    for (let p = 0; p < d; p += 1) {
      for (let q = p + 1; q < d; q += 1) {
        const [pp, qq, pq] = [dot(u, d, p, p), dot(u, d, q, q), dot(u, d, p, q)];
        if (Math.abs(pq) <= 1e-15 * Math.sqrt(pp * qq)) continue;
        turned = true;
        const zeta = (qq - pp) / (2 * pq);
        const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
        const cosine = 1 / Math.hypot(1, tangent);
        for (const columns of [u, v]) rotate(columns, d, p, q, cosine, cosine * tangent);
      }
    }
    if (!turned) break;
  }
  const s = Float64Array.from({ length: d }, (_, k) => Math.sqrt(dot(u, d, k, k)));
  const rank = 1e-12 * Math.max(...s);
  for (let k = 0; k < d; k += 1) {
    if (s[k]! > rank) scale(u, d, k, 1 / s[k]!);
    else scale(u, d, k, 0);
  }
  for (let k = 0; k < d; k += 1) if (!(s[k]! > rank)) complete(u, d, k);
  return { u, s, v };
}

/** Fills an empty column with a unit vector that is orthogonal to all others. */
function complete(columns: Float64Array, d: number, k: number): void {
  for (let axis = 0; axis < d; axis += 1) {
    for (let row = 0; row < d; row += 1) columns[row * d + k] = row === axis ? 1 : 0;
    for (let pass = 0; pass < 2; pass += 1) {
      for (let other = 0; other < d; other += 1) {
        if (other === k) continue;
        const share = dot(columns, d, k, other);
        for (let row = 0; row < d; row += 1) columns[row * d + k]! -= share * columns[row * d + other]!;
      }
    }
    const length = Math.sqrt(dot(columns, d, k, k));
    if (length < 0.5 / d) continue; // this axis lies within the others: the next one
    scale(columns, d, k, 1 / length);
    return;
  }
}

function identity(d: number): Float64Array {
  return Float64Array.from({ length: d * d }, (_, at) => (at % (d + 1) === 0 ? 1 : 0));
}

/** The product of two columns. */
function dot(columns: Float64Array, d: number, p: number, q: number): number {
  let sum = 0;
  for (let row = 0; row < d; row += 1) sum += columns[row * d + p]! * columns[row * d + q]!;
  return sum;
}

function scale(columns: Float64Array, d: number, k: number, factor: number): void {
  for (let row = 0; row < d; row += 1) columns[row * d + k]! *= factor;
}

function rotate(columns: Float64Array, d: number, p: number, q: number, cosine: number, sine: number): void {
  for (let row = 0; row < d; row += 1) {
    const [first, second] = [columns[row * d + p]!, columns[row * d + q]!];
    columns[row * d + p] = cosine * first - sine * second;
    columns[row * d + q] = sine * first + cosine * second;
  }
}
