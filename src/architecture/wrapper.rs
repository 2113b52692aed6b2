//! Models of images and text around a decoder of a known family, the text tower: where its
//! configuration and its tensors lie, and what the model around it decides. Must not know what a
//! family computes.

use super::wrapping::Wrapping;
use crate::checkpoint::config::Config;
use crate::error::{Error, Result};

/// The key of the tower's configuration.
pub const TEXT_CONFIG: &str = "text_config";

/// A model around a text tower.
pub struct Wrapper {
    /// Its `model_type`.
    pub family: &'static str,
    /// The family of the tower.
    tower: Tower,
    /// What may come before the names of the tower's tensors: as first released, then as
    /// transformers writes them since 4.52 where that differs.
    pub roots: &'static [&'static str],
    /// The names that the head may have.
    pub heads: &'static [&'static str],
    /// Whether `tie_word_embeddings` at the top ties head and embedding where it is left out.
    tied: bool,
    /// Whether the key in the tower's configuration ties them as well.
    tied_within: bool,
    /// Whether the tower's keys may lie at the top in place of an object.
    flat: bool,
    /// The key of `vision_config` that has an entry for each of the first blocks to whose outputs
    /// features of an image are added, and the number of them where it is left out.
    by_number: Option<(&'static str, usize)>,
}

/// The family of a text tower.
enum Tower {
    /// Always this one, whatever the tower's `model_type` says.
    Always(&'static str),
    /// What the tower's `model_type` says; this one where it says nothing.
    Named(&'static str),
}

/// The families that a tower may name: their model and no more than that lies in the wrapper.
const NAMED: [&str; 5] = ["llama", "mistral", "ministral3", "qwen2", "qwen3"];

const LLAVA_ROOTS: &[&str] = &["language_model.model.", "model.language_model."];
const LLAVA_HEADS: &[&str] = &["language_model.lm_head.weight", "lm_head.weight"];

/// A model in the layout of LLaVA.
const LLAVA: Wrapper = Wrapper {
    family: "llava",
    tower: Tower::Named("llama"),
    roots: LLAVA_ROOTS,
    heads: LLAVA_HEADS,
    tied: false,
    tied_within: true,
    flat: false,
    by_number: None,
};

/// Qwen 2-VL.
const QWEN2_VL: Wrapper = Wrapper {
    family: "qwen2_vl",
    tower: Tower::Always("qwen2_vl_text"),
    roots: &["model.", "model.language_model."],
    heads: &["lm_head.weight"],
    flat: true,
    ..LLAVA
};

/// One in the layout of Idefics 3.
const IDEFICS3: Wrapper = Wrapper {
    family: "idefics3",
    roots: &["model.text_model."],
    heads: &["lm_head.weight"],
    tied_within: false,
    ..LLAVA
};

/// The models, as their config classes of transformers have them.
pub const WRAPPERS: [Wrapper; 11] = [
    Wrapper { family: "gemma3", tower: Tower::Always("gemma3_text"), tied: true, tied_within: false, ..LLAVA },
    LLAVA,
    Wrapper { family: "llava_next", tied_within: false, ..LLAVA },
    Wrapper { family: "llava_onevision", tower: Tower::Named("qwen2"), ..LLAVA },
    Wrapper { family: "internvl", tower: Tower::Named("qwen2"), tied: true, tied_within: false, ..LLAVA },
    Wrapper { family: "mistral3", tower: Tower::Named("mistral"), tied: true, tied_within: false, ..LLAVA },
    QWEN2_VL,
    Wrapper { family: "qwen2_5_vl", tower: Tower::Always("qwen2_5_vl_text"), ..QWEN2_VL },
    Wrapper {
        family: "qwen3_vl",
        tower: Tower::Always("qwen3_vl_text"),
        roots: &["model.language_model."],
        heads: &["lm_head.weight"],
        tied_within: false,
        by_number: Some(("deepstack_visual_indexes", 3)),
        ..LLAVA
    },
    IDEFICS3,
    Wrapper { family: "smolvlm", ..IDEFICS3 },
];

impl Wrapper {
    /// The one of this `model_type`.
    pub fn of(family: &str) -> Option<&'static Self> {
        WRAPPERS.iter().find(|wrapper| wrapper.family == family)
    }

    /// Where the tower lies in a model with this configuration.
    ///
    /// # Errors
    /// [`Error::BadConfig`] where the tower's configuration is missing.
    pub fn wrapping(&self, config: &Config) -> Result<Wrapping> {
        let config_key = match config.get(TEXT_CONFIG) {
            Some(_) => Some(TEXT_CONFIG),
            None if self.flat => None,
            None => return Err(Error::config(format!("{TEXT_CONFIG} is missing, which describes the text tower"))),
        };
        let listed = |key: &str| config.get("vision_config")?.get(key)?.as_array().map(Vec::len);
        let image_blocks = self.by_number.map_or(0, |(key, usual)| listed(key).unwrap_or(usual));
        Ok(Wrapping { config_key, image_blocks })
    }

    /// The family of the tower with this configuration.
    ///
    /// # Errors
    /// [`Error::UnsupportedFamily`] for one that is not computed inside of another model.
    pub fn tower(&self, text: &Config) -> Result<&'static str> {
        let named = match self.tower {
            Tower::Always(family) => return Ok(family),
            Tower::Named(usual) => text.word_or("model_type", usual)?,
        };
        NAMED.into_iter().find(|family| *family == named).ok_or_else(|| {
            let known = NAMED.join(", ");
            let reason = format!("its text tower is of the family {named:?}; those computed are {known}");
            Error::UnsupportedFamily { family: self.family.into(), reason }
        })
    }

    /// Whether head and embedding are tied, where the model's configuration is `whole` and the
    /// tower's, with its defaults, `text`.
    pub fn ties(&self, whole: &Config, text: &Config) -> Result<bool> {
        let key = "tie_word_embeddings";
        Ok(whole.flag_or(key, self.tied)? || self.tied_within && text.flag_or(key, false)?)
    }
}
