// Weights stored as IEEE half precision: four to two words, the lower half of a word first.
alias Stored = vec2<u32>;

fn decode(four: Stored) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(four.x), unpack2x16float(four.y));
}
