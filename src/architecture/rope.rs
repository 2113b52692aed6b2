//! Rotary position embedding: frequencies per pair of channels, and the table that the engines
//! rotate by.

use serde_json::{Map, Value, json};

use crate::checkpoint::config::{Config, number};
use crate::error::{Error, Result};

/// The angular frequency of each rotated pair of channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Radians per position.
    pub frequencies: Vec<f32>,
    /// Factor of cosines and sines.
    pub magnitude: f32,
    /// What sequences beyond a length have in place of `frequencies`.
    beyond: Option<Beyond>,
}

/// Frequencies of long sequences.
#[derive(Debug, Clone, PartialEq)]
enum Beyond {
    /// Others, for sequences longer than `original`.
    Long { original: usize, frequencies: Vec<f32> },
    /// Those of a base that grows with the length, for sequences longer than `positions`.
    Dynamic { theta: f64, factor: f64, channels: f64, positions: f64 },
}

/// Which keys of a family say what `rope_parameters` says since transformers 5.
#[derive(Debug, Clone, Copy)]
pub struct RopeKeys {
    /// The key of the base.
    pub theta: &'static str,
    /// The base where no key gives one.
    pub default_theta: f64,
    /// The key and the default of the share of a head that is rotated, where it is not all of it.
    pub share: Option<(&'static str, f64)>,
}

impl Default for RopeKeys {
    fn default() -> Self {
        Self { theta: "rope_theta", default_theta: 10_000.0, share: None }
    }
}

/// The parameters of a rotary embedding, wherever `config.json` has them.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeParameters {
    fields: Map<String, Value>,
    theta: f64,
    share: Option<f64>,
    /// Whether they are those of one kind of block only.
    nested: bool,
}

impl RopeParameters {
    /// One set for all blocks: `rope_scaling` where it says something, else `rope_parameters`, as
    /// transformers 5 resolves them; what they leave out is under the keys of before.
    ///
    /// # Errors
    /// [`Error::BadConfig`] for values that make no sense.
    pub fn flat(config: &Config, keys: &RopeKeys) -> Result<Self> {
        let says_something = |value: &&Value| value.as_object().is_none_or(|fields| !fields.is_empty());
        let scaling = config.get("rope_scaling").filter(says_something);
        let fields = match scaling.or_else(|| config.get("rope_parameters")) {
            None => Map::new(),
            Some(Value::Object(fields)) => fields.clone(),
            Some(_) => return Err(Error::config("the rope parameters are not an object")),
        };
        let mut parameters = Self::read(config, fields, (keys.theta, keys.default_theta))?;
        if keys.share.is_none() && parameters.word() != "default" {
            let given = parameters.field("partial_rotary_factor").or_else(|| config.get("partial_rotary_factor"));
            let share = number("partial_rotary_factor", given, Some(1.0))?;
            if share != 1.0 {
                let reason = format!("partial_rotary_factor is {share}, but blocks of this family rotate whole heads");
                return Err(Error::config(reason));
            }
        }
        if let Some((key, default)) = keys.share {
            let share =
                number(key, parameters.field("partial_rotary_factor").or_else(|| config.get(key)), Some(default))?;
            if !(share > 0.0 && share <= 1.0) {
                return Err(Error::config(format!("{key} is {share}, expected a share of the head")));
            }
            parameters.share = Some(share);
        }
        Ok(parameters)
    }

    /// The parameters for the blocks of one kind, whose base has the key `theta` outside, with its
    /// default: `rope_parameters` nests them; before transformers 5 each kind had a key for its
    /// base, and `rope_scaling` was that of the global blocks.
    ///
    /// # Errors
    /// As [`RopeParameters::flat`].
    pub fn of_kind(config: &Config, kind: &str, theta: (&str, f64)) -> Result<Self> {
        let usual = || json!({"rope_type": "default"});
        let nested = config.get("rope_parameters").map(|all| all.get(kind).filter(|own| !own.is_null()).cloned());
        let own = nested.flatten().unwrap_or_else(usual);
        let Value::Object(mut fields) = own else {
            return Err(Error::config(format!("the rope parameters of {kind} are not an object")));
        };
        if let (Some(scaling), "full_attention") = (config.get("rope_scaling").and_then(Value::as_object), kind) {
            fields.extend(scaling.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        Ok(Self { nested: true, ..Self::read(config, fields, theta)? })
    }

    /// The length that the model was made for before its positions were scaled.
    ///
    /// # Errors
    /// As [`RopeParameters::flat`].
    pub fn original_positions(&self, config: &Config) -> Result<f64> {
        let key = "original_max_position_embeddings";
        match config.get(key).filter(|_| !self.nested) {
            None => number(key, self.field(key), Some(config.number("max_position_embeddings")?)),
            given => number(key, given, None),
        }
    }

    fn read(config: &Config, fields: Map<String, Value>, (key, default): (&str, f64)) -> Result<Self> {
        let given = fields.get("rope_theta").filter(|value| !value.is_null());
        let theta = number("rope_theta", given.or_else(|| config.get(key)), Some(default))?;
        if theta <= 0.0 {
            return Err(Error::config(format!("rope_theta is {theta}, expected a positive number")));
        }
        Ok(Self { fields, theta, share: None, nested: false })
    }

    /// The same with another word for the kind of scaling, where it is one of `from`.
    pub fn renamed(mut self, from: &[&str], to: &str) -> Self {
        if from.contains(&self.word()) {
            self.fields.insert("rope_type".into(), to.into());
        }
        self
    }

    /// The same where `alpha` goes with the word `dynamic` (Hunyuan): the base is stretched once
    /// and for all lengths, to theta alpha^(d / (d - 2)) for heads of d channels, and nothing else
    /// is scaled.
    ///
    /// # Errors
    /// [`Error::BadConfig`] unless it is a positive number.
    pub fn stretched_by_alpha(mut self, head_size: usize) -> Result<Self> {
        let alpha = number("alpha", self.field("alpha"), Some(0.0))?;
        // 0 counts as left out.
        if self.word() != "dynamic" || alpha == 0.0 {
            return Ok(self);
        }
        if alpha < 0.0 {
            return Err(Error::config(format!("alpha of the rope scaling is {alpha}, expected a positive number")));
        }
        let channels = head_size as f64;
        self.theta *= alpha.powf(channels / (channels - 2.0));
        self.fields.insert("rope_type".into(), "default".into());
        Ok(self)
    }

    fn field(&self, key: &str) -> Option<&Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }

    fn word(&self) -> &str {
        self.field("rope_type").or_else(|| self.field("type")).and_then(Value::as_str).unwrap_or("default")
    }
}

impl Rope {
    /// Frequencies for heads of `head_size` channels. Where a share of them is rotated, an odd
    /// number of channels is rounded up, but the frequencies stay those of the odd one.
    ///
    /// The scaling may be `default`, `linear`, `dynamic`, `yarn`, `llama3` or `longrope`, computed
    /// as transformers' `modeling_rope_utils` does.
    ///
    /// # Errors
    /// [`Error::BadConfig`] for values that make no sense, [`Error::UnsupportedFamily`] for another
    /// scaling.
    pub fn new(config: &Config, parameters: &RopeParameters, head_size: usize) -> Result<Self> {
        let channels = (head_size as f64 * parameters.share.unwrap_or(1.0)) as usize;
        if channels == 0 {
            return Err(Error::config("no channel of a head is rotated"));
        }
        if channels % 2 == 1 && (parameters.share.is_none() || parameters.word() == "yarn") {
            return Err(Error::config(format!("{channels} channels of a head cannot be rotated in halves")));
        }
        let (theta, field) = (parameters.theta, |key: &str| parameters.field(key));
        let pairs = channels.div_ceil(2);
        let inverse = |theta: f64, i: usize| 1.0 / theta.powf((2 * i) as f64 / channels as f64);
        let base: Vec<f64> = (0..pairs).map(|i| inverse(theta, i)).collect();
        let get = |key: &str, default| number(key, field(key), default);
        let positive = |key: &str| match get(key, None)? {
            value if value > 0.0 => Ok(value),
            value => Err(Error::config(format!("{key} of the rope scaling is {value}, expected a positive number"))),
        };
        let positions = config.number("max_position_embeddings")?;
        let original = parameters.original_positions(config)?;
        let narrow = |frequencies: Vec<f64>| frequencies.into_iter().map(|f| f as f32).collect::<Vec<f32>>();
        let plain = |frequencies| Self { frequencies: narrow(frequencies), magnitude: 1.0, beyond: None };
        match parameters.word() {
            "default" => Ok(plain(base)),
            "linear" => {
                let factor = positive("factor")?;
                Ok(plain(base.iter().map(|f| f / factor).collect()))
            }
            "llama3" => {
                let scaling = Llama3::read(&field, original)?;
                Ok(plain(base.iter().map(|f| scaling.apply(*f)).collect()))
            }
            "dynamic" => {
                let (factor, channels) = (positive("factor")?, channels as f64);
                let beyond = Beyond::Dynamic { theta, factor, channels, positions };
                Ok(Self { beyond: Some(beyond), ..plain(base) })
            }
            "yarn" => {
                let factor = match parameters.fields.get("factor") {
                    Some(Value::Null) => positions / original,
                    _ => positive("factor")?,
                };
                let scale = |weight: f64| if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 };
                let (m, all) = (get("mscale", Some(0.0))?, get("mscale_all_dim", Some(0.0))?);
                let usual = if m != 0.0 && all != 0.0 { scale(m) / scale(all) } else { scale(1.0) };
                let magnitude = get("attention_factor", Some(usual))? as f32;
                // 0 counts as left out.
                let rotations =
                    |key: &str, usual: f64| get(key, Some(usual)).map(|given| if given == 0.0 { usual } else { given });
                // Transformers looks for it outside of the parameters of one kind of block.
                let truncate = parameters.nested || field("truncate").and_then(Value::as_bool).unwrap_or(true);
                let pair = |rotations: f64| {
                    channels as f64 * (original / (rotations * std::f64::consts::TAU)).ln() / (2.0 * theta.ln())
                };
                let (mut low, mut high) = (pair(rotations("beta_fast", 32.0)?), pair(rotations("beta_slow", 1.0)?));
                if truncate {
                    (low, high) = (low.floor(), high.ceil());
                }
                (low, high) = (low.max(0.0), high.min(channels as f64 - 1.0));
                if low == high {
                    high += 0.001;
                }
                let blend = |(i, f): (usize, &f64)| {
                    let ramp = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
                    f / factor * ramp + f * (1.0 - ramp)
                };
                Ok(Self { magnitude, ..plain(base.iter().enumerate().map(blend).collect()) })
            }
            "longrope" => {
                let factors = |key: &str| {
                    let list = field(key).and_then(Value::as_array).filter(|list| list.len() == pairs);
                    let list = list.ok_or_else(|| Error::config(format!("{key} is not a list of {pairs} numbers")))?;
                    let values = list.iter().zip(&base).map(|(by, f)| number(key, Some(by), None).map(|by| f / by));
                    values.collect::<Result<Vec<f64>>>()
                };
                let factor = get("factor", Some(positions / original))?;
                let usual = if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / original.ln()).sqrt() };
                let magnitude = get("attention_factor", Some(usual))? as f32;
                let beyond = Beyond::Long { original: original as usize, frequencies: narrow(factors("long_factor")?) };
                Ok(Self { magnitude, beyond: Some(beyond), ..plain(factors("short_factor")?) })
            }
            other => {
                let family = config.word_or("model_type", "")?.into();
                Err(Error::UnsupportedFamily { family, reason: format!("rotary scaling {other:?} is not computed") })
            }
        }
    }

    /// The table `[positions, 2 * pairs]` for a sequence at the positions `0..positions`: cosines,
    /// then sines. Angles are products in `f32`, as transformers has them.
    pub fn table(&self, positions: usize) -> Vec<f32> {
        let frequencies = self.at_length(positions);
        let mut table = Vec::with_capacity(positions * 2 * frequencies.len());
        for position in 0..positions {
            let angle = |f: &f32| f64::from(position as f32 * f);
            table.extend(frequencies.iter().map(|f| angle(f).cos() as f32 * self.magnitude));
            table.extend(frequencies.iter().map(|f| angle(f).sin() as f32 * self.magnitude));
        }
        table
    }

    /// Whether the frequencies depend on the length of the sequence.
    pub fn varies(&self) -> bool {
        self.beyond.is_some()
    }

    /// Whether a sequence that grows from one length to another gets a list of frequencies of its
    /// own on the way.
    pub fn breaks_between(&self, before: usize, after: usize) -> bool {
        matches!(&self.beyond, Some(Beyond::Long { original, .. }) if before > 0 && before <= *original && after > *original)
    }

    /// The frequencies for a sequence of so many positions.
    fn at_length(&self, length: usize) -> Vec<f32> {
        match &self.beyond {
            Some(Beyond::Long { original, frequencies }) if length > *original => frequencies.clone(),
            Some(Beyond::Dynamic { theta, factor, channels, positions }) if length as f64 > *positions => {
                let stretch = factor * length as f64 / positions - (factor - 1.0);
                let theta = theta * stretch.powf(channels / (channels - 2.0));
                let frequency = |i| (1.0 / theta.powf((2 * i) as f64 / channels)) as f32;
                (0..self.frequencies.len()).map(frequency).collect()
            }
            _ => self.frequencies.clone(),
        }
    }
}

/// Llama 3's scaling: long wavelengths are stretched by `factor`, short ones kept, those between
/// blended.
struct Llama3 {
    factor: f64,
    low: f64,
    high: f64,
    original: f64,
}

impl Llama3 {
    fn read<'a>(field: &impl Fn(&str) -> Option<&'a Value>, original: f64) -> Result<Self> {
        let get = |key| number(key, field(key), None);
        let scaling =
            Self { factor: get("factor")?, low: get("low_freq_factor")?, high: get("high_freq_factor")?, original };
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
