//! Names of tensors that a program wrapped on the way: `torch.compile`, data parallelism and
//! adapters put words before or into every name. Must not know of families.

use indexmap::IndexMap;

use crate::checkpoint::{Checkpoint, StoredTensor};
use crate::error::{Error, Result};

/// What wrapping programs put anywhere into a name.
const WRAPPERS: [&str; 3] = ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."];
/// What they put before all names.
const PREFIXES: [&str; 2] = ["module.", "base_model.model."];
/// What comes before all names of a text tower without its model.
const TOWERS: [&str; 2] = ["language_model.", "model.language_model."];
/// So many prefixes may lie inside one another.
const PREFIXES_DEEP: usize = 8;
/// What an adapter that was not merged has in its names.
const ADAPTER: [&str; 4] = [".lora_A.", ".lora_B.", ".lora_magnitude_vector.", ".base_layer."];
const ADAPTER_HINT: &str =
    "Merge the adapter first (in peft: merge_and_unload, then save_pretrained), and open the result.";

/// Takes what wraps the names away, with a warning. The prefix of a text tower stays where its
/// model is there (`of_images`).
///
/// # Errors
/// [`Error::BadConfig`] where two tensors would get one name, [`Error::NotACheckpoint`] for an
/// adapter that was not merged.
pub fn unwrap(checkpoint: &mut Checkpoint, of_images: bool) -> Result<()> {
    let marked = |name: &&String| ADAPTER.iter().any(|mark| name.contains(mark));
    if let Some((name, tensor)) = checkpoint.tensors.iter().find(|(name, _)| marked(name)) {
        let found = format!("the tensor {name} belongs to an adapter (LoRA) that was not merged");
        return Err(Error::NotACheckpoint { file: tensor.source.name().into(), found, hint: ADAPTER_HINT });
    }
    let mut taken: Vec<&str> = Vec::new();
    for wrapper in WRAPPERS {
        if checkpoint.tensors.keys().any(|name| name.contains(wrapper)) {
            rename(checkpoint, |name| name.replace(wrapper, ""))?;
            taken.push(wrapper);
        }
    }
    let towers = if of_images { &[][..] } else { &TOWERS[..] };
    // One may lie inside another.
    for _ in 0..PREFIXES_DEEP {
        let mut all = PREFIXES.iter().chain(towers);
        let Some(prefix) = all.find(|prefix| before_all(checkpoint, prefix)) else { break };
        rename(checkpoint, |name| name.strip_prefix(prefix).unwrap_or(name).to_string())?;
        taken.push(prefix);
    }
    if !taken.is_empty() {
        checkpoint.warnings.push(format!(
            "The names of the tensors were wrapped ({}); they are read, and written, without it.",
            taken.join(", ")
        ));
    }
    Ok(())
}

fn before_all(checkpoint: &Checkpoint, prefix: &str) -> bool {
    let mut names = checkpoint.tensors.keys().filter(|name| *name != "lm_head.weight").peekable();
    names.peek().is_some() && names.all(|name| name.starts_with(prefix))
}

fn rename(checkpoint: &mut Checkpoint, change: impl Fn(&str) -> String) -> Result<()> {
    let mut renamed: IndexMap<String, StoredTensor> = IndexMap::with_capacity(checkpoint.tensors.len());
    for (name, tensor) in &checkpoint.tensors {
        let plain = change(name);
        if renamed.contains_key(&plain) {
            return Err(Error::config(format!(
                "two tensors of the weights would be called {plain}, one of them {name}"
            )));
        }
        renamed.insert(plain, tensor.clone());
    }
    checkpoint.tensors = renamed;
    checkpoint.unfounded = checkpoint.unfounded.iter().map(|(name, file)| (change(name), file.clone())).collect();
    Ok(())
}
