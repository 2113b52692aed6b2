// Folds one tile of logits into running statistics of each row: the largest logit and its index,
// sums of exponentials relative to it, the target's logit, and the cross term of a KL divergence.
// One workgroup computes one row. The columns of `state` are those of `compute::statistics`.

struct Shape {
    n: u32,          // rows
    columns: u32,    // of the tile
    first: u32,      // vocabulary entry of the tile's first column
    has_second: u32, // 0: `second` is not read
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> logits: array<f32>;        // [n, columns]
@group(0) @binding(2) var<storage, read> second: array<f32>;        // [n, columns]
@group(0) @binding(3) var<storage, read> targets: array<u32>;       // [n]
@group(0) @binding(4) var<storage, read_write> state: array<f32>;   // [n, 9]

const COLUMNS = 9u;
const MAX = 0u;
const SUM = 1u;
const TARGET = 2u;
const BEST = 3u;
const SECOND = 4u;
const CROSS = 8u;
const START = -1.0e30;

// By invocation, of the columns that it goes through:
var<workgroup> best: array<vec2<f32>, 32>;       // the largest logit of each model
var<workgroup> best_at: array<vec2<u32>, 32>;    // their columns
var<workgroup> sums: array<vec3<f32>, 32>;       // of each model, and the cross term

// True when the logit b is the larger one; of equals the one further left counts.
fn replaces(a: f32, a_at: u32, b: f32, b_at: u32) -> bool {
    return b > a || (b == a && b_at < a_at);
}

@compute @workgroup_size(32)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = group.x + group.y * groups.x;
    if (row >= shape.n) {
        return;
    }
    let tile = row * shape.columns;
    let old = row * COLUMNS;

    var largest = vec2<f32>(START);
    var at = vec2<u32>(shape.columns);
    for (var c = local; c < shape.columns; c += 32u) {
        let a = logits[tile + c];
        if (a > largest.x) {
            largest.x = a;
            at.x = c;
        }
        if (shape.has_second != 0u) {
            let b = second[tile + c];
            if (b > largest.y) {
                largest.y = b;
                at.y = c;
            }
        }
    }
    best[local] = largest;
    best_at[local] = at;
    workgroupBarrier();
    // One invocation goes through what the others found: cheaper than a tree of barriers.
    if (local == 0u) {
        for (var i = 1u; i < 32u; i += 1u) {
            let other = best[i];
            let other_at = best_at[i];
            if (replaces(largest.x, at.x, other.x, other_at.x)) {
                largest.x = other.x;
                at.x = other_at.x;
            }
            if (replaces(largest.y, at.y, other.y, other_at.y)) {
                largest.y = other.y;
                at.y = other_at.y;
            }
        }
        best[0] = largest;
    }
    workgroupBarrier();

    let before = vec2<f32>(state[old + MAX], state[old + SECOND + MAX]);
    let now = max(before, best[0]);
    var sum = vec3<f32>();
    for (var c = local; c < shape.columns; c += 32u) {
        let a = logits[tile + c];
        let weight = exp(a - now.x);
        sum.x += weight;
        if (shape.has_second != 0u) {
            let b = second[tile + c];
            sum.y += exp(b - now.y);
            sum.z += weight * (a - b);
        }
    }
    sums[local] = sum;
    workgroupBarrier();

    if (local != 0u) {
        return;
    }
    for (var i = 1u; i < 32u; i += 1u) {
        sum += sums[i];
    }
    let shrink = exp(max(before - now, vec2<f32>(-200.0))); // exp of it is 0 in f32
    // Wraps around to a large number where the target lies before the tile.
    let target_at = targets[row] - shape.first;
    state[old + MAX] = now.x;
    state[old + SUM] = state[old + SUM] * shrink.x + sum.x;
    if (largest.x > before.x) {
        state[old + BEST] = f32(shape.first + at.x);
    }
    if (target_at < shape.columns) {
        state[old + TARGET] = logits[tile + target_at];
    }
    if (shape.has_second == 0u) {
        return;
    }
    state[old + CROSS] = state[old + CROSS] * shrink.x + sum.z;
    state[old + SECOND + MAX] = now.y;
    state[old + SECOND + SUM] = state[old + SECOND + SUM] * shrink.y + sum.y;
    if (largest.y > before.y) {
        state[old + SECOND + BEST] = f32(shape.first + at.y);
    }
    if (target_at < shape.columns) {
        state[old + SECOND + TARGET] = second[tile + target_at];
    }
}
