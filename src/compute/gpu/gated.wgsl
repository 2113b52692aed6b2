// gate = silu(gate) * up, element by element, with silu(x) = x / (1 + exp(-x)). Buffers are filled up to whole fours.

struct Shape {
    fours: u32, // elements / 4, rounded up
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> up: array<vec4<f32>>;            // [fours]
@group(0) @binding(2) var<storage, read_write> gate: array<vec4<f32>>;    // [fours]

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = (group.x + group.y * groups.x) * 64u + local;
    if (index >= shape.fours) {
        return;
    }
    let x = gate[index];
    // WGSL may take infinities for anything; beyond -80 the result is 0 in f32 anyway.
    gate[index] = x / (1.0 + exp(min(-x, vec4<f32>(80.0)))) * up[index];
}
