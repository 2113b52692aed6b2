// The mathematics behind the pictures, against its definitions; no browser.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { sourceModule } from "./helpers.mjs";

let svd, procrustes, misfit, align, lineage, pieces, sameShare, csv, group;

before(async () => {
  ({ svd } = await sourceModule("ui/charts/svd.ts"));
  ({ procrustes, misfit, align } = await sourceModule("ui/charts/procrustes.ts"));
  ({ lineage } = await sourceModule("ui/charts/lineage.ts"));
  ({ pieces, sameShare } = await sourceModule("ui/charts/difference.ts"));
  ({ csv } = await sourceModule("ui/charts/table.ts"));
  ({ group } = await sourceModule("ui/charts/rows.ts"));
});

/** Numbers in [-1, 1) from a seed (mulberry32). */
function numbers(seed, count) {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  });
}

const times = (a, b, d) => Float64Array.from({ length: d * d }, (_, at) => {
  let sum = 0;
  for (let k = 0; k < d; k += 1) sum += a[Math.floor(at / d) * d + k] * b[k * d + (at % d)];
  return sum;
});
const turned = (a, d) => Float64Array.from({ length: d * d }, (_, at) => a[(at % d) * d + Math.floor(at / d)]);
const identity = (d) => Float64Array.from({ length: d * d }, (_, at) => (at % (d + 1) === 0 ? 1 : 0));
const near = (a, b, tolerance, what) => a.forEach((value, at) => assert.ok(Math.abs(value - b[at]) <= tolerance, `${what}: ${value} is not ${b[at]}`));

test("a singular value decomposition multiplies back, and U and V are orthogonal, also where the matrix is singular", () => {
  for (const d of [1, 2, 3, 5]) {
    for (let seed = 1; seed <= 20; seed += 1) {
      const matrix = Float64Array.from(numbers(seed, d * d));
      // rank d - 1
      if (seed > 10) for (let row = 0; row < d; row += 1) matrix[row * d + d - 1] = seed > 15 ? 0 : matrix[row * d] * 2;
      if (seed === 20) matrix.fill(0);
      const { u, s, v } = svd(matrix, d);
      near(times(times(u, Float64Array.from(identity(d), (one, at) => one * s[Math.floor(at / d)]), d), turned(v, d), d), matrix, 1e-12, "U S V'");
      for (const [name, q] of [["U", u], ["V", v]]) near(times(turned(q, d), q, d), identity(d), 1e-12, `${name}'${name}`);
      assert.ok(s.every((value) => value >= 0));
    }
  }
});

const cloud = (seed, rows, dimensions) => ({ dimensions, values: Float32Array.from(numbers(seed, rows * dimensions)) });
const apply = ({ dimensions: d, values }, r) => ({
  dimensions: d,
  values: Float32Array.from(values, (_, at) => {
    let sum = 0;
    for (let i = 0; i < d; i += 1) sum += values[at - (at % d) + i] * r[i * d + (at % d)];
    return sum;
  }),
});
const distance = (a, b) => Math.hypot(...a.values.map((value, at) => value - b.values[at]));

test("Procrustes finds the rotation or reflection that was applied, and no other orthogonal matrix comes closer", () => {
  for (const d of [2, 3]) {
    const from = cloud(7, 60, d);
    const { u: rotation } = svd(Float64Array.from(numbers(11, d * d)), d);
    const rotated = apply(from, rotation);
    near(procrustes(from, rotated), rotation, 1e-5, "R");
    assert.ok(misfit(from, rotated) < 1e-5);

    const other = cloud(8, 60, d);
    const best = distance(apply(from, procrustes(from, other)), other);
    for (let seed = 1; seed <= 200; seed += 1) {
      const { u } = svd(Float64Array.from(numbers(seed, d * d)), d);
      assert.ok(distance(apply(from, u), other) >= best - 1e-6);
    }
  }
});

test("aligned clouds lie over one another, whatever signs and rotation each came with", () => {
  const first = cloud(3, 50, 3);
  const clouds = [first];
  for (let seed = 1; seed <= 5; seed += 1) clouds.push(apply(first, svd(Float64Array.from(numbers(seed, 9)), 3).u));
  for (const aligned of align(clouds)) assert.ok(distance(aligned, first) < 1e-4);
});

test("survivors are weighted sums of original layers: weights multiply and add up to 1", () => {
  const survivors = lineage(6, [
    { keep: 3, gone: 4, alpha: 0.75 },
    { keep: 2, gone: 3, alpha: 0.5, ridge: 0.3 },
    { keep: 0, gone: 1, alpha: 1 },
  ]);
  assert.deepEqual(survivors, [
    { parts: [{ layer: 0, weight: 1 }, { layer: 1, weight: 0 }], repaired: false },
    { parts: [{ layer: 2, weight: 0.5 }, { layer: 3, weight: 0.375 }, { layer: 4, weight: 0.125 }], repaired: true },
    { parts: [{ layer: 5, weight: 1 }], repaired: false },
  ]);
});

test("survivors by difference, and by shares of neurons and heads, also of what was concatenated before", () => {
  const parts = (steps) => lineage(4, steps)[0].parts.map(({ layer, weight }) => [layer, weight]);
  const difference = { keep: 0, gone: 1 };
  assert.deepEqual(parts([difference]), [[0, 0], [1, 1]]);
  assert.deepEqual(parts([difference, { keep: 0, gone: 2 }]), [[0, -1], [1, 1], [2, 1]]);
  const first = { keep: 0, gone: 1, kept: { neurons: ["0-2", "1"], heads: ["0-1", ""] } };
  assert.deepEqual(parts([first]), [[0, 0.875], [1, 0.125]]);
  // Of the neurons 0, 0, 0, 1 the last two stay, and two of layer 2.
  const second = { keep: 0, gone: 2, kept: { neurons: ["2-3", "0,3"], heads: ["0", "1"] } };
  assert.deepEqual(parts([first, second]), [[0, 0.375], [1, 0.125], [2, 0.5]]);
});

test("two texts: the pieces put each text together again, and equal texts are the same", () => {
  const [before, after] = ["The cat sat on the mat.\n\nIt slept.", "The dog sat on a mat.\n\nIt slept well."];
  const list = pieces(before, after);
  const side = (other) => list.filter((piece) => piece.side !== other).map(({ text }) => text).join("");
  assert.equal(side("after"), before);
  assert.equal(side("before"), after);
  assert.equal(sameShare(pieces(before, before)), 1);
  assert.equal(sameShare(pieces("one two", "three four")), 0);
  assert.equal(sameShare(pieces("one two", "one three")), 0.5);
});

test("a table as CSV: quotes, line breaks, and texts that a spreadsheet would take for formulas", () => {
  const rows = [["a,b", 1.5], ['say "no"\n', undefined], ["=1+1", -2]];
  assert.equal(csv({ caption: "", head: ["text", "value"], rows }), 'text,value\r\n"a,b",1.5\r\n"say ""no""\n",\r\n\'=1+1,-2\r\n');
});

test("rows are grouped into eight groups at most, and each row is in one", () => {
  const count = 300;
  const rows = {
    sequence: Uint32Array.from({ length: count }, (_, at) => at % 32),
    position: Uint32Array.from({ length: count }, (_, at) => 8 + (at * 7) % 248),
    texts: Array.from({ length: count }, (_, at) => ` word${Math.floor(Math.sqrt(at))}`),
    before: [],
    after: [],
  };
  const words = { other: "others", range: (from, to) => `${from}-${to}` };
  for (const colouring of ["token", "position", "sequence"]) {
    const { names, of } = group(rows, colouring, words);
    assert.ok(names.length <= 8 && of.length === count && of.every((at) => at < names.length), colouring);
  }
  assert.deepEqual(group(rows, "sequence", words).names, ["0-3", "4-7", "8-11", "12-15", "16-19", "20-23", "24-27", "28-31"]);
  assert.equal(group(rows, "token", words).names[0], "word16");
});
