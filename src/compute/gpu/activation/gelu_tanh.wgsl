// x / 2 (1 + tanh(u)) with u = sqrt(2 / pi) (x + 0.044715 x^3), as x / (1 + exp(-2 u)), which is
// the same.
fn activation(x: vec4<f32>) -> vec4<f32> {
    let twice = 1.5957691 * (x + 0.044715 * x * x * x);
    return x / (1.0 + exp(min(-twice, vec4<f32>(80.0))));
}
