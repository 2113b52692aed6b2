//! Which of the files that were given are those of one checkpoint: the model may lie in a folder
//! below, and beside it may lie what an operating system, a hub's cache or a training run left.
//! Must not know what is inside the files.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::source::{Renamed, Source};
use crate::error::{Error, Result};

/// Names that operating systems leave in folders.
const LITTER: [&str; 3] = [".DS_Store", "desktop.ini", "Thumbs.db"];
/// Folders that hold copies or the history of files, and no model.
const LITTER_FOLDERS: [&str; 2] = ["__MACOSX", ".git"];
/// How files with weights end.
const WEIGHTS: [&str; 5] = [".safetensors", ".bin", ".pt", ".pth", ".gguf"];
const SEVERAL_HINT: &str = "Drop the folder of one of them.";
const ADAPTER_HINT: &str =
    "Merge it into its base model first (in peft: merge_and_unload, then save_pretrained), and open the result.";

/// The files of the one checkpoint, named by their path inside its folder.
///
/// It is the folder with a `config.json` and weights; folders inside such a folder do not count.
///
/// # Errors
/// [`Error::NotACheckpoint`] where there are several, or an adapter only.
pub fn checkpoint_files(files: &[Source]) -> Result<Vec<Source>> {
    let files: Vec<&Source> = files.iter().filter(|file| !is_litter(file.name())).collect();
    let holding = |test: fn(&str) -> bool| -> BTreeSet<&str> {
        files.iter().map(|file| split(file.name())).filter(|(_, name)| test(name)).map(|(folder, _)| folder).collect()
    };
    let configured = holding(|name| name == "config.json");
    let weighted = holding(|name| !is_adapter(name) && WEIGHTS.iter().any(|end| name.ends_with(end)));
    let whole: BTreeSet<&str> = configured.intersection(&weighted).copied().collect();
    let outermost = |folder: &&str| !whole.iter().any(|other| other != folder && folder.starts_with(other));
    let folders: Vec<&str> = whole.iter().copied().filter(outermost).collect();
    let folder = match folders[..] {
        [one] => one,
        [] => {
            if let Some(adapter) = files.iter().find(|file| is_adapter(split(file.name()).1)) {
                let found = "this belongs to an adapter (LoRA), which changes a model and is none".into();
                return Err(Error::NotACheckpoint { file: adapter.name().into(), found, hint: ADAPTER_HINT });
            }
            only(&configured).or(only(&weighted)).unwrap_or("")
        }
        _ => {
            let names: Vec<&str> = folders.iter().map(|folder| folder.trim_end_matches('/')).collect();
            let found = format!("there are {} checkpoints: {}", names.len(), names.join(", "));
            let file = format!("{}config.json", folders[0]);
            return Err(Error::NotACheckpoint { file, found, hint: SEVERAL_HINT });
        }
    };
    let inside = |file: &Source| -> Option<Source> {
        let name = file.name().strip_prefix(folder)?;
        Some(if folder.is_empty() { file.clone() } else { Rc::new(Renamed::new(name, file.clone())) })
    };
    Ok(files.into_iter().filter_map(inside).collect())
}

/// Whether a file of this name belongs to an adapter of the program peft.
pub fn is_adapter(name: &str) -> bool {
    ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"].contains(&name)
}

/// Whether a file of this path was left by an operating system and is nobody's data.
pub fn is_litter(path: &str) -> bool {
    let (folder, name) = split(path);
    name.starts_with("._") || LITTER.contains(&name) || folder.split('/').any(|part| LITTER_FOLDERS.contains(&part))
}

/// The folder, with the `/` at its end, and the name.
fn split(path: &str) -> (&str, &str) {
    path.split_at(path.rfind('/').map_or(0, |at| at + 1))
}

fn only<'a>(folders: &BTreeSet<&'a str>) -> Option<&'a str> {
    folders.first().copied().filter(|_| folders.len() == 1)
}
