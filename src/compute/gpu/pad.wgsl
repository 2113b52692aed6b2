// Copies rows of k values into rows of 4 * k4, filled up with zeros, so that products can read four
// at a time.

struct Shape {
    n: u32,
    k: u32,
    k4: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;                     // [n, k]
@group(0) @binding(2) var<storage, read_write> padded: array<vec4<f32>>;    // [n, k4]

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = (group.x + group.y * groups.x) * 64u + local;
    if (index >= shape.n * shape.k4) {
        return;
    }
    let row = index / shape.k4;
    let first = index % shape.k4 * 4u;
    var four = vec4<f32>();
    for (var i = 0u; i < 4u && first + i < shape.k; i += 1u) {
        four[i] = x[row * shape.k + first + i];
    }
    padded[index] = four;
}
