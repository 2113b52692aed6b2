//! The measures of similarity by name. Must not know how any of them is computed.

use serde::{Deserialize, Serialize};

/// A measure of two layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub enum Measure {
    /// Normalised pairwise information bottleneck of Gaussians: `npib`. The default.
    #[default]
    #[serde(rename = "npib")]
    NpibGaussian,
    /// Normalised pairwise information bottleneck by k nearest neighbours: `npib-knn`.
    NpibKnn,
    /// Mean cosine of the rows: `cosine`.
    Cosine,
    /// Mean angular distance of the rows over pi: `angular`. A distance: 0 is the most similar.
    Angular,
    /// Linear centred kernel alignment: `cka`.
    Cka,
}

impl Measure {
    /// All measures, the default first.
    pub const ALL: [Self; 5] = [Self::NpibGaussian, Self::NpibKnn, Self::Cosine, Self::Angular, Self::Cka];

    /// Whether it compares diffusion maps; the others compare activations.
    pub fn uses_manifold(self) -> bool {
        matches!(self, Self::NpibGaussian | Self::NpibKnn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_recipes_and_are_read_back() {
        let words = Measure::ALL.map(|measure| serde_json::to_string(&measure).unwrap());
        assert_eq!(words, ["\"npib\"", "\"npib-knn\"", "\"cosine\"", "\"angular\"", "\"cka\""]);
        for (measure, word) in Measure::ALL.iter().zip(&words) {
            assert_eq!(serde_json::from_str::<Measure>(word).unwrap(), *measure);
        }
        assert!(serde_json::from_str::<Measure>("\"mi\"").is_err());
    }
}
