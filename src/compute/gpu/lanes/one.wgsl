// Channels are read one by one: their number is not a multiple of 4.
alias Lanes = f32;
const WIDTH = 1u;

fn inner(a: Lanes, b: Lanes) -> f32 {
    return a * b;
}

fn total(a: Lanes) -> f32 {
    return a;
}
