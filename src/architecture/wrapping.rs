//! Where a text tower lies in the files of its model: what is left of the model around it in a
//! description. Must not know the model.

/// Where a decoder lies in the files of a model of images and text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrapping {
    /// The key of `config.json` whose object has the decoder's keys; none where they are at the
    /// top.
    pub config_key: Option<&'static str>,
    /// To the outputs of so many of the first blocks, features of an image are added by the block's
    /// number.
    pub image_blocks: usize,
}
