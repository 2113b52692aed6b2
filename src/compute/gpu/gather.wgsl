// out[i] = x[rows[i]], whole rows.

struct Shape {
    count: u32,   // rows of out
    columns: u32, // of x and out
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;             // [n, columns]
@group(0) @binding(2) var<storage, read> rows: array<u32>;          // [count], below n
@group(0) @binding(3) var<storage, read_write> out: array<f32>;     // [count, columns]

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = (group.x + group.y * groups.x) * 64u + local;
    if (index >= shape.count * shape.columns) {
        return;
    }
    out[index] = x[rows[index / shape.columns] * shape.columns + index % shape.columns];
}
