//! Measures every miniature of `tests/fixtures` against what transformers recorded of it, on both
//! engines and with both styles of its configuration, and writes merges of it for transformers to
//! load.
//!
//! `cargo run --example families -- OUT` writes the folders `OUT/<miniature>/<merge>` and
//! `OUT/measured.json`; `cargo xtask families` makes a table of it.

use std::error::Error;
use std::path::Path;
use std::rc::Rc;

use mka_lab::checkpoint::source::{MemorySource, Source};
use mka_lab::interface::CalibrateOptions;
use mka_lab::merge::choices::{Alpha, Combination, Repair, Selection};
use mka_lab::merge::options::MergeOptions;
use mka_lab::platform::off_heap::Meter;
use mka_lab::session::{Lab, Model};
use mka_lab::task::Task;
use oracle::{Differences, differences, ids, input, loss};
use serde_json::{Map, Value, json};

#[path = "../tests/support/oracle.rs"]
mod oracle;

type Done<T> = Result<T, Box<dyn Error>>;

/// What is done to blocks 1 and 2 of each: the name of its folder, the combination, the weight of
/// block 1 where it is an average, and the repair.
const MERGES: [(&str, Combination, Option<f64>, Repair); 9] = [
    ("drop", Combination::Drop, None, Repair::None),
    ("average", Combination::Average, Some(0.5), Repair::None),
    ("difference", Combination::Difference, None, Repair::None),
    ("concatenate", Combination::Concatenate, None, Repair::None),
    ("drop-repaired", Combination::Drop, None, Repair::Linear),
    ("average-repaired", Combination::Average, Some(0.5), Repair::Linear),
    ("drop-scaled", Combination::Drop, None, Repair::Scale),
    ("drop-refitted", Combination::Drop, None, Repair::Refit),
    ("concatenate-refitted", Combination::Concatenate, None, Repair::Refit),
];

fn main() -> Done<()> {
    let out = std::env::args().nth(1).ok_or("expected the folder to write to")?;
    let out = Path::new(&out);
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(&fixtures)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        names.extend(path.join("reference.json").is_file().then(|| name.to_owned()));
    }
    names.sort();
    let labs = pollster::block_on(async {
        Ok::<_, Box<dyn Error>>([Lab::create("cpu").await?, Lab::create("webgpu").await?])
    })?;
    let mut measured = Map::new();
    for name in names {
        println!("{name}");
        let record = pollster::block_on(measure(&labs, &fixtures.join(&name), &out.join(&name)))?;
        measured.insert(name, record);
    }
    Ok(std::fs::write(out.join("measured.json"), Value::from(measured).to_string())?)
}

/// The largest differences of a miniature on each engine, and the losses that its merges are
/// measured to have.
async fn measure(labs: &[Rc<Lab>], folder: &Path, out: &Path) -> Done<Value> {
    let reference: Value = serde_json::from_slice(&std::fs::read(folder.join("reference.json"))?)?;
    let mut record = json!({ "transformers": reference["transformers"], "ids": reference["input_ids"] });
    for (lab, engine) in labs.iter().zip(["cpu", "webgpu"]) {
        let mut worst = Differences { logits: 0.0, hidden: 0.0, loss: 0.0 };
        for style in ["config.json", "config.v4.json"] {
            let model = open(lab, folder, style).await?;
            record["family"] = model.summary().family.into();
            worst = worst.max(differences(&model, &reference).await?);
        }
        let Differences { logits, hidden, loss } = worst;
        record[engine] = json!({ "logits": logits, "hidden": hidden, "loss": loss });
    }
    // The older style has other keys for the kinds of blocks: what is merged shows them, how does
    // not.
    for (style, suffix, merges) in [("config.json", "", &MERGES[..]), ("config.v4.json", "-v4", &MERGES[..2])] {
        let model = open(&labs[0], folder, style).await?;
        for &(name, combination, alpha, repair) in merges {
            let name = format!("{name}{suffix}");
            let options = MergeOptions {
                selection: Some(Selection::Manual),
                pairs: Some(vec![(1, 2)]),
                combination: Some(combination),
                alpha: alpha.map(Alpha::Weight),
                repair: Some(repair),
                holdout: Some(0.0),
                ..MergeOptions::default()
            };
            match merge(&model, &ids(&reference), &options, &out.join(&name)).await {
                Ok(loss) => record["merges"][name] = loss.into(),
                // Not for blocks that read the stream without a norm before them, not for those
                // that write to it through one, and not where an activation cannot be that of both.
                Err(error) if matches!(repair, Repair::Scale | Repair::Refit) => println!("  {error}"),
                Err(error) if error.to_string().contains("has learned") => println!("  {error}"),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(record)
}

/// The model in a folder, with the configuration of this style.
async fn open(lab: &Rc<Lab>, folder: &Path, style: &str) -> Done<Rc<Model>> {
    let mut files: Vec<Source> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = match name {
            "reference.json" => continue,
            _ if name == style => "config.json",
            _ if name.starts_with("config") => continue,
            _ => name,
        };
        files.push(Rc::new(MemorySource::new(name, &std::fs::read(&path)?, &Meter::default())?));
    }
    Ok(lab.open(&files, &Task::silent()).await?)
}

/// Merges blocks 1 and 2 into a folder; the loss of the result.
async fn merge(model: &Rc<Model>, ids: &[u32], options: &MergeOptions, out: &Path) -> Done<f64> {
    let task = Task::silent();
    let calibration = CalibrateOptions {
        input: input(ids),
        sequences: Some(3),
        window: Some(ids.len() / 3),
        ..CalibrateOptions::default()
    };
    let calibration = model.calibrate(&calibration, &task).await?;
    let merged = model.merge(options, Some(&calibration), &task).await?;
    std::fs::create_dir_all(out)?;
    for file in merged.files()? {
        std::fs::write(out.join(&file.name), file.bytes().await?)?;
    }
    Ok(loss(&merged, ids).await?)
}
