// out[column, row] = x[row, column] * weights[row]. One invocation moves a square of 4 x 4, so that
// both sides are met in runs of four.

struct Shape {
    n: u32,            // rows of x
    d: u32,            // columns of x
    has_weights: u32,  // 0: `weights` is not read
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;             // [n, d]
@group(0) @binding(2) var<storage, read> weights: array<f32>;       // [n]
@group(0) @binding(3) var<storage, read_write> out: array<f32>;     // [d, n]

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = (group.x + group.y * groups.x) * 64u + local;
    let across = (shape.d + 3u) / 4u;
    let row = index / across * 4u;
    let column = index % across * 4u;
    for (var i = 0u; i < 4u && row + i < shape.n; i += 1u) {
        var weight = 1.0;
        if (shape.has_weights != 0u) {
            weight = weights[row + i];
        }
        for (var j = 0u; j < 4u && column + j < shape.d; j += 1u) {
            out[(column + j) * shape.n + row + i] = x[(row + i) * shape.d + column + j] * weight;
        }
    }
}
