//! The table of families in the documentation: made of every miniature that there is.

use std::path::Path;

/// Its numbers are made, and compared, by `cargo xtask families`.
#[test]
fn the_table_of_families_has_every_miniature() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/families.md")).unwrap();
    let (_, table) = page.split_once("<!-- families: written by cargo xtask families -->").unwrap();
    let (table, _) = table.split_once("<!-- end of families -->").unwrap();
    let mut folders = 0;
    for entry in std::fs::read_dir(root.join("tests/fixtures")).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(record) = std::fs::read_to_string(folder.join("reference.json")) else { continue };
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        let name = format!("`{}`", folder.file_name().unwrap().to_str().unwrap());
        let row = table.lines().find(|row| row.contains(&name));
        let row = row.unwrap_or_else(|| panic!("{name} is in no row: run cargo xtask families"));
        assert!(row.contains(record["transformers"].as_str().unwrap()), "{row}");
        folders += 1;
    }
    assert_eq!(table.matches('`').count(), 2 * folders, "a row names what is not there: run cargo xtask families");
}
