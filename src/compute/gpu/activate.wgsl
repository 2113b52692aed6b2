// x = activation(x), element by element. Buffers are filled up to whole fours.

struct Shape {
    fours: u32, // elements / 4, rounded up
    // The numbers of xIELU.
    p: f32,
    n: f32,
    beta: f32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;    // [fours]

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = (group.x + group.y * groups.x) * 64u + local;
    if (index < shape.fours) {
        x[index] = activation(x[index]);
    }
}
