// Each row less its mean, over its standard deviation: out = (x - mean) / sqrt(mean((x - mean)^2) +
// epsilon) * gain + bias. One workgroup computes one row. The type `Lanes`, its `WIDTH`, `inner`
// and `total` depend on the number of columns.

struct Shape {
    n: u32,       // rows
    chunks: u32,  // columns / WIDTH
    columns: f32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<Lanes>;             // [n, chunks]
@group(0) @binding(2) var<storage, read> gain: array<Lanes>;          // [chunks]
@group(0) @binding(3) var<storage, read> bias: array<Lanes>;          // [chunks]
@group(0) @binding(4) var<storage, read_write> out: array<Lanes>;     // [n, chunks]

var<workgroup> parts: array<f32, 32>;

// The sum over all invocations. Each adds all up: cheaper than a tree of barriers.
fn together(local: u32, part: f32) -> f32 {
    workgroupBarrier();
    parts[local] = part;
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < 32u; i += 1u) {
        sum += parts[i];
    }
    return sum;
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
    let first = row * shape.chunks;
    var sum = 0.0;
    for (var i = local; i < shape.chunks; i += 32u) {
        sum += total(x[first + i]);
    }
    let mean = together(local, sum) / shape.columns;
    // Around the mean, not from the sum of squares: the mean may be large against the deviation.
    var squares = 0.0;
    for (var i = local; i < shape.chunks; i += 32u) {
        let value = x[first + i] - mean;
        squares += inner(value, value);
    }
    let scale = 1.0 / sqrt(together(local, squares) / shape.columns + shape.epsilon);
    for (var i = local; i < shape.chunks; i += 32u) {
        out[first + i] = (x[first + i] - mean) * scale * gain[i] + bias[i];
    }
}
