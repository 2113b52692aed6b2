//! Binds `docs/` into the documentation site with mdBook as a library; `xtask/book` says how. Must not know what the pages say.

use std::path::Path;

use anyhow::{Context, Result};
use mdbook_driver::MDBook;

use crate::command::root;

/// Builds the pages into the site's `docs/`. They include the types of the interface, so those have to be there.
pub fn build(site: &Path) -> Result<()> {
    println!("   documentation: docs/ -> {}", site.join("docs").display());
    let mut book = MDBook::load(root().join("xtask/book"))?;
    book.config.build.build_dir = site.join("docs");
    book.build().context("the documentation could not be built")
}
