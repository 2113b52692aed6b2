//! The part of the CPU engine that is written in WebAssembly's own text becomes bytes that the
//! crate can include.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

const TILES: &str = "src/compute/cpu/tiles.wat";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={TILES}");
    if env::var("CARGO_CFG_TARGET_ARCH")? == "wasm32" {
        fs::write(Path::new(&env::var("OUT_DIR")?).join("tiles.wasm"), wat::parse_file(TILES)?)?;
    }
    Ok(())
}
