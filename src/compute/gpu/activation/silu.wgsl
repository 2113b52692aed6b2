// x / (1 + exp(-x)). WGSL leaves infinities undefined; beyond -80 the result is 0 in f32 anyway.
fn activation(x: vec4<f32>) -> vec4<f32> {
    return x / (1.0 + exp(min(-x, vec4<f32>(80.0))));
}
