// cap tanh(x / cap), with the rational function for tanh that the CPU engine has: WGSL's own may be
// off by 1e-5, and may overflow.
fn capped(x: vec4<f32>, cap: f32) -> vec4<f32> {
    let u = clamp(x / cap, vec4<f32>(-7.905311), vec4<f32>(7.905311));
    let s = u * u;
    var p = vec4<f32>(-2.7607685e-16);
    p = p * s + 2.000188e-13;
    p = p * s - 8.604672e-11;
    p = p * s + 5.122297e-8;
    p = p * s + 1.4857224e-5;
    p = p * s + 6.3726195e-4;
    p = p * s + 4.8935246e-3;
    var q = vec4<f32>(1.1982584e-6);
    q = q * s + 1.1853471e-4;
    q = q * s + 2.2684346e-3;
    q = q * s + 4.893525e-3;
    return cap * (u * p / q);
}
