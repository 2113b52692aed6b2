// Channels are read four at a time: their number is a multiple of 4.
alias Lanes = vec4<f32>;
const WIDTH = 4u;

fn inner(a: Lanes, b: Lanes) -> f32 {
    return dot(a, b);
}

fn total(a: Lanes) -> f32 {
    return dot(a, vec4<f32>(1.0));
}
