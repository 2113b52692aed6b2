// out[row, column] = sum over k of x[row, k] * w[column, k] (+ bias[column]), for the columns from
// `first` to `last`.
//
// One invocation computes 8 rows x 8 columns in registers, so that each loaded value is used 8
// times; no shared memory. A workgroup covers 64 x 64. The type `Stored` and its `decode` come with
// the dtype of w.

struct Shape {
    n: u32,        // rows of x and out
    k4: u32,       // columns of x and w, in fours
    first: u32,    // first column of out, first row of w
    last: u32,     // one past the last column
    m: u32,        // columns of out
    has_bias: u32, // 0: `bias` is not read
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;      // [n, k4]
@group(0) @binding(2) var<storage, read> w: array<Stored>;         // [at least last, k4]
@group(0) @binding(3) var<storage, read> bias: array<f32>;         // [m]
@group(0) @binding(4) var<storage, read_write> out: array<f32>;    // [n, m]

// Four rows of w against one row of x.
fn products(x: vec4<f32>, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(dot(x, w0), dot(x, w1), dot(x, w2), dot(x, w3));
}

// Writes four columns from `column` on of one row, as far as they exist.
fn store(row: u32, column: u32, sums: vec4<f32>) {
    if (row >= shape.n) {
        return;
    }
    for (var i = 0u; i < 4u && column + i < shape.last; i += 1u) {
        var sum = sums[i];
        if (shape.has_bias != 0u) {
            sum += bias[column + i];
        }
        out[row * shape.m + column + i] = sum;
    }
}

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.y * 8u;
    let column = shape.first + id.x * 8u;
    if (row >= shape.n || column >= shape.last) {
        return;
    }
    // What lies beyond the edges is computed from the last row or column, and not written.
    let x0 = min(row + 0u, shape.n - 1u) * shape.k4;
    let x1 = min(row + 1u, shape.n - 1u) * shape.k4;
    let x2 = min(row + 2u, shape.n - 1u) * shape.k4;
    let x3 = min(row + 3u, shape.n - 1u) * shape.k4;
    let x4 = min(row + 4u, shape.n - 1u) * shape.k4;
    let x5 = min(row + 5u, shape.n - 1u) * shape.k4;
    let x6 = min(row + 6u, shape.n - 1u) * shape.k4;
    let x7 = min(row + 7u, shape.n - 1u) * shape.k4;
    let w0 = min(column + 0u, shape.last - 1u) * shape.k4;
    let w1 = min(column + 1u, shape.last - 1u) * shape.k4;
    let w2 = min(column + 2u, shape.last - 1u) * shape.k4;
    let w3 = min(column + 3u, shape.last - 1u) * shape.k4;
    let w4 = min(column + 4u, shape.last - 1u) * shape.k4;
    let w5 = min(column + 5u, shape.last - 1u) * shape.k4;
    let w6 = min(column + 6u, shape.last - 1u) * shape.k4;
    let w7 = min(column + 7u, shape.last - 1u) * shape.k4;
    var s0 = vec4<f32>();
    var t0 = vec4<f32>();
    var s1 = vec4<f32>();
    var t1 = vec4<f32>();
    var s2 = vec4<f32>();
    var t2 = vec4<f32>();
    var s3 = vec4<f32>();
    var t3 = vec4<f32>();
    var s4 = vec4<f32>();
    var t4 = vec4<f32>();
    var s5 = vec4<f32>();
    var t5 = vec4<f32>();
    var s6 = vec4<f32>();
    var t6 = vec4<f32>();
    var s7 = vec4<f32>();
    var t7 = vec4<f32>();
    for (var k = 0u; k < shape.k4; k += 1u) {
        let b0 = decode(w[w0 + k]);
        let b1 = decode(w[w1 + k]);
        let b2 = decode(w[w2 + k]);
        let b3 = decode(w[w3 + k]);
        let b4 = decode(w[w4 + k]);
        let b5 = decode(w[w5 + k]);
        let b6 = decode(w[w6 + k]);
        let b7 = decode(w[w7 + k]);
        let a0 = x[x0 + k];
        s0 += products(a0, b0, b1, b2, b3);
        t0 += products(a0, b4, b5, b6, b7);
        let a1 = x[x1 + k];
        s1 += products(a1, b0, b1, b2, b3);
        t1 += products(a1, b4, b5, b6, b7);
        let a2 = x[x2 + k];
        s2 += products(a2, b0, b1, b2, b3);
        t2 += products(a2, b4, b5, b6, b7);
        let a3 = x[x3 + k];
        s3 += products(a3, b0, b1, b2, b3);
        t3 += products(a3, b4, b5, b6, b7);
        let a4 = x[x4 + k];
        s4 += products(a4, b0, b1, b2, b3);
        t4 += products(a4, b4, b5, b6, b7);
        let a5 = x[x5 + k];
        s5 += products(a5, b0, b1, b2, b3);
        t5 += products(a5, b4, b5, b6, b7);
        let a6 = x[x6 + k];
        s6 += products(a6, b0, b1, b2, b3);
        t6 += products(a6, b4, b5, b6, b7);
        let a7 = x[x7 + k];
        s7 += products(a7, b0, b1, b2, b3);
        t7 += products(a7, b4, b5, b6, b7);
    }
    store(row + 0u, column, s0);
    store(row + 0u, column + 4u, t0);
    store(row + 1u, column, s1);
    store(row + 1u, column + 4u, t1);
    store(row + 2u, column, s2);
    store(row + 2u, column + 4u, t2);
    store(row + 3u, column, s3);
    store(row + 3u, column + 4u, t3);
    store(row + 4u, column, s4);
    store(row + 4u, column + 4u, t4);
    store(row + 5u, column, s5);
    store(row + 5u, column + 4u, t5);
    store(row + 6u, column, s6);
    store(row + 6u, column + 4u, t6);
    store(row + 7u, column, s7);
    store(row + 7u, column + 4u, t7);
}
