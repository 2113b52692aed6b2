//! wasm-bindgen as a library: one tool less to install, and its version stands in Cargo.lock beside
//! that of the crate. Must not know what the module does.

use std::path::Path;

use anyhow::Result;
use wasm_bindgen_cli_support::Bindgen;

use crate::settings::{Bindings, Build};

/// Writes the JavaScript module, its types and the .wasm file that belongs to them; as the command
/// would by itself.
pub fn make(build: &Build, compiled: &Path, folder: &Path) -> Result<()> {
    println!("   wasm-bindgen: {} -> {}", compiled.display(), folder.display());
    let mut bindgen = Bindgen::new();
    match build.bindings {
        Bindings::Web => bindgen.web(true)?,
    };
    bindgen.input_path(compiled).out_name(&build.out_name).typescript(true).omit_default_module_path(false);
    bindgen.generate(folder)
}
