//! The project's commands. `cargo xtask` lists them; the alias is in `.cargo/config.toml`.
//!
//! Each needs rustup and Node.js and installs the rest. This crate only calls other programs:
//! whatever is computed is computed by the library, and the settings of the WebAssembly build are
//! in `wasm-pack.toml`.

mod bindings;
mod book;
mod checks;
mod command;
mod dependencies;
mod families;
mod fuzz;
#[cfg(test)]
mod house;
mod record;
mod scope;
mod serve;
mod settings;
mod site;
mod steps;
mod system;
mod times;
mod tools;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use lexopt::prelude::*;

use crate::scope::Scope;

const HELP: &str = "\
cargo xtask start [--port N] [--no-open]   build the page, serve it on this machine and open it
cargo xtask build                          build the static site into www/dist
cargo xtask test                           run the gate: what every change has to pass
cargo xtask test --quick                   what can be run every few minutes
cargo xtask test --all                     everything: whole matrices, the largest models, packaging
cargo xtask test --only STEP               one step, alone or with --quick or --all
cargo xtask test --record                  measure the gate, cold and warm, for docs/development.md
cargo xtask bench                          measure the speed, natively and in Chromium
cargo xtask families [--check]             measure every family against transformers, write (or check) the table
cargo xtask house                          show where the code breaks a rule of the house: arrows, words, sizes
cargo xtask lineup MODEL [options]         hold the methods against each other; --help lists the options
cargo xtask fuzz [--seconds N] [TARGET...]  feed drawn input to what comes from outside, with libFuzzer
cargo xtask try [options] FOLDER...        open folders in the built page: what each predicts, or why it is refused
    --engine cpu|webgpu|both   on which engine (cpu)
    --text FILE                the loss is that of its first 64 ids; else of a folder's own text, or of a built-in one

steps of the tests, and the smallest run that has them:
";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
enum Request {
    Help,
    Start { port: Option<u16>, open: bool },
    Build,
    Test { scope: Scope, only: Option<String> },
    Record,
    Bench,
    Families { check: bool },
    House,
    Lineup { arguments: Vec<OsString> },
    Try { arguments: Vec<OsString> },
    Fuzz { seconds: u64, targets: Vec<String> },
}

fn main() -> ExitCode {
    let done = parse(lexopt::Parser::from_env()).and_then(perform);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(request: Request) -> Result<()> {
    let settings = settings::load()?;
    match request {
        Request::Help => {
            print!("{HELP}{}", checks::steps());
            Ok(())
        }
        Request::Start { port, open } => {
            site::build(&settings, site::Kind::Local)?;
            serve::serve(&site::folder(), port, open)
        }
        Request::Build => site::build(&settings, site::Kind::Hosted),
        Request::Test { scope, only } => checks::test(&settings, scope, only.as_deref()),
        Request::Record => record::record(&settings),
        Request::Bench => steps::bench(&settings),
        Request::Families { check } => families::families(check),
        Request::House => house_rules(),
        Request::Lineup { arguments } => lineup(&arguments),
        Request::Fuzz { seconds, targets } => fuzz::run_targets(&settings, seconds, &targets),
        Request::Try { arguments } => steps::try_folders(&settings, &arguments),
    }
}

/// The rules are tests, so that no other command waits for the parser of Rust that they need.
fn house_rules() -> Result<()> {
    let mut tests = command::cargo(["test", "--quiet", "--package", "xtask", "--profile", "xtask", "house::"])?;
    command::run(tests.env("RUST_BACKTRACE", "0"))
}

/// The program is an example of the library, so that the page's build stays free of it.
fn lineup(arguments: &[OsString]) -> Result<()> {
    let mut lineup =
        command::cargo(["run", "--package", "mka-lab", "--profile", "local", "--example", "lineup", "--"])?;
    command::run(lineup.args(arguments))
}

fn parse(mut arguments: lexopt::Parser) -> Result<Request> {
    let mut request = Request::Help;
    while let Some(argument) = arguments.next()? {
        match (&mut request, argument) {
            (_, Short('h') | Long("help")) => return Ok(Request::Help),
            (Request::Start { port, .. }, Long("port")) => *port = Some(arguments.value()?.parse()?),
            (Request::Start { open, .. }, Long("no-open")) => *open = false,
            (Request::Families { check }, Long("check")) => *check = true,
            (Request::Fuzz { seconds, .. }, Long("seconds")) => *seconds = arguments.value()?.parse()?,
            (Request::Fuzz { targets, .. }, Value(target)) => targets.push(target.string()?),
            (Request::Test { only, .. }, Long("only")) => *only = Some(arguments.value()?.string()?),
            (Request::Test { scope, .. }, Long("quick")) => *scope = Scope::Quick,
            (Request::Test { scope, .. }, Long("all")) => *scope = Scope::All,
            (Request::Test { scope: Scope::Gate, only: None }, Long("record")) => request = Request::Record,
            (Request::Help, Value(name)) => {
                request = match name.string()?.as_str() {
                    "start" => Request::Start { port: None, open: true },
                    "build" => Request::Build,
                    "test" => Request::Test { scope: Scope::Gate, only: None },
                    "bench" => Request::Bench,
                    "families" => Request::Families { check: false },
                    "house" => Request::House,
                    "lineup" => return Ok(Request::Lineup { arguments: arguments.raw_args()?.collect() }),
                    "fuzz" => Request::Fuzz { seconds: fuzz::SECONDS, targets: Vec::new() },
                    "try" => return Ok(Request::Try { arguments: arguments.raw_args()?.collect() }),
                    other => {
                        anyhow::bail!("there is no command `{other}`\n\n{HELP}{}", checks::steps())
                    }
                };
            }
            (_, other) => return Err(other.unexpected().into()),
        }
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Request> {
        parse(lexopt::Parser::from_iter(std::iter::once("xtask").chain(words.iter().copied())))
    }

    #[test]
    fn commands_and_their_options() -> Result<()> {
        assert_eq!(parsed(&[])?, Request::Help);
        assert_eq!(parsed(&["start"])?, Request::Start { port: None, open: true });
        assert_eq!(
            parsed(&["start", "--port", "9000", "--no-open"])?,
            Request::Start { port: Some(9000), open: false }
        );
        let native = Some("native".to_owned());
        assert_eq!(parsed(&["test"])?, Request::Test { scope: Scope::Gate, only: None });
        assert_eq!(parsed(&["test", "--only", "native"])?, Request::Test { scope: Scope::Gate, only: native.clone() });
        assert_eq!(
            parsed(&["test", "--quick", "--only", "native"])?,
            Request::Test { scope: Scope::Quick, only: native }
        );
        assert_eq!(parsed(&["test", "--all"])?, Request::Test { scope: Scope::All, only: None });
        assert_eq!(parsed(&["test", "--record"])?, Request::Record);
        assert_eq!(parsed(&["build"])?, Request::Build);
        assert_eq!(parsed(&["house"])?, Request::House);
        assert_eq!(parsed(&["families", "--check"])?, Request::Families { check: true });
        let arguments = ["demo", "--seeds", "0,1"];
        assert_eq!(
            parsed(&["lineup", "demo", "--seeds", "0,1"])?,
            Request::Lineup { arguments: arguments.map(OsString::from).to_vec() }
        );
        let targets = vec!["header".to_owned()];
        assert_eq!(parsed(&["fuzz", "--seconds", "5", "header"])?, Request::Fuzz { seconds: 5, targets });
        let arguments = ["--engine", "both", "a folder"];
        assert_eq!(
            parsed(&["try", "--engine", "both", "a folder"])?,
            Request::Try { arguments: arguments.map(OsString::from).to_vec() }
        );
        Ok(())
    }

    #[test]
    fn anything_else_is_refused() {
        for words in [
            &["walk"][..],
            &["build", "--port", "1"],
            &["start", "--port", "many"],
            &["test", "test"],
            &["test", "--all", "--record"],
        ] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
    }
}
