// out[row] = factors[row] / |x[row]|. One workgroup computes one row. The type `Lanes`, its `WIDTH`
// and `inner` depend on the number of columns.

struct Shape {
    n: u32,       // rows
    chunks: u32,  // columns / WIDTH
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<Lanes>;           // [n, chunks]
@group(0) @binding(2) var<storage, read> factors: array<f32>;       // [n]
@group(0) @binding(3) var<storage, read_write> out: array<f32>;     // [n]

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
    var sum = 0.0;
    for (var i = local; i < shape.chunks; i += 32u) {
        let value = x[row * shape.chunks + i];
        sum += inner(value, value);
    }
    squares[local] = sum;
    workgroupBarrier();
    if (local == 0u) {
        sum = 0.0;
        for (var i = 0u; i < 32u; i += 1u) {
            sum += squares[i];
        }
        out[row] = factors[row] / sqrt(sum);
    }
}
