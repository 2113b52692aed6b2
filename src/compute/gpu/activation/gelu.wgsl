// x / 2 (1 + erf(x / sqrt(2))), with erf after Abramowitz and Stegun 7.1.26, within 1.5e-7.
fn activation(x: vec4<f32>) -> vec4<f32> {
    let z = abs(x) * 0.70710678;
    let t = 1.0 / (1.0 + 0.3275911 * z);
    let tail = ((((1.0614054 * t - 1.4531521) * t + 1.4214138) * t - 0.28449672) * t + 0.2548296) * t;
    let outside = tail * exp(max(-z * z, vec4<f32>(-80.0)));
    return 0.5 * (x + abs(x)) - 0.5 * abs(x) * outside;
}
