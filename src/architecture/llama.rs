//! Llama 1 to 3, what was built in their image (SmolLM2, TinyLlama…), and the frame that later
//! families fill differently.

use super::block_kind::{BlockKind, Norm, Projection};
use super::description::{Description, NormKind};
use super::files::Files;
use super::layers::LayerOptions;
use super::options::{Heads, activation, ends};
use super::role::Role;
use super::rope::{Rope, RopeKeys, RopeParameters};
use crate::error::Result;

/// Names and options as `LlamaConfig` of transformers has them, in its style of today and of before
/// version 5.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let bias = files.config.flag("attention_bias")?;
    let mlp_bias = files.config.flag("mlp_bias")?;
    frame(files, "llama", Biases { query_key_value: bias, output: bias, mlp: mlp_bias })
}

/// Which projections have a bias.
#[derive(Debug, Clone, Copy, Default)]
pub struct Biases {
    pub query_key_value: bool,
    pub output: bool,
    pub mlp: bool,
}

/// Pre-norm blocks of rotary grouped-query attention and a gated MLP.
pub fn frame(files: &Files<'_>, family: &'static str, biases: Biases) -> Result<Description> {
    rotated(files, family, &RopeKeys::default(), biases)
}

/// The same, with other keys for the rotary embedding.
pub fn rotated(files: &Files<'_>, family: &'static str, keys: &RopeKeys, biases: Biases) -> Result<Description> {
    let unrotated = unrotated(files, family, biases)?;
    let parameters = RopeParameters::flat(&files.config, keys)?;
    Ok(Description { ropes: vec![Rope::new(&files.config, &parameters, unrotated.head_size)?], ..unrotated })
}

/// The same without its rotary embedding.
pub fn unrotated(files: &Files<'_>, family: &'static str, biases: Biases) -> Result<Description> {
    gated(files, family, FrameKeys::default(), biases)
}

/// What families call two of the options.
#[derive(Debug, Clone, Copy)]
pub struct FrameKeys {
    pub activation: &'static str,
    pub epsilon: &'static str,
}

impl Default for FrameKeys {
    fn default() -> Self {
        Self { activation: "hidden_act", epsilon: "rms_norm_eps" }
    }
}

/// The same, with other keys.
pub fn gated(files: &Files<'_>, family: &'static str, keys: FrameKeys, biases: Biases) -> Result<Description> {
    let config = &files.config;
    let (root, head) = files.text_names(&["layers.0.", "embed_tokens.weight"]);
    let hidden = config.size("hidden_size")?;
    let heads = Heads::grouped(config, hidden)?;
    let intermediate = config.size("intermediate_size")?;
    let layers = files.layers("num_hidden_layers")?;
    let (embedding, head) = ends(files, format!("{root}embed_tokens.weight"), head)?;
    let (query, key) = (heads.query(), heads.key());
    let (attention, mlp) = (Role::AttentionNorm, Role::MlpNorm);
    Ok(Description {
        family,
        count_keys: files.count_keys("num_hidden_layers"),
        layers,
        hidden,
        heads: heads.heads,
        kv_heads: heads.kv_heads,
        head_size: heads.head_size,
        vocabulary: config.size("vocab_size")?,
        positions: config.size("max_position_embeddings")?,
        norm: NormKind::Rms,
        epsilon: config.number(keys.epsilon)? as f32,
        attention_scale: heads.scale(),
        activation: activation(config, keys.activation)?,
        layer_options: vec![LayerOptions::GLOBAL; layers],
        block_prefix: format!("{root}layers"),
        kinds: vec![BlockKind {
            norms: vec![
                Norm { role: attention, name: "input_layernorm", size: hidden },
                Norm { role: mlp, name: "post_attention_layernorm", size: hidden },
            ],
            projections: vec![
                Projection::new(Role::Query, "self_attn.q_proj", [query, hidden], biases.query_key_value, attention),
                Projection::new(Role::Key, "self_attn.k_proj", [key, hidden], biases.query_key_value, attention),
                Projection::new(Role::Value, "self_attn.v_proj", [key, hidden], biases.query_key_value, attention),
                Projection::new(Role::Output, "self_attn.o_proj", [hidden, query], biases.output, None),
                Projection::new(Role::Gate, "mlp.gate_proj", [intermediate, hidden], biases.mlp, mlp),
                Projection::new(Role::Up, "mlp.up_proj", [intermediate, hidden], biases.mlp, mlp),
                Projection::new(Role::Down, "mlp.down_proj", [hidden, intermediate], biases.mlp, None),
            ],
        }],
        embedding,
        final_norm: Some(format!("{root}norm")),
        head,
        ..Description::default()
    })
}

/// The projections of a block whose MLP is plain: without the gate.
pub fn ungated(projections: &[Projection]) -> Vec<Projection> {
    projections.iter().filter(|p| p.role != Role::Gate).copied().collect()
}

/// Gate and input projection of an MLP that are halves of one tensor, the gate first.
pub fn gate_and_up(hidden: usize, intermediate: usize) -> [Projection; 2] {
    [(Role::Gate, 0), (Role::Up, intermediate)].map(|(role, first)| {
        let whole = Projection::new(role, "mlp.gate_up_proj", [intermediate, hidden], false, Role::MlpNorm);
        whole.part(2 * intermediate, first, intermediate, intermediate)
    })
}
