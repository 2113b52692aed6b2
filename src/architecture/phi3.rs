//! Phi 3 and 4: Llama with queries, keys and values in one tensor, and gate and input of the MLP in
//! another.

use super::block_kind::{BlockKind, Projection};
use super::description::Description;
use super::files::Files;
use super::llama::{Biases, gate_and_up, unrotated};
use super::mistral::windowed;
use super::role::Role;
use super::rope::{Rope, RopeKeys, RopeParameters};
use crate::error::Result;

/// Names and options as `Phi3Config` of transformers has them.
pub fn describe(files: &Files<'_>) -> Result<Description> {
    let config = &files.config;
    let frame = unrotated(files, "phi3", Biases::default())?;
    let (hidden, intermediate) = (frame.hidden, config.size("intermediate_size")?);
    let (query, key) = (frame.heads * frame.head_size, frame.kv_heads * frame.head_size);
    let [gate, up] = gate_and_up(hidden, intermediate);
    let part = |role, first, rows| {
        Projection::new(role, "self_attn.qkv_proj", [rows, hidden], false, Role::AttentionNorm).part(
            query + 2 * key,
            first,
            rows,
            rows,
        )
    };
    let keys = RopeKeys { share: Some(("partial_rotary_factor", 1.0)), ..RopeKeys::default() };
    // Files from before transformers 5 call the one scaling that there is by other names.
    let parameters = RopeParameters::flat(config, &keys)?.renamed(&["su", "yarn"], "longrope");
    let described = Description {
        ropes: vec![Rope::new(config, &parameters, frame.head_size)?],
        kinds: vec![BlockKind {
            projections: vec![
                part(Role::Query, 0, query),
                part(Role::Key, query, key),
                part(Role::Value, query + key, key),
                Projection::new(Role::Output, "self_attn.o_proj", [hidden, query], false, None),
                gate,
                up,
                Projection::new(Role::Down, "mlp.down_proj", [hidden, intermediate], false, None),
            ],
            ..frame.block().clone()
        }],
        ..frame
    };
    windowed(config, described)
}
