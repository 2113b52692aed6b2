//! The order of a merge: choose a pair, choose alpha, book it, measure the current model where the next choice needs it.

use std::rc::Rc;

use super::calibration::Calibration;
use super::input::digest;
use super::{Model, Origin};
use crate::architecture::Description;
use crate::error::{Error, Result};
use crate::interface::{AlphaOption, ManifoldOptions, MergeOptions};
use crate::merge::Survivors;
use crate::merge::combine::{Norms, combine, mixed_kinds};
use crate::merge::presets::PRESETS;
use crate::merge::recipe::{FORMAT, Recipe, RecipeModel, RecipeProtect, RecipeStep, norms_from};
use crate::merge::selection::{Pair, Protect, Selection, flattest_window, least_influence, most_similar, tail};
use crate::similarity::{LayerMatrix, Measure};
use crate::task::Task;
use crate::transformer::Transformer;

/// Where the weight of the front layer comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Alpha {
    /// The front layer stays as it is.
    Drop,
    /// The similarity of the pair on the current model.
    Similarity,
    /// 1 / (1 + exp(-s_l / (s_l + s_(l+1)))), s the mean of a row of the similarity matrix: about 0.62 whatever the layers.
    Published,
    /// Equal weights of all that went into the survivor.
    Equal,
    /// A number.
    Fixed(f64),
}

/// The user's choices, checked.
struct Plan {
    preset: Option<String>,
    selection: Selection,
    alpha: Alpha,
    norms: Norms,
    protect: Protect,
    remove: usize,
    pairs: Vec<(usize, usize)>,
}

impl Model {
    /// Merges layers as the options say, or replays a recipe.
    ///
    /// # Errors
    /// [`Error::BadArgument`] naming the option that cannot be followed, [`Error::Cancelled`], or what measuring, reading and computing fail with.
    pub async fn merge(
        self: &Rc<Self>,
        options: &MergeOptions,
        calibration: Option<&Calibration>,
        task: &Task,
    ) -> Result<Rc<Self>> {
        self.lab.weights.sweep();
        if self.origin.is_some() {
            let reason = "this model is a merged one; merge the original with more layers instead";
            return Err(Error::argument("model", reason));
        }
        match &options.recipe {
            Some(recipe) => self.replay(recipe, calibration, task).await,
            None => {
                let plan = Plan::new(options, &self.transformer.description)?;
                let recipe = self.choose(&plan, calibration, task).await?;
                self.finish(recipe, calibration, Vec::new(), task).await
            }
        }
    }

    async fn replay(
        self: &Rc<Self>,
        recipe: &Recipe,
        calibration: Option<&Calibration>,
        task: &Task,
    ) -> Result<Rc<Self>> {
        recipe.check(self.transformer.description.layers)?;
        let mut warnings = Vec::new();
        if recipe.model.fingerprint != self.transformer.checkpoint.fingerprint {
            if calibration.is_none() {
                let reason =
                    "it was made on another model; pass a calibration of this one if you mean to replay it here";
                return Err(Error::argument("recipe", reason));
            }
            warnings.push("The recipe was made on another model; its choices were not measured on this one.".into());
        }
        self.finish(recipe.clone(), calibration, warnings, task).await
    }

    /// Carries a recipe out.
    async fn finish(
        self: &Rc<Self>,
        recipe: Recipe,
        calibration: Option<&Calibration>,
        mut warnings: Vec<String>,
        task: &Task,
    ) -> Result<Rc<Self>> {
        let survivors = recipe.survivors()?;
        warnings.extend(mixed_kinds(&self.transformer.description, &survivors));
        let (transformer, changes) = self.merged(&survivors, recipe.norms()?, task).await?;
        let calibrated_on = calibration.map_or(Vec::new(), |c| c.sample.windows.iter().map(digest).collect());
        let origin = Origin { dense: self.clone(), recipe, changes, calibrated_on };
        let tokenizer = self.tokenizer.clone();
        Ok(Rc::new(Self { lab: self.lab.clone(), transformer, tokenizer, warnings, origin: Some(origin) }))
    }

    /// The model that the books describe.
    async fn merged(
        &self,
        survivors: &Survivors,
        norms: Norms,
        task: &Task,
    ) -> Result<(Transformer, Vec<crate::merge::combine::TensorChange>)> {
        let t = &self.transformer;
        let (checkpoint, changes) =
            combine(&t.checkpoint, &t.description, survivors, norms, &self.lab.meter, task).await?;
        let description = t.description.with_blocks(&survivors.layers());
        Ok((self.lab.transformer(checkpoint, description)?, changes))
    }

    /// Chooses pair after pair.
    async fn choose(&self, plan: &Plan, calibration: Option<&Calibration>, task: &Task) -> Result<Recipe> {
        let layers = self.transformer.description.layers;
        let mut measured = Measured { model: self, plan, given: calibration, current: None, matrix: None };
        let mut survivors = Survivors::all(layers);
        let mut steps = Vec::new();
        let mut queue = plan.queue(measured.given, layers, task).await?.into_iter();
        let influence = match plan.selection {
            Selection::BlockInfluence => measured.given()?.block_influence(task).await?,
            _ => Vec::new(),
        };
        for _ in 0..plan.remove {
            let changes = plan.alpha != Alpha::Drop;
            let pair = match plan.selection {
                Selection::Manual | Selection::Window => {
                    queue.next().ok_or_else(|| Error::argument("pairs", "there are fewer than layers to remove"))?
                }
                Selection::Tail => tail(&survivors, layers, plan.protect, changes)?,
                Selection::BlockInfluence => least_influence(&survivors, plan.protect, changes, &influence)?,
                Selection::Similarity => {
                    let matrix = measured.matrix(&survivors, task).await?;
                    most_similar(&survivors, layers, plan.protect, changes, |i| matrix.get(i, i + 1))?
                }
            };
            let (alpha, similarity) = measured.alpha(&survivors, pair, task).await?;
            survivors.merge(pair.keep, pair.gone, alpha)?;
            measured.forget();
            steps.push(RecipeStep { keep: pair.keep, gone: pair.gone, alpha, score: pair.score, similarity });
        }
        let used = plan.selection != Selection::Manual && plan.selection != Selection::Tail
            || matches!(plan.alpha, Alpha::Similarity | Alpha::Published);
        Ok(Recipe {
            format: FORMAT.into(),
            tool: concat!("mka-lab ", env!("CARGO_PKG_VERSION")).into(),
            model: RecipeModel {
                family: self.transformer.description.family.into(),
                layers,
                fingerprint: self.transformer.checkpoint.fingerprint.clone(),
            },
            preset: plan.preset.clone(),
            selection: Selection::NAMES.iter().find(|(_, s)| *s == plan.selection).map_or("", |(name, _)| name).into(),
            combination: if plan.alpha == Alpha::Drop { "drop" } else { "average" }.into(),
            alpha: plan.alpha.word().map(Into::into),
            norms: if plan.norms == Norms::Keep { "keep" } else { "fold" }.into(),
            repair: "none".into(),
            protect: RecipeProtect { first: plan.protect.first, last: plan.protect.last },
            calibration: calibration.filter(|_| used).map(Calibration::record),
            steps,
        })
    }
}

/// What is known of the model as it is after the merges so far; measured when first asked for.
struct Measured<'a> {
    model: &'a Model,
    plan: &'a Plan,
    given: Option<&'a Calibration>,
    /// The last model that was calibrated after a merge, by its books.
    current: Option<(Survivors, Calibration)>,
    matrix: Option<Rc<LayerMatrix>>,
}

impl Measured<'_> {
    fn given(&self) -> Result<&Calibration> {
        let given = self.given.ok_or_else(|| {
            Error::argument(
                "calibration",
                "this way of merging measures the layers first; calibrate the model and pass the result",
            )
        })?;
        if given.fingerprint != self.model.transformer.checkpoint.fingerprint {
            return Err(Error::argument("calibration", "it was run on another model"));
        }
        Ok(given)
    }

    /// The NPIB matrix of the current model.
    async fn matrix(&mut self, survivors: &Survivors, task: &Task) -> Result<Rc<LayerMatrix>> {
        if let Some(matrix) = &self.matrix {
            return Ok(matrix.clone());
        }
        let all = Survivors::all(self.model.transformer.description.layers);
        let before = self.current.as_ref().map_or(&all, |(books, _)| books);
        if before != survivors {
            let common = before.blocks().iter().zip(survivors.blocks()).take_while(|(a, b)| a == b).count();
            let (transformer, _) = self.model.merged(survivors, self.plan.norms, task).await?;
            let measured = match &self.current {
                Some((_, calibration)) => calibration.again(&transformer, common, task).await?,
                None => self.given()?.again(&transformer, common, task).await?,
            };
            self.current = Some((survivors.clone(), measured));
        }
        let calibration = match &self.current {
            Some((_, calibration)) => calibration,
            None => self.given()?,
        };
        let matrix = calibration.similarity(Measure::NpibGaussian, &ManifoldOptions::default(), task).await?;
        Ok(self.matrix.insert(Rc::new(matrix)).clone())
    }

    /// Called when the model changes.
    fn forget(&mut self) {
        self.matrix = None;
    }

    /// The weight of the front layer, and the similarity that it was taken from.
    async fn alpha(&mut self, survivors: &Survivors, pair: Pair, task: &Task) -> Result<(f64, Option<f64>)> {
        let index = survivors.blocks().iter().position(|survivor| survivor.layer == pair.keep);
        let index = index.filter(|index| index + 1 < survivors.blocks().len()).ok_or_else(|| {
            Error::argument("pairs", format!("[{}, {}]: left are {:?}", pair.keep, pair.gone, survivors.layers()))
        })?;
        match self.plan.alpha {
            Alpha::Drop => Ok((1.0, None)),
            Alpha::Fixed(alpha) => Ok((alpha, None)),
            Alpha::Equal => {
                let merged = survivors.blocks()[index].terms.len() as f64;
                Ok((merged / (merged + 1.0), None))
            }
            Alpha::Similarity => {
                let similarity = self.matrix(survivors, task).await?.get(index, index + 1);
                Ok((similarity, Some(similarity)))
            }
            Alpha::Published => {
                let matrix = self.matrix(survivors, task).await?;
                let mean =
                    |row: usize| (0..matrix.layers).map(|c| matrix.get(row, c)).sum::<f64>() / matrix.layers as f64;
                let (front, back) = (mean(index), mean(index + 1));
                Ok((1.0 / (1.0 + (-front / (front + back)).exp()), Some(matrix.get(index, index + 1))))
            }
        }
    }
}

impl Alpha {
    /// What a recipe calls it.
    fn word(self) -> Option<&'static str> {
        match self {
            Self::Drop => None,
            Self::Similarity => Some("similarity"),
            Self::Published => Some("published"),
            Self::Equal => Some("equal"),
            Self::Fixed(_) => Some("fixed"),
        }
    }
}

impl Plan {
    fn new(options: &MergeOptions, description: &Description) -> Result<Self> {
        let preset = match &options.preset {
            None => None,
            Some(name) => Some(PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
                let names = PRESETS.map(|preset| preset.name).join(", ");
                Error::argument("preset", format!("{name:?} is not one of {names}"))
            })?),
        };
        let word = |given: &Option<String>,
                    of_preset: fn(&crate::merge::presets::PresetOptions) -> &'static str,
                    default: &str| {
            given.clone().unwrap_or_else(|| preset.map_or(default, |preset| of_preset(&preset.options)).into())
        };
        let selection = word(&options.selection, |preset| preset.selection, "similarity");
        let selection =
            Selection::NAMES.iter().find(|(name, _)| *name == selection).map(|(_, s)| *s).ok_or_else(|| {
                let names = Selection::NAMES.map(|(name, _)| name).join(", ");
                Error::argument("selection", format!("{selection:?} is not one of {names}"))
            })?;
        let combination = word(&options.combination, |preset| preset.combination, "average");
        let preset_alpha = preset.and_then(|preset| preset.options.alpha).map(|word| AlphaOption::Word(word.into()));
        let alpha = alpha_from(&combination, options.alpha.as_ref().or(preset_alpha.as_ref()), selection)?;
        if let Some(repair) = options.repair.as_deref().filter(|repair| *repair != "none") {
            return Err(Error::argument("repair", format!("is {repair:?}, this version knows \"none\"")));
        }
        let default = selection.default_protect();
        let protect = options.protect.clone().unwrap_or_default();
        let protect =
            Protect { first: protect.first.unwrap_or(default.first), last: protect.last.unwrap_or(default.last) };
        let pairs = options.pairs.clone().unwrap_or_default();
        if (selection == Selection::Manual) == pairs.is_empty() {
            return Err(Error::argument("pairs", "they go with the selection \"manual\", which needs at least one"));
        }
        let remove = if selection == Selection::Manual { pairs.len() } else { options.remove.unwrap_or(1) };
        if remove == 0 || remove >= description.layers {
            let reason =
                format!("is {remove}, expected 1 to {} of {} layers", description.layers - 1, description.layers);
            return Err(Error::argument("remove", reason));
        }
        let norms = norms_from(&word(&options.norms, |preset| preset.norms, "fold"))?;
        Ok(Self { preset: options.preset.clone(), selection, alpha, norms, protect, remove, pairs })
    }

    /// The pairs that are known before anything is merged.
    async fn queue(&self, calibration: Option<&Calibration>, layers: usize, task: &Task) -> Result<Vec<Pair>> {
        match self.selection {
            Selection::Manual => {
                Ok(self.pairs.iter().map(|(keep, gone)| Pair { keep: *keep, gone: *gone, score: None }).collect())
            }
            Selection::Window => {
                let calibration = calibration
                    .ok_or_else(|| Error::argument("calibration", "a window is chosen by measured angles"))?;
                let mut distances = Vec::new();
                for start in 0..=layers - self.remove {
                    distances.push(calibration.angular_distance(start, start + self.remove)?);
                    calibration.breathe().await?;
                    task.check()?;
                }
                flattest_window(layers, self.remove, self.protect, self.alpha != Alpha::Drop, |start| distances[start])
            }
            _ => Ok(Vec::new()),
        }
    }
}

fn alpha_from(combination: &str, alpha: Option<&AlphaOption>, selection: Selection) -> Result<Alpha> {
    match combination {
        "drop" => return Ok(Alpha::Drop),
        "average" => {}
        other => return Err(Error::argument("combination", format!("is {other:?}, expected \"average\" or \"drop\""))),
    }
    match alpha {
        None if selection == Selection::Window => Ok(Alpha::Equal),
        None => Ok(Alpha::Similarity),
        Some(AlphaOption::Fixed(alpha)) if (0.0..=1.0).contains(alpha) => Ok(Alpha::Fixed(*alpha)),
        Some(AlphaOption::Fixed(alpha)) => Err(Error::argument("alpha", format!("is {alpha}, expected 0 to 1"))),
        Some(AlphaOption::Word(word)) => match word.as_str() {
            "similarity" => Ok(Alpha::Similarity),
            "published" => Ok(Alpha::Published),
            other => {
                let reason = format!("is {other:?}, expected \"similarity\", \"published\" or a number");
                Err(Error::argument("alpha", reason))
            }
        },
    }
}
