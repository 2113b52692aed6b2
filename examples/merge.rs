//! Merges one pair of layers of a model in a folder and writes the result into another; prints the loss that it measured on token ids.
//!
//! `cargo run --example merge -- FOLDER OUT KEEP GONE ALPHA IDS`, with alpha 1 for a drop and ids as `1,2,3`.

use std::error::Error;
use std::path::Path;

use mka_lab::checkpoint::source::{MemorySource, Source};
use mka_lab::interface::{AlphaOption, EvaluateOptions, Input, MergeOptions};
use mka_lab::parked::Meter;
use mka_lab::session::Lab;
use mka_lab::task::Task;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, out, keep, gone, alpha, ids] = &arguments[..] else {
        return Err("expected FOLDER OUT KEEP GONE ALPHA IDS".into());
    };
    let ids = ids.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    let mut files: Vec<Source> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name().and_then(|name| name.to_str())) {
            files.push(std::rc::Rc::new(MemorySource::new(name, &std::fs::read(&path)?, &Meter::default())));
        }
    }
    let options = MergeOptions {
        selection: Some("manual".into()),
        pairs: Some(vec![(keep.parse()?, gone.parse()?)]),
        combination: Some("average".into()),
        alpha: Some(AlphaOption::Fixed(alpha.parse()?)),
        ..MergeOptions::default()
    };
    pollster::block_on(merge(&files, &options, ids, Path::new(out)))
}

async fn merge(files: &[Source], options: &MergeOptions, ids: Vec<u32>, out: &Path) -> Result<(), Box<dyn Error>> {
    let task = Task::silent();
    let lab = Lab::create("cpu").await?;
    let model = lab.open(files, &task).await?;
    let merged = model.merge(options, None, &task).await?;
    std::fs::create_dir_all(out)?;
    for file in merged.files()? {
        std::fs::write(out.join(&file.name), file.bytes().await?)?;
    }
    let input = Input { ids: Some(ids.clone()), ..Input::default() };
    let options = EvaluateOptions { input, window: Some(ids.len()), sequences: Some(1) };
    let (measured, _) = merged.evaluate(&options, &task).await?;
    let merged = measured.divergence.ok_or("a merged model is measured beside its original")?.merged;
    println!("{}", merged.nll);
    Ok(())
}
