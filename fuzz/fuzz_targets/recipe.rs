//! A recipe: what can be read is written as it is read again, and what can be replayed leaves as
//! many blocks as its steps say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mka_lab::architecture::{Description, Projection, Role};
use mka_lab::merge::recipe::{Recipe, Repairs};
use mka_lab_fuzz::bounded;

fuzz_target!(|bytes: &[u8]| {
    bounded(bytes.len(), || {
        let Ok(recipe) = serde_json::from_slice::<Recipe>(bytes) else { return };
        let written = serde_json::to_string(&recipe).expect("a recipe is written");
        let again: Recipe = serde_json::from_str(&written).expect("what was written is read");
        assert_eq!(written, serde_json::to_string(&again).expect("a recipe is written"));
        // A block of 16 neurons and 2 heads.
        let down = Projection::new(Role::Down, "down", [8, 16], false, None);
        let model = Description { layers: 12, kv_heads: 2, projections: vec![down], ..Description::default() };
        if recipe.check(&model).is_err() {
            return;
        }
        if let Ok(state) = recipe.merge_state(&Repairs::default()) {
            assert_eq!(state.layers().len() + recipe.steps.len(), 12);
        }
    });
});
