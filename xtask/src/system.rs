//! What the tests need of the operating system: Chromium, its driver and a Vulkan driver. Installed
//! where that can be done without asking (Debian, as root); named elsewhere. Must not know the
//! tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::command::{command, find, output, run};

const CHROMIUM: Need = Need { what: "Chromium", package: "chromium", present: || chromium().is_some() };
const DRIVER: Need = Need { what: "ChromeDriver", package: "chromium-driver", present: || chromedriver().is_some() };
const LOADER: Need = Need { what: "the Vulkan loader", package: "libvulkan1", present: has_vulkan_loader };
const VULKAN: Need = Need { what: "a Vulkan driver", package: "mesa-vulkan-drivers", present: has_vulkan_driver };

/// Something the tests need, and the Debian package that has it.
struct Need {
    what: &'static str,
    package: &'static str,
    present: fn() -> bool,
}

/// Sees to it that all is there.
pub fn for_tests() -> Result<()> {
    let missing: Vec<Need> = [CHROMIUM, DRIVER, LOADER, VULKAN].into_iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.iter().map(|need| need.what).collect::<Vec<_>>().join(", ");
    let packages = missing.iter().map(|need| need.package).collect::<Vec<_>>();
    if !(is_debian() && is_root()) {
        bail!(
            "missing: {names}. Install the Debian packages {}, or what your system offers instead",
            packages.join(" ")
        );
    }
    println!("   missing: {names}");
    run(apt_get()?.arg("update"))?;
    run(apt_get()?.args(["install", "--yes", "--no-install-recommends"]).args(packages))
}

/// Tells a test where the browser is.
pub fn with_browser(command: &mut Command) -> &mut Command {
    let places = [("MKA_CHROMIUM", chromium()), ("CHROMEDRIVER", chromedriver())];
    command.envs(places.into_iter().filter_map(|(name, path)| path.map(|path| (name, path))))
}

fn chromium() -> Option<PathBuf> {
    named_by("MKA_CHROMIUM").or_else(|| find(&["chromium", "chromium-browser", "google-chrome", "chrome"])).or_else(
        || {
            let usual = PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome");
            usual.is_file().then_some(usual)
        },
    )
}

fn chromedriver() -> Option<PathBuf> {
    named_by("CHROMEDRIVER").or_else(|| find(&["chromedriver"]))
}

fn named_by(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_file())
}

/// Linux only: elsewhere Vulkan does not come as a package of this kind.
fn has_vulkan_loader() -> bool {
    !cfg!(target_os = "linux")
        || ["/usr/lib", "/usr/lib64", "/usr/local/lib"].iter().any(|folder| {
            let inside =
                entries(folder).into_iter().filter(|path| path.is_dir()).map(|path| path.join("libvulkan.so.1"));
            inside.chain([Path::new(folder).join("libvulkan.so.1")]).any(|path| path.exists())
        })
}

fn has_vulkan_driver() -> bool {
    !cfg!(target_os = "linux")
        || ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].iter().any(|name| std::env::var_os(name).is_some())
        || ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"]
            .iter()
            .any(|folder| entries(folder).iter().any(|path| path.extension().is_some_and(|end| end == "json")))
}

fn entries(folder: &str) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn is_debian() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line.trim() == "ID=debian")
}

fn is_root() -> bool {
    command("id").is_ok_and(|mut id| output(id.arg("-u")).as_deref() == Some("0"))
}

fn apt_get() -> Result<Command> {
    let mut command = command("apt-get")?;
    command.env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}
