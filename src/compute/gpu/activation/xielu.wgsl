// xIELU (arXiv 2411.13010): p x^2 + beta x above 0, n (exp(min(x, eps)) - 1 - x) + beta x below,
// with the numbers of `shape`.
fn activation(x: vec4<f32>) -> vec4<f32> {
    let t = min(x, vec4<f32>(shape.eps));
    // exp(t) - 1 loses its digits near 0, where the series of degree 7 is within 2e-7 of itself.
    let series = t * (1.0 + t * (1.0 / 2.0 + t * (1.0 / 6.0 + t * (1.0 / 24.0 + t * (1.0 / 120.0 + t * (1.0 / 720.0 + t / 5040.0))))));
    let less_one = select(exp(max(t, vec4<f32>(-80.0))) - 1.0, series, t > vec4<f32>(-0.5));
    let below = (less_one - x) * shape.n;
    return select(below, shape.p * x * x, x > vec4<f32>()) + shape.beta * x;
}
