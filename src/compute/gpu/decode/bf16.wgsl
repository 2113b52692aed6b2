// Weights stored as bfloat16, the upper half of an f32: four to two words, the lower half of a word
// first.
alias Stored = vec2<u32>;

fn decode(four: Stored) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(four.x << 16u, four.x & 0xffff0000u, four.y << 16u, four.y & 0xffff0000u));
}
