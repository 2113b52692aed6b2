//! What the page's first load weighs. Must not know how the site is built.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

/// The kinds of file that are the page itself.
const CODE: [&str; 4] = ["html", "css", "js", "wasm"];
/// Folders of the site that are loaded on demand.
const ON_DEMAND: [&str; 2] = ["models", "texts"];

/// The page's files with their sizes.
pub struct Weight {
    files: Vec<File>,
}

struct File {
    name: String,
    bytes: u64,
    gzip_bytes: u64,
}

/// Weighs all code of the site: an upper bound, since parts of it may be loaded later.
pub fn first_load(site: &Path) -> Result<Weight> {
    let mut files = Vec::new();
    collect(site, "", &mut files)?;
    if files.is_empty() {
        bail!("{} is empty: `cargo xtask build` makes it", site.display());
    }
    files.sort_by(|a, b| b.gzip_bytes.cmp(&a.gzip_bytes).then_with(|| a.name.cmp(&b.name)));
    Ok(Weight { files })
}

impl Weight {
    /// Bytes of all files, each gzipped on its own.
    fn gzip_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.gzip_bytes).sum()
    }

    /// Prints a table and the sum beside the budget.
    pub fn print(&self, budget: u64) {
        println!("   {:>12} {:>12}  first load", "bytes", "gzip");
        for File { name, bytes, gzip_bytes } in &self.files {
            println!("   {bytes:>12} {gzip_bytes:>12}  {name}");
        }
        let sum = self.gzip_bytes();
        let verdict = if sum > budget { "OVER THE BUDGET" } else { "within the budget" };
        println!("   {:>12} {sum:>12}  in all: {verdict} of {budget}", "");
    }

    /// Fails when the sum is over the budget.
    pub fn check(&self, budget: u64) -> Result<()> {
        let sum = self.gzip_bytes();
        if sum > budget {
            bail!("the first load is {sum} bytes gzipped; wasm-pack.toml allows {budget}");
        }
        Ok(())
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<File>) -> Result<()> {
    let context = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(context)? {
        let entry = entry.with_context(context)?;
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            if !ON_DEMAND.contains(&name.as_str()) {
                collect(&path, &format!("{name}/"), files)?;
            }
        } else if path.extension().is_some_and(|end| CODE.iter().any(|kind| end == *kind)) {
            let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.push(File { name, bytes: content.len() as u64, gzip_bytes: gzip(&content)? });
        }
    }
    Ok(())
}

fn gzip(content: &[u8]) -> Result<u64> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_counts() -> Result<()> {
        let site = std::env::temp_dir().join(format!("mka-lab-size-{}", std::process::id()));
        fs::create_dir_all(site.join("models/demo"))?;
        fs::create_dir_all(site.join("assets"))?;
        fs::write(site.join("index.html"), "a".repeat(10_000))?;
        fs::write(site.join("assets/page.js"), "b")?;
        fs::write(site.join("models/demo/helper.js"), "c")?;
        fs::write(site.join("mka.d.ts"), "d")?;
        let weight = first_load(&site)?;
        fs::remove_dir_all(&site)?;
        let names: Vec<&str> = weight.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["index.html", "assets/page.js"]);
        assert!(weight.gzip_bytes() < 200, "compressed, not counted: {}", weight.gzip_bytes());
        assert!(weight.check(200).is_ok());
        assert!(weight.check(10).is_err());
        Ok(())
    }
}
