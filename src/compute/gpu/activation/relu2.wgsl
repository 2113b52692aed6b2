// max(x, 0)^2.
fn activation(x: vec4<f32>) -> vec4<f32> {
    let positive = max(x, vec4<f32>());
    return positive * positive;
}
