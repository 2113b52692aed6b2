//! Selection, combination and repair: any with any other, for every family.
//!
//! One family has the whole product of the three in every run. The others have a covering array
//! each: every two words of different lists meet in it, and so do the three of every named method
//! and of the points below. The arrays differ between the families, so that together they are the
//! whole product as well. `--include-ignored` runs the product for every family.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use mka_lab::merge::choices::word;
use mka_lab::merge::options::{MergeOptions, ProtectOption};
use mka_lab::merge::presets::{PRESETS, Preset};
use mka_lab::similarity::Measure;

use crate::support::native::{export, lab, loss, merge, open, reference_ids, reopened, small};
use crate::support::{Files, miniature};

const SELECTIONS: [&str; 6] = ["tail", "similarity", "block-influence", "window", "loss", "manual"];
const COMBINATIONS: [&str; 4] = ["drop", "average", "difference", "concatenate"];
const REPAIRS: [&str; 4] = ["none", "scale", "linear", "refit"];

/// Points where three words do together what no two of them do.
const TOGETHER: [[&str; 3]; 3] = [
    // Merges are tried on the original model with their block refitted, the neurons chosen by what
    // the fit loses without them.
    ["loss", "concatenate", "refit"],
    // The same, after which a later merge replaces a block that was fitted already.
    ["manual", "concatenate", "refit"],
    // A later merge of the same block makes its repair void.
    ["manual", "drop", "linear"],
];

/// Selection, combination and repair.
type Point = [&'static str; 3];

fn product() -> Vec<Point> {
    let combined = |selection| COMBINATIONS.into_iter().map(move |combination| (selection, combination));
    let pairs = SELECTIONS.into_iter().flat_map(combined);
    pairs.flat_map(|(selection, combination)| REPAIRS.map(|repair| [selection, combination, repair])).collect()
}

/// The words of a point by twos, each with its place.
fn twos(point: Point) -> [(usize, &'static str, &'static str); 3] {
    [(0, point[0], point[1]), (1, point[0], point[2]), (2, point[1], point[2])]
}

/// A covering array for each of `count` families: the named points, then again and again the point
/// that brings together the most words that have not met; of several, the one that the arrays
/// before have the least often. What no array has is dealt out in the end.
fn coverings(count: usize) -> Vec<Vec<Point>> {
    let product = product();
    let known = |words: &[&'static str], of: String| *words.iter().find(|known| **known == of).unwrap();
    let preset = PRESETS.map(|Preset { options, .. }| {
        let combination = known(&COMBINATIONS, word(&options.combination));
        [known(&SELECTIONS, word(&options.selection)), combination, known(&REPAIRS, word(&options.repair))]
    });
    let named: BTreeSet<Point> = TOGETHER.into_iter().chain(preset).collect();
    let mut uses: BTreeMap<Point, usize> = BTreeMap::new();
    let mut arrays = Vec::new();
    for _ in 0..count {
        let mut array: Vec<Point> = named.iter().copied().collect();
        let mut missing: BTreeSet<_> = product.iter().flat_map(|point| twos(*point)).collect();
        missing.retain(|two| !array.iter().any(|point| twos(*point).contains(two)));
        while !missing.is_empty() {
            let new = |point: &Point| twos(*point).iter().filter(|two| missing.contains(*two)).count();
            let often = |point: &Point| uses.get(point).copied().unwrap_or(0);
            let Some(best) = product.iter().max_by_key(|point| (new(point), Reverse(often(point)))) else { break };
            missing.retain(|two| !twos(*best).contains(two));
            array.push(*best);
        }
        array.iter().for_each(|point| *uses.entry(*point).or_default() += 1);
        arrays.push(array);
    }
    let rest = product.into_iter().filter(|point| !uses.contains_key(point));
    rest.enumerate().for_each(|(index, point)| arrays[index % count].push(point));
    arrays
}

#[test]
fn every_two_words_meet_in_every_array() {
    for (array, family) in coverings(FAMILIES.len()).iter().zip(FAMILIES) {
        let met: BTreeSet<_> = array.iter().flat_map(|point| twos(*point)).collect();
        assert_eq!(met.len(), 6 * 4 + 6 * 4 + 4 * 4, "{family}");
        assert!(TOGETHER.iter().all(|point| array.contains(point)), "{family}");
        assert_eq!(array.iter().collect::<BTreeSet<_>>().len(), array.len(), "{family} has no point twice");
        assert!(array.len() <= 32, "{family} has {} points", array.len());
    }
}

#[test]
fn the_arrays_together_are_the_product() {
    let met: BTreeSet<Point> = coverings(FAMILIES.len()).into_iter().flatten().collect();
    assert_eq!(met, product().into_iter().collect());
    assert_eq!(met.len(), 96);
}

/// Merges, exports, reopens and replays each of the points.
/// A choice by its word.
fn choice<T: serde::de::DeserializeOwned>(word: &str) -> T {
    serde_json::from_value(word.into()).unwrap()
}

fn check(family: &str, files: &Files, points: &[Point]) {
    let lab = lab();
    let model = open(&lab, files);
    let ids = reference_ids(files);
    let calibration = small(&model, &ids);
    for [selection, combination, repair] in points {
        let what = format!("{family}: {selection}, {combination}, {repair}");
        let manual = *selection == "manual";
        let options = MergeOptions {
            selection: Some(choice(selection)),
            pairs: manual.then(|| vec![(0, 1), (0, 2)]),
            remove: (!manual).then_some(2),
            combination: Some(choice(combination)),
            // The rows are too few for diffusion maps.
            measure: Some(Measure::Cka),
            repair: Some(choice(repair)),
            candidates: Some(2),
            // Four layers would leave too few otherwise.
            protect: Some(ProtectOption { first: Some(false), last: Some(false) }),
            ..MergeOptions::default()
        };
        let merged = merge(&model, &options, Some(&calibration));
        // Blocks that read the stream as it is: a scale would change what they compute.
        if ["olmo2", "olmo3", "exaone4", "opt_post"].contains(&family) && *repair == "scale" {
            assert!(merged.err().unwrap().to_string().contains("without a norm"), "{what}");
            continue;
        }
        if ["gemma2", "gemma3", "gemma3_vision", "olmo2", "olmo3", "exaone4", "glm4", "opt_post"].contains(&family)
            && *repair == "refit"
        {
            assert!(merged.err().unwrap().to_string().contains("a norm between"), "{what}");
            continue;
        }
        if family == "apertus" && *combination == "concatenate" {
            assert!(merged.err().unwrap().to_string().contains("has learned"), "{what}");
            continue;
        }
        let merged = merged.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(merged.summary().layers, model.summary().layers - 2, "{what}");
        let predicted = loss(&merged, &ids);
        assert!(predicted.is_finite(), "{what}");
        let out = export(&merged);
        assert_eq!(loss(&reopened(&lab, &out), &ids), predicted, "{what}: what is written is what was measured");
        let replay = MergeOptions {
            recipe: Some(serde_json::from_slice(&out["recipe.json"]).unwrap()),
            repair_maps: out.get("repair.safetensors").cloned(),
            ..MergeOptions::default()
        };
        assert_eq!(export(&merge(&model, &replay, None).unwrap()), out, "{what}: the same bytes again");
    }
}

/// Two tests for each miniature: its array, and the product.
macro_rules! families {
    ($($name:ident),+ $(,)?) => {
        const FAMILIES: &[&str] = &[$(stringify!($name)),+];

        $(mod $name {
            use super::{FAMILIES, check, coverings, miniature, product};

            #[test]
            fn covered() {
                let index = FAMILIES.iter().position(|name| *name == stringify!($name)).unwrap();
                check(stringify!($name), &miniature::$name(), &coverings(FAMILIES.len())[index]);
            }

            #[test]
            #[ignore = "full run: 96 merges, of which the covering array has a third"]
            fn whole_product() {
                check(stringify!($name), &miniature::$name(), &product());
            }
        })+
    };
}

miniature::other_families!(families);

#[test]
fn the_whole_product_of_llama() {
    check("llama", &miniature::llama(), &product());
}

/// What a preset has in place of a concatenation, where neurons of two blocks cannot share an
/// activation, is said.
#[test]
fn presets_that_concatenate_average_blocks_with_learned_activations() {
    let lab = lab();
    let files = miniature::apertus();
    let model = open(&lab, &files);
    let calibration = small(&model, &reference_ids(&files));
    let concatenating = PRESETS.into_iter().filter(|preset| word(&preset.options.combination) == "concatenate");
    let mut tried = 0;
    for preset in concatenating {
        let options = MergeOptions { preset: Some(preset.name.into()), remove: Some(1), ..MergeOptions::default() };
        let merged = merge(&model, &options, Some(&calibration)).unwrap_or_else(|error| panic!("{error}"));
        let warnings = merged.summary().warnings;
        assert!(warnings.iter().any(|warning| warning.contains("instead of concatenated")), "{warnings:?}");
        tried += 1;
    }
    assert!(tried > 0);
}
