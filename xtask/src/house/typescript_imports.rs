//! Which file of the page uses what of which other: `import` and `export … from`, of types too, and
//! `import()`. Style sheets and packages are left out. Must not know the layers.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::files::{File, code};
use super::graph::Graph;

/// `{ names }` or `* as name` of an `import` or `export` that begins a line, and its address; or
/// the address alone.
const STATIC: &str = r#"(?m)^(?:import|export)\b(?:\s+type\b)?\s*([^;"'()=]*?)\s*(?:\bfrom\s*)?["']([^"']+)["']"#;
const DYNAMIC: &str = r#"\bimport\(\s*["']([^"']+)["']\s*\)"#;

/// The arrows between these files; `package` is the package.json that has the names beginning with
/// `#`.
///
/// # Errors
/// An address that leads to no file.
pub(super) fn graph(files: &[File], package: &str) -> Result<Graph, String> {
    let broken = |error: regex::Error| error.to_string();
    let (fixed, dynamic) = (Regex::new(STATIC).map_err(broken)?, Regex::new(DYNAMIC).map_err(broken)?);
    let paths: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let aliases = aliases(package)?;
    let mut graph = Graph::default();
    for file in files.iter().filter(|file| !file.path.ends_with(".d.ts")) {
        graph.add_file(&file.path);
        let text = code(file);
        let fixed = fixed.captures_iter(&text).map(|found| (found[1].to_owned(), found[2].to_owned()));
        let dynamic = dynamic.captures_iter(&text).map(|found| ("import()".to_owned(), found[1].to_owned()));
        for (names, address) in fixed.chain(dynamic) {
            if let Some(to) = target(&file.path, &address, &aliases, &paths)? {
                let names = names.replace(['{', '}'], " ");
                let names = names.split(',').map(|name| name.trim().trim_start_matches("type "));
                names.filter(|name| !name.is_empty()).for_each(|name| graph.add(&file.path, &to, name));
                if !graph.arrows().any(|(from, target, _)| from == file.path && target == to) {
                    graph.add(&file.path, &to, "(all of it)");
                }
            }
        }
    }
    Ok(graph)
}

/// The names beginning with `#` of a package.json in www/, and their files.
fn aliases(package: &str) -> Result<BTreeMap<String, String>, String> {
    let alias = Regex::new(r##""(#[^"]+)"\s*:\s*"\./([^"]+)""##).map_err(|error| error.to_string())?;
    Ok(alias.captures_iter(package).map(|found| (found[1].to_owned(), format!("www/{}", &found[2]))).collect())
}

/// The file that an address in `from` leads to; none for a package or a style sheet.
fn target(
    from: &str,
    address: &str,
    aliases: &BTreeMap<String, String>,
    paths: &BTreeSet<&str>,
) -> Result<Option<String>, String> {
    let address = address.split('?').next().unwrap_or(address);
    let path = match aliases.get(address) {
        Some(path) => path.clone(),
        None if address.starts_with('.') => {
            let mut parts: Vec<&str> = from.split('/').collect();
            parts.pop();
            for part in address.split('/') {
                match part {
                    "." => {}
                    ".." => drop(parts.pop()),
                    _ => parts.push(part),
                }
            }
            parts.join("/")
        }
        None => return Ok(None),
    };
    let stem = path.strip_suffix(".js").unwrap_or(&path);
    let candidates = [path.clone(), format!("{stem}.ts"), format!("{stem}.d.ts"), format!("{path}/index.ts")];
    if let Some(found) = candidates.iter().find(|candidate| paths.contains(candidate.as_str())) {
        return Ok(Some(found.clone()));
    }
    // A style sheet, an asset, or what wasm-bindgen makes.
    let foreign = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    if foreign { Ok(None) } else { Err(format!("{from} imports {address}, and there is no such file")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: &str = r##"{ "imports": { "#mka": "./src/api/mka.ts" } }"##;

    fn arrows(text: &str) -> Vec<String> {
        let files = [("www/src/page/a.ts", text), ("www/src/page/b.ts", ""), ("www/src/api/mka.ts", "")];
        let files = files.map(|(path, text)| File::new(path, text));
        let graph = graph(&files, PACKAGE).unwrap();
        graph.arrows().map(|(from, to, names)| format!("{from} -> {to}: {names}")).collect()
    }

    #[test]
    fn every_kind_of_import_is_an_arrow() {
        for (text, names) in [
            ("import { x, type Y } from \"./b\";", "Y, x"),
            ("import {\n  x,\n  y,\n} from \"./b\";", "x, y"),
            ("import type { Y } from '../page/b';", "Y"),
            ("import * as b from \"./b.js\";", "* as b"),
            ("export { x } from \"./b\";", "x"),
            ("export * from \"./b\";", "*"),
            ("import \"./b\";", "(all of it)"),
            ("const b = await import(\"./b\");", "import()"),
            ("let b: Promise<typeof import(\"./b\")> | undefined;", "import()"),
            ("import worker from \"./b?worker\";", "worker"),
        ] {
            assert_eq!(arrows(text), [format!("www/src/page/a.ts -> www/src/page/b.ts: {names}")], "{text}");
        }
        assert_eq!(arrows("import { Lab } from \"#mka\";"), ["www/src/page/a.ts -> www/src/api/mka.ts: Lab"]);
    }

    #[test]
    fn packages_comments_and_strings_are_none() {
        for text in [
            "import { html } from \"lit-html\";",
            "import \"./style.css\";",
            "// import { x } from \"./b\";",
            "export const x = 1;\nconst y = \"./b\";",
            "export function f() {\n  return \"./b\";\n}",
            "import init from \"../wasm/mka_lab.js\";",
        ] {
            assert_eq!(arrows(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_an_error() {
        assert!(graph(&[File::new("www/src/a.ts", "import { x } from \"./gone\";")], PACKAGE).is_err());
    }
}
