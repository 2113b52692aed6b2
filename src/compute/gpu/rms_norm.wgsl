// Each row over its root mean square, times gain: out = x / sqrt(mean(x^2) + epsilon) * gain. One
// workgroup computes one row. The type `Lanes`, its `WIDTH` and `inner` depend on the number of
// columns.

struct Shape {
    n: u32,       // rows
    chunks: u32,  // columns / WIDTH
    columns: f32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<Lanes>;             // [n, chunks]
@group(0) @binding(2) var<storage, read> gain: array<Lanes>;          // [chunks]
@group(0) @binding(3) var<storage, read_write> out: array<Lanes>;     // [n, chunks]

var<workgroup> squares: array<f32, 32>;

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
    let first = row * shape.chunks;
    var sum = 0.0;
    for (var i = local; i < shape.chunks; i += 32u) {
        let value = x[first + i];
        sum += inner(value, value);
    }
    squares[local] = sum;
    workgroupBarrier();
    // Each invocation adds all up: cheaper than a tree of barriers.
    sum = 0.0;
    for (var i = 0u; i < 32u; i += 1u) {
        sum += squares[i];
    }
    let scale = 1.0 / sqrt(sum / shape.columns + shape.epsilon);
    for (var i = local; i < shape.chunks; i += 32u) {
        out[first + i] = x[first + i] * scale * gain[i];
    }
}
