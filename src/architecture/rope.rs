//! Rotary position embedding: frequencies per pair of channels, and the table that the engines rotate by.

use serde_json::Value;

use crate::checkpoint::config::{Config, number};
use crate::error::{Error, Result};

/// The angular frequency of each rotated pair of channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Radians per position; pair i is (i, i + len) of a head.
    pub frequencies: Vec<f32>,
}

impl Rope {
    /// Frequencies for `channels` of each head from `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (before).
    ///
    /// # Errors
    /// As [`Rope::read`].
    pub fn from_config(config: &Config, channels: usize) -> Result<Self> {
        if channels % 2 == 1 {
            return Err(Error::config(format!("{channels} channels of a head cannot be rotated in halves")));
        }
        Self::read(config, None, ("rope_theta", 10_000.0), channels)
    }

    /// Frequencies for `channels` of each head, where blocks of the kind `kind` have their own parameters, and the base was called by another key
    /// (with this default) before transformers 5. An odd number of channels is rounded up, but the frequencies stay those of the odd one.
    ///
    /// `rope_type` may be `default`, `linear` or `llama3`, computed as transformers' `modeling_rope_utils` does.
    ///
    /// # Errors
    /// [`Error::BadConfig`] for values that make no sense, [`Error::UnsupportedFamily`] for another scaling.
    pub fn read(config: &Config, kind: Option<&str>, base: (&str, f64), channels: usize) -> Result<Self> {
        if channels == 0 {
            return Err(Error::config("no channel of a head is rotated"));
        }
        let parameters = config.get("rope_parameters");
        let nested = match kind {
            None => parameters.or_else(|| config.get("rope_scaling")),
            Some(kind) => parameters.and_then(|p| p.get(kind)).filter(|value| !value.is_null()).or_else(|| {
                // Before there were kinds, a scaling was that of global blocks.
                config.get("rope_scaling").filter(|_| kind == "full_attention")
            }),
        };
        let field = |key: &str| nested.and_then(|value| value.get(key)).filter(|value| !value.is_null());
        let theta = number("rope_theta", field("rope_theta").or_else(|| config.get(base.0)), Some(base.1))?;
        if theta <= 0.0 {
            return Err(Error::config(format!("rope_theta is {theta}, expected a positive number")));
        }
        let frequency = |i: usize| 1.0 / theta.powf((2 * i) as f64 / channels as f64);
        let base = (0..channels.div_ceil(2)).map(frequency);
        let kind = field("rope_type").or_else(|| field("type")).and_then(Value::as_str).unwrap_or("default");
        let scaled: Vec<f64> = match kind {
            "default" => base.collect(),
            "linear" => {
                let factor = number("factor", field("factor"), None)?;
                if factor <= 0.0 {
                    return Err(Error::config(format!("the factor of the rope scaling is {factor}")));
                }
                base.map(|f| f / factor).collect()
            }
            "llama3" => {
                let scaling = Llama3::read(&field)?;
                base.map(|f| scaling.apply(f)).collect()
            }
            other => {
                let family = config.word_or("model_type", "llama")?.into();
                let reason = format!(
                    "rotary scaling {other:?} is not computed by this version (default, linear and llama3 are)"
                );
                return Err(Error::UnsupportedFamily { family, reason });
            }
        };
        Ok(Self { frequencies: scaled.into_iter().map(|f| f as f32).collect() })
    }

    /// The table `[positions, 2 * pairs]` for the positions `0..positions`: cosines, then sines. Angles are products in `f32`, as transformers has them.
    pub fn table(&self, positions: usize) -> Vec<f32> {
        let mut table = Vec::with_capacity(positions * 2 * self.frequencies.len());
        for position in 0..positions {
            let angle = |f: &f32| f64::from(position as f32 * f);
            table.extend(self.frequencies.iter().map(|f| angle(f).cos() as f32));
            table.extend(self.frequencies.iter().map(|f| angle(f).sin() as f32));
        }
        table
    }
}

/// How many channels of a head of `head_size` are rotated: the share `partial_rotary_factor`, which was called `key` before transformers 5.
///
/// # Errors
/// [`Error::BadConfig`] unless it is between 0 and 1.
pub fn share(config: &Config, key: &str, default: f64, head_size: usize) -> Result<usize> {
    let nested = config.get("rope_parameters").and_then(|p| p.get("partial_rotary_factor"));
    let share = number(key, nested.filter(|value| !value.is_null()).or_else(|| config.get(key)), Some(default))?;
    if !(share > 0.0 && share <= 1.0) {
        return Err(Error::config(format!("{key} is {share}, expected a share of the head")));
    }
    Ok((head_size as f64 * share) as usize)
}

/// Llama 3's scaling: long wavelengths are stretched by `factor`, short ones kept, those between blended.
struct Llama3 {
    factor: f64,
    low: f64,
    high: f64,
    original: f64,
}

impl Llama3 {
    fn read<'a>(field: &impl Fn(&str) -> Option<&'a Value>) -> Result<Self> {
        let get = |key| number(key, field(key), None);
        let scaling = Self {
            factor: get("factor")?,
            low: get("low_freq_factor")?,
            high: get("high_freq_factor")?,
            original: get("original_max_position_embeddings")?,
        };
        if scaling.factor <= 0.0 || scaling.original <= 0.0 || scaling.low <= 0.0 || scaling.high <= scaling.low {
            return Err(Error::config(
                "the llama3 rope scaling needs positive factors, high_freq_factor above low_freq_factor",
            ));
        }
        Ok(scaling)
    }

    fn apply(&self, frequency: f64) -> f64 {
        let wavelength = 2.0 * std::f64::consts::PI / frequency;
        if wavelength < self.original / self.high {
            frequency
        } else if wavelength > self.original / self.low {
            frequency / self.factor
        } else {
            let smooth = (self.original / wavelength - self.low) / (self.high - self.low);
            (1.0 - smooth) * frequency / self.factor + smooth * frequency
        }
    }
}
