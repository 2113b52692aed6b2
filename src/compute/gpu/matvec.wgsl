// The product of matmul.wgsl for at most 4 rows of x, which is bound by reading w: 8 invocations
// share one column of out and read its weights side by side. The type `Stored` and its `decode`
// come with the dtype of w, the constant `ROWS` (1 or 4) with the number of rows.

struct Shape {
    n: u32,        // rows of x and out, at most ROWS
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

// By column and invocation: one sum for each row.
var<workgroup> partial: array<array<vec4<f32>, 8>, 8>;

@compute @workgroup_size(8, 8)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let column = shape.first + (group.x + group.y * groups.x) * 8u + local.y;
    let weights = min(column, shape.last - 1u) * shape.k4;
    let row1 = min(1u, shape.n - 1u) * shape.k4;
    let row2 = min(2u, shape.n - 1u) * shape.k4;
    let row3 = min(3u, shape.n - 1u) * shape.k4;
    var sums = vec4<f32>();
    for (var k = local.x; k < shape.k4; k += 8u) {
        let b = decode(w[weights + k]);
        if (ROWS == 1u) {
            sums.x += dot(x[k], b);
        } else {
            sums += vec4<f32>(dot(x[k], b), dot(x[row1 + k], b), dot(x[row2 + k], b), dot(x[row3 + k], b));
        }
    }
    partial[local.y][local.x] = sums;
    workgroupBarrier();
    // One invocation for each row adds up and writes.
    let row = local.x;
    if (row >= shape.n || column >= shape.last) {
        return;
    }
    var sum = 0.0;
    if (shape.has_bias != 0u) {
        sum = bias[column];
    }
    for (var i = 0u; i < 8u; i += 1u) {
        sum += partial[local.y][i][row];
    }
    out[row * shape.m + column] = sum;
}
