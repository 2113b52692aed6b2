// Causal softmax attention with an online softmax (Milakov and Gimelshein 2018): the largest score
// so far, and sums relative to it, are corrected whenever a larger one is met, so that scores are
// never stored. One invocation computes one query of one head and goes through the keys in eights,
// which bounds how often the sums are touched; no shared memory. The type `Lanes`, its `WIDTH` and
// `inner` depend on the head size; the constant `CHUNKS` is head_size / WIDTH, so that the compiler
// can keep the sums in registers. `capped` is in soft_cap/capped.wgsl.

struct Shape {
    first: u32,         // first row of q and out to be computed
    last: u32,          // one past the last row
    heads: u32,         // query heads
    kv_heads: u32,
    first_head: u32,    // the query head of workgroups with y = 0
    length: u32,        // queries of a sequence
    keys: u32,          // rows of k and v of a sequence
    past: u32,          // keys before a sequence's first query, which attends to past + 1 keys
    window: u32,        // the most keys that a query attends to
    scale: f32,
    cap: f32,           // of the scores; 0 for none
}

@group(0) @binding(0) var<uniform> shape: Shape;
// With n = sequences * length and m = sequences * keys:
@group(0) @binding(1) var<storage, read> q: array<Lanes>;             // [n, heads * CHUNKS]
@group(0) @binding(2) var<storage, read> k: array<Lanes>;             // [m, kv_heads * CHUNKS]
@group(0) @binding(3) var<storage, read> v: array<Lanes>;             // [m, kv_heads * CHUNKS]
@group(0) @binding(4) var<storage, read_write> out: array<Lanes>;     // [n, heads * CHUNKS]

const NOTHING = -3.0e38; // below every score

fn score(product: vec4<f32>) -> vec4<f32> {
    let scaled = product * shape.scale;
    if (shape.cap > 0.0) {
        return capped(scaled, shape.cap);
    }
    return scaled;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = shape.first + id.x;
    if (row >= shape.last) {
        return;
    }
    let head = shape.first_head + id.y;
    let sequence = row / shape.length;
    let visible = shape.past + row % shape.length + 1u;
    let stride = shape.kv_heads * CHUNKS;
    let q_at = (row * shape.heads + head) * CHUNKS;
    let kv_at = sequence * shape.keys * stride + head / (shape.heads / shape.kv_heads) * CHUNKS;

    var sums: array<Lanes, CHUNKS>;
    var largest = NOTHING;
    var total = 0.0;
    for (var key = visible - min(visible, shape.window); key < visible; key += 8u) {
        // Keys after the last visible one are replaced by it and get the weight 0.
        let last = visible - 1u;
        let at0 = kv_at + min(key + 0u, last) * stride;
        let at1 = kv_at + min(key + 1u, last) * stride;
        let at2 = kv_at + min(key + 2u, last) * stride;
        let at3 = kv_at + min(key + 3u, last) * stride;
        let at4 = kv_at + min(key + 4u, last) * stride;
        let at5 = kv_at + min(key + 5u, last) * stride;
        let at6 = kv_at + min(key + 6u, last) * stride;
        let at7 = kv_at + min(key + 7u, last) * stride;
        var low = vec4<f32>();
        var high = vec4<f32>();
        for (var c = 0u; c < CHUNKS; c += 1u) {
            let query = q[q_at + c];
            low += vec4<f32>(
                inner(query, k[at0 + c]),
                inner(query, k[at1 + c]),
                inner(query, k[at2 + c]),
                inner(query, k[at3 + c]),
            );
            high += vec4<f32>(
                inner(query, k[at4 + c]),
                inner(query, k[at5 + c]),
                inner(query, k[at6 + c]),
                inner(query, k[at7 + c]),
            );
        }
        let index = vec4<u32>(key) + vec4<u32>(0u, 1u, 2u, 3u);
        low = select(vec4<f32>(NOTHING), score(low), index < vec4<u32>(visible));
        high = select(vec4<f32>(NOTHING), score(high), index + 4u < vec4<u32>(visible));
        let four = max(low, high);
        let now = max(largest, max(max(four.x, four.y), max(four.z, four.w)));
        let shrink = exp(largest - now);
        low = select(vec4<f32>(), exp(low - now), index < vec4<u32>(visible));
        high = select(vec4<f32>(), exp(high - now), index + 4u < vec4<u32>(visible));
        largest = now;
        total = total * shrink + dot(low + high, vec4<f32>(1.0));
        for (var c = 0u; c < CHUNKS; c += 1u) {
            sums[c] = sums[c] * shrink
                + low.x * v[at0 + c] + low.y * v[at1 + c] + low.z * v[at2 + c] + low.w * v[at3 + c]
                + high.x * v[at4 + c] + high.y * v[at5 + c] + high.z * v[at6 + c] + high.w * v[at7 + c];
        }
    }
    for (var c = 0u; c < CHUNKS; c += 1u) {
        out[q_at + c] = sums[c] * (1.0 / total);
    }
}
