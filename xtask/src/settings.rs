//! The settings of the WebAssembly build, as `wasm-pack.toml` holds them. Must not know what is
//! done with them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::command;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    pub build: Build,
    pub wasm_opt: WasmOpt,
    pub budget: Budget,
    pub tools: Tools,
}

/// How cargo and wasm-bindgen are called.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Build {
    /// The compiler's target triple.
    pub target: String,
    /// The profile of Cargo.toml for what gets hosted.
    pub profile: String,
    /// The one for who builds it to look at it.
    pub local_profile: String,
    /// wasm-bindgen's kind of module.
    pub bindings: Bindings,
    /// Where the bindings and the .wasm file go, relative to the root.
    pub out_dir: PathBuf,
    /// The stem of their names.
    pub out_name: String,
}

/// The kinds of module that this project makes.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bindings {
    /// An ES module that fetches the .wasm file beside it.
    Web,
}

impl Bindings {
    /// As wasm-pack's option has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Web => "web",
        }
    }
}

/// How wasm-opt is called.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WasmOpt {
    pub flags: Vec<String>,
}

/// What the page may weigh.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Budget {
    /// Bytes of the page's code, each file gzipped.
    pub first_load_gzip_bytes: u64,
}

/// Versions of tools that no lock file names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tools {
    pub cargo_fuzz: String,
    pub wasm_pack: String,
}

/// Reads `wasm-pack.toml`.
pub fn load() -> Result<Settings> {
    let path = command::root().join("wasm-pack.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not as xtask expects it", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_own_settings_are_read() -> Result<()> {
        let settings = load()?;
        assert_eq!(settings.build.target, "wasm32-unknown-unknown");
        assert!(settings.wasm_opt.flags.iter().any(|flag| flag == "--enable-simd"));
        assert!(settings.budget.first_load_gzip_bytes > 0);
        Ok(())
    }
}
