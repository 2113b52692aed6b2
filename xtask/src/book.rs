//! Binds `docs/` into the documentation site with mdBook as a library; `xtask/book` says how. Must
//! not know what the pages say.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use mdbook_driver::MDBook;

use crate::command::root;

/// What mdBook brings along for its own page frame; ours, `xtask/book/theme/index.hbs`, needs none
/// of it, and no script or style sheet but its own in `theme/`.
const UNUSED: [&str; 5] = ["css", "fonts", "toc.html", "404.html", ".nojekyll"];

/// Builds the pages into the site's `docs/`. They include the types of the interface, so those have
/// to be there.
pub fn build(site: &Path) -> Result<()> {
    let out = site.join("docs");
    println!("   documentation: docs/ -> {}", out.display());
    let mut book = MDBook::load(root().join("xtask/book"))?;
    book.config.build.build_dir.clone_from(&out);
    book.build().context("the documentation could not be built")?;
    for entry in fs::read_dir(&out)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let kind = path.extension().unwrap_or_default();
        if UNUSED.contains(&name.as_str()) && path.is_dir() {
            fs::remove_dir_all(&path)?;
        } else if UNUSED.contains(&name.as_str()) || name.starts_with("favicon-") || kind == "js" || kind == "css" {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
