// Weights stored as f32: four to a vec4.
alias Stored = vec4<f32>;

fn decode(four: Stored) -> vec4<f32> {
    return four;
}
