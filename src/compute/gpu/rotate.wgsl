// Rotary embedding in place: the two channels of each pair of a head are turned by the angle that
// the table gives for the position. One invocation turns one pair.

struct Shape {
    n: u32,         // rows of x
    heads: u32,     // heads in a row
    head_size: u32,
    half: u32,      // turned pairs of a head
    first: u32,     // position of the first row of a sequence
    length: u32,    // rows of a sequence
    step: u32,      // from the first channel of a pair to that of the next
    apart: u32,     // from the first channel of a pair to its second
}

@group(0) @binding(0) var<uniform> shape: Shape;
// A row of the table has the cosines, then the sines.
@group(0) @binding(1) var<storage, read> table: array<f32>;       // [positions, 2 * half]
@group(0) @binding(2) var<storage, read_write> x: array<f32>;     // [n, heads * head_size]

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = (group.x + group.y * groups.x) * 64u + local;
    if (index >= shape.n * shape.heads * shape.half) {
        return;
    }
    let pair = index % shape.half;
    let head = index / shape.half; // of all rows
    let row = head / shape.heads;
    let turn = (shape.first + row % shape.length) * 2u * shape.half + pair;
    let cosine = table[turn];
    let sine = table[turn + shape.half];
    let low = head * shape.head_size + pair * shape.step;
    let high = low + shape.apart;
    let a = x[low];
    let b = x[high];
    x[low] = a * cosine - b * sine;
    x[high] = b * cosine + a * sine;
}
