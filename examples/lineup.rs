//! The line-up from the command line; `cargo xtask lineup` builds it with optimisations and runs
//! it.
//!
//! Writes `OUT.json`, which has every point with its recipe and is gone on from when the command is
//! repeated, and `OUT.md`, the tables.

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use lexopt::prelude::*;
use mka_lab::checkpoint::source::DiskSource;
use mka_lab::interface::{CalibrateOptions, Input, LineupKey, LineupMethod, LineupOptions, LineupPoint, LineupText};
use mka_lab::session::{Lab, Model};
use mka_lab::task::Task;
use serde::{Deserialize, Serialize};

const HELP: &str = "\
cargo xtask lineup MODEL [options]      MODEL: a folder, or the name of a built-in model

  --presets a,b,c       the named methods; default all, or none where others are given
  --method NAME=JSON    a method of one's own, choices as of `merge`; again for each
  --budgets 1,3,5       how many layers go; default 1, 2, 3
  --seeds 0,1,2         default 0
  --calibrate FILE,...  texts to calibrate on, windows in turn; default the built-in ones
  --sequences N         windows to calibrate on; default 32
  --window N            tokens of each window; default 256
  --text NAME=FILE      a text to measure on, again for each; default the last fifth of the built-in texts, kind by kind
  --measure N           windows of each text to measure on; default 16
  --backend NAME        auto, webgpu or cpu; default cpu
  --out PATH            without its ending; default target/lineup/MODEL
  --keep FOLDER         where to put the models, each into a folder of its own
";

/// What decides the figures; a file of points made under others is not gone on from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Settings {
    model: PathBuf,
    calibrate: Vec<PathBuf>,
    sequences: usize,
    window: usize,
    texts: Vec<(String, PathBuf)>,
    measure: usize,
}

#[derive(Serialize, Deserialize)]
struct Record {
    settings: Settings,
    points: Vec<LineupPoint>,
}

struct Arguments {
    settings: Settings,
    presets: Option<Vec<String>>,
    methods: Vec<LineupMethod>,
    budgets: Vec<usize>,
    seeds: Vec<u32>,
    backend: String,
    out: PathBuf,
    keep: Option<PathBuf>,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    match arguments()? {
        None => {
            print!("{HELP}");
            Ok(())
        }
        Some(arguments) => pollster::block_on(run(&arguments)),
    }
}

fn list<T: std::str::FromStr>(text: &str) -> Result<Vec<T>> {
    let bad = |item: &str| format!("{item:?} in {text:?} cannot be read").into();
    text.split(',').map(|item| item.trim().parse().map_err(|_| bad(item))).collect()
}

fn arguments() -> Result<Option<Arguments>> {
    let www = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/public");
    let mut model = None;
    let (mut presets, mut methods, mut budgets, mut seeds) = (None, Vec::new(), vec![1, 2, 3], vec![0]);
    let (mut calibrate, mut texts, mut out, mut keep) = (Vec::new(), Vec::new(), None, None);
    let (mut sequences, mut window, mut measure, mut backend) = (32, 256, 16, "cpu".to_string());
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("presets") => presets = Some(list(&parser.value()?.string()?)?),
            Long("method") => {
                let text = parser.value()?.string()?;
                let (name, options) = text.split_once('=').ok_or("--method takes NAME=JSON")?;
                methods.push(LineupMethod { name: name.into(), options: serde_json::from_str(options)? });
            }
            Long("budgets") => budgets = list(&parser.value()?.string()?)?,
            Long("seeds") => seeds = list(&parser.value()?.string()?)?,
            Long("calibrate") => calibrate = list(&parser.value()?.string()?)?,
            Long("sequences") => sequences = parser.value()?.parse()?,
            Long("window") => window = parser.value()?.parse()?,
            Long("measure") => measure = parser.value()?.parse()?,
            Long("backend") => backend = parser.value()?.string()?,
            Long("out") => out = Some(PathBuf::from(parser.value()?)),
            Long("keep") => keep = Some(PathBuf::from(parser.value()?)),
            Long("text") => {
                let text = parser.value()?.string()?;
                let (name, file) = text.split_once('=').ok_or("--text takes NAME=FILE")?;
                texts.push((name.to_string(), PathBuf::from(file)));
            }
            Value(name) if model.is_none() => model = Some(PathBuf::from(name)),
            other => return Err(other.unexpected().into()),
        }
    }
    let Some(model) = model else { return Ok(None) };
    let name = model.file_name().ok_or("MODEL has no name")?.to_string_lossy().into_owned();
    let built_in = www.join("models").join(&model);
    let settings =
        Settings { model: if model.is_dir() { model } else { built_in }, calibrate, sequences, window, texts, measure };
    let out = out.unwrap_or_else(|| Path::new("target/lineup").join(name));
    if !methods.is_empty() {
        presets.get_or_insert_default();
    }
    Ok(Some(Arguments { settings, presets, methods, budgets, seeds, backend, out, keep }))
}

/// The built-in texts: name, what to calibrate on, what to measure on.
fn built_in() -> Result<Vec<(String, String, String)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("www/public/texts");
    ["fables", "drama", "exposition"]
        .into_iter()
        .map(|name| {
            let text = std::fs::read_to_string(folder.join(format!("{name}.txt")))?;
            let (front, back) = text.split_at(text.floor_char_boundary(text.len() / 5 * 4));
            Ok((name.to_string(), front.to_string(), back.to_string()))
        })
        .collect()
}

async fn run(arguments: &Arguments) -> Result<()> {
    let settings = &arguments.settings;
    let with = |ending: &str| arguments.out.with_extension(ending);
    if let Some(folder) = arguments.out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut record = match std::fs::read_to_string(with("json")) {
        Ok(text) => serde_json::from_str::<Record>(&text)?,
        Err(_) => Record { settings: settings.clone(), points: Vec::new() },
    };
    if record.settings != *settings {
        return Err(format!("{} was made with other settings; take another --out", with("json").display()).into());
    }
    let read = |path: &PathBuf| std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
    let own = built_in()?;
    let calibrate = match settings.calibrate.is_empty() {
        true => own.iter().map(|(_, front, _)| front.clone()).collect(),
        false => settings.calibrate.iter().map(read).collect::<std::result::Result<Vec<_>, _>>()?,
    };
    let mut texts = Vec::new();
    for (name, path) in &settings.texts {
        texts.push((name.clone(), read(path)?));
    }
    if texts.is_empty() {
        texts = own.into_iter().map(|(name, _, back)| (name, back)).collect();
    }
    let input = |text: String| Input { text: Some(text), ..Input::default() };
    let options = LineupOptions {
        presets: arguments.presets.clone(),
        methods: arguments.methods.clone(),
        budgets: arguments.budgets.clone(),
        seeds: Some(arguments.seeds.clone()),
        calibrate: CalibrateOptions {
            input: Input { texts: Some(calibrate), ..Input::default() },
            sequences: Some(settings.sequences),
            window: Some(settings.window),
            ..CalibrateOptions::default()
        },
        texts: texts.into_iter().map(|(name, text)| LineupText { name, input: input(text) }).collect(),
        window: Some(settings.window),
        sequences: Some(settings.measure),
        done: record.points.iter().map(|point| point.key.clone()).collect(),
    };
    let task = Task::silent();
    let lab = Lab::create(&arguments.backend).await?;
    let model = lab.open(&DiskSource::folder(&settings.model)?, &task).await?;
    let each = async |point: LineupPoint, model: Option<Rc<Model>>| {
        println!("{}", line(&point));
        let storage = |file: &Path, e: Box<dyn Error>| mka_lab::error::Error::Storage {
            file: file.display().to_string(),
            reason: e.to_string(),
        };
        if let (Some(folder), Some(model)) = (&arguments.keep, model) {
            let LineupKey { preset, removed, seed } = &point.key;
            let folder = folder.join(format!("{preset}-{removed}-seed-{seed}"));
            export(&model, &folder).await.map_err(|e| storage(&folder, e))?;
        }
        record.points.push(point);
        // Written at once: whoever stops here goes on from here.
        save(&with("json"), &record).map_err(|e| storage(&with("json"), e))
    };
    model.lineup(&options, each, &task).await?;
    std::fs::write(with("md"), tables(&record.points))?;
    println!("{}", with("md").display());
    Ok(())
}

/// The files of a merged model.
async fn export(model: &Model, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    for file in model.files()? {
        std::fs::write(folder.join(&file.name), file.bytes().await?)?;
    }
    Ok(())
}

/// Replaced as a whole, so that a break does not leave half a file.
fn save(path: &Path, record: &Record) -> Result<()> {
    let new = path.with_extension("json.new");
    std::fs::write(&new, serde_json::to_string(record)?)?;
    Ok(std::fs::rename(new, path)?)
}

fn line(point: &LineupPoint) -> String {
    let key = &point.key;
    let mut line = format!("{} {} seed {} ({:.0} s):", key.preset, key.removed, key.seed, point.seconds);
    if let Some(why) = &point.failed {
        line += &format!(" {why}");
    }
    for found in &point.measured {
        let ratio = found.merged.perplexity / found.dense.perplexity;
        let _ = write!(
            line,
            " {} {:.3} (x {ratio:.3}, KL {:.3}, top-1 {:.3})",
            found.text, found.merged.perplexity, found.kl, found.top1_agreement
        );
    }
    line
}

/// One table for each text: perplexity as a multiple of the original's, mean and, with several
/// seeds, standard deviation; then KL and top-1 agreement.
fn tables(points: &[LineupPoint]) -> String {
    let mut texts: Vec<&str> = Vec::new();
    let (mut presets, mut budgets): (Vec<&str>, Vec<usize>) = (Vec::new(), Vec::new());
    for point in points {
        for (list, name) in [(&mut presets, point.key.preset.as_str())] {
            if !list.contains(&name) {
                list.push(name);
            }
        }
        point.measured.iter().for_each(|found| {
            if !texts.contains(&found.text.as_str()) {
                texts.push(&found.text)
            }
        });
        budgets.push(point.key.removed);
    }
    budgets.sort_unstable();
    budgets.dedup();
    let mut out = String::new();
    for text in texts {
        let dense = points.iter().flat_map(|p| &p.measured).find(|found| found.text == text);
        let perplexity = dense.map_or(0.0, |found| found.dense.perplexity);
        let _ = writeln!(out, "### {text}, perplexity of the original {perplexity:.2}\n");
        let _ = writeln!(out, "Perplexity as a multiple of the original's; KL divergence in nats; top-1 agreement.\n");
        let heads = budgets.iter().map(|removed| format!(" {removed} removed |")).collect::<String>();
        let _ = writeln!(out, "| method |{heads}\n|---|{}", "---|".repeat(budgets.len()));
        for preset in &presets {
            let _ = write!(out, "| `{preset}` |");
            for removed in &budgets {
                let at = points.iter().filter(|p| p.key.preset == *preset && p.key.removed == *removed);
                let found: Vec<_> = at.flat_map(|p| &p.measured).filter(|found| found.text == text).collect();
                let column = |pick: &dyn Fn(&mka_lab::interface::LineupMeasure) -> f64| {
                    spread(&found.iter().map(|found| pick(found)).collect::<Vec<_>>())
                };
                let cell = match found.is_empty() {
                    true => "not possible".into(),
                    false => format!(
                        "{}; {}; {}",
                        column(&|found| found.merged.perplexity / found.dense.perplexity),
                        column(&|found| found.kl),
                        column(&|found| found.top1_agreement)
                    ),
                };
                let _ = write!(out, " {cell} |");
            }
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

/// Mean, and standard deviation where there are several.
fn spread(values: &[f64]) -> String {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let figure = |value: f64| if value.abs() >= 1000.0 { format!("{value:.1e}") } else { format!("{value:.3}") };
    if values.len() < 2 {
        return figure(mean);
    }
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
    format!("{} ± {}", figure(mean), figure(deviation))
}
