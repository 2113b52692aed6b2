//! Drawn recipes: what is written is read as what it was, to the last bit. `PROPTEST_CASES` says
//! how many are drawn.

use std::collections::BTreeSet;

use proptest::collection::{btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::choices::{AlphaSource, Combination, Norms, Protect, Repair, Selection};
use super::combine::{ChannelSelection, ChannelSelectionText};
use super::recipe::{FORMAT, Recipe, RecipeCalibration, RecipeModel, RecipeRefit, RecipeStep};
use super::state::Join;
use crate::architecture::Assume;
use crate::similarity::Measure;

/// Any finite number: JSON has no others.
fn number() -> impl Strategy<Value = f64> {
    any::<u64>().prop_map(f64::from_bits).prop_filter("JSON has finite numbers", |number| number.is_finite())
}

fn selection() -> impl Strategy<Value = ChannelSelection> {
    let list = || btree_set(0u32..60, 0..20).prop_map(|set: BTreeSet<u32>| set.into_iter().collect::<Vec<u32>>());
    ([list(), list()], [list(), list()]).prop_map(|(neurons, heads)| ChannelSelection { neurons, heads })
}

fn step() -> impl Strategy<Value = RecipeStep> {
    let numbers = (of(number()), of(number()), of(number()), of(number()), of(number()));
    (0usize..200, 0usize..200, of(selection()), numbers).prop_map(
        |(keep, removed, kept, (alpha, score, similarity, ridge, scale))| {
            let kept = kept.map(ChannelSelectionText::from);
            RecipeStep { keep, removed, alpha, kept, score, similarity, ridge, scale }
        },
    )
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let model = (".*", 0usize..1000, "[0-9a-f]{64}", of(Just(Assume::Llama)))
        .prop_map(|(family, layers, fingerprint, assume)| RecipeModel { family, layers, fingerprint, assume });
    let calibration = ("[0-9a-f]{64}", 0usize..1000, 0usize..10_000, 0usize..5000, 0usize..99, any::<u32>()).prop_map(
        |(ids_sha256, sequences, window, rows, skip, seed)| RecipeCalibration {
            ids_sha256,
            sequences,
            window,
            rows,
            skip,
            seed: seed.into(),
        },
    );
    let choices = (
        select(vec![Selection::Tail, Selection::Similarity, Selection::Window, Selection::Loss, Selection::Manual]),
        select(vec![Combination::Drop, Combination::Average, Combination::Difference, Combination::Concatenate]),
        of(select(vec![AlphaSource::Similarity, AlphaSource::Search, AlphaSource::Equal, AlphaSource::Fixed])),
        select(vec![Norms::Fold, Norms::Keep]),
        select(vec![Repair::None, Repair::Scale, Repair::Linear, Repair::Refit]),
        of(select(vec![Measure::NpibGaussian, Measure::NpibKnn, Measure::Cosine, Measure::Cka])),
        any::<(bool, bool, bool)>(),
    );
    let refit = (0usize..200, [number(), number()]).prop_map(|(layer, ridges)| RecipeRefit { layer, ridges });
    let parts = (model, choices, of(".*"), of(calibration), vec(step(), 0..6), vec(refit, 0..4), ".*");
    parts.prop_map(|(model, choices, preset, calibration, steps, refits, tool)| {
        let (selection, combination, alpha, norms, repair, measure, (one_shot, first, last)) = choices;
        let protect = Protect { first, last };
        let format = FORMAT.into();
        Recipe {
            format,
            tool,
            model,
            preset,
            selection,
            measure,
            one_shot,
            combination,
            alpha,
            norms,
            repair,
            protect,
            calibration,
            steps,
            refits,
        }
    })
}

proptest! {
    #[test]
    fn a_recipe_is_read_as_it_was_written(recipe in recipe()) {
        let written = serde_json::to_string_pretty(&recipe).unwrap();
        let read: Recipe = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(serde_json::to_string_pretty(&read).unwrap(), written);
        prop_assert_eq!(read, recipe);
    }

    #[test]
    fn what_is_kept_is_what_was_chosen(chosen in selection()) {
        let text = ChannelSelectionText::from(chosen.clone());
        let step = RecipeStep {
            keep: 1, removed: 2, alpha: None, kept: Some(text), score: None, similarity: None, ridge: None, scale: None,
        };
        prop_assert_eq!(step.join().unwrap(), Join::Concatenate(chosen));
    }
}
