//! The list of ARCHITECTURE.md: one layer a line, the lowest first, its members separated by
//! spaces. A member is a file or a folder; `manifold` is `manifold.rs` and `manifold/`. Where
//! members lie in each other, the longer name counts. Must not know any language.

use super::graph::Graph;

/// The members with the number of their layer.
#[derive(Debug)]
pub(super) struct Layers {
    root: String,
    members: Vec<(String, usize)>,
}

impl Layers {
    /// The fenced block of this name; members are relative to `root`, which ends in a slash.
    pub(super) fn parse(document: &str, name: &str, root: &str) -> Result<Self, String> {
        let fence = format!("```{name}");
        let mut lines = document.lines().skip_while(|line| line.trim() != fence).skip(1).peekable();
        if lines.peek().is_none() {
            return Err(format!("ARCHITECTURE.md has no block ```{name}"));
        }
        let layers = lines.take_while(|line| line.trim() != "```").filter(|line| !line.trim().is_empty());
        let members = layers.enumerate().flat_map(|(layer, line)| {
            line.split_whitespace().map(move |member| (member.trim_end_matches('/').to_owned(), layer))
        });
        Ok(Self { root: root.to_owned(), members: members.collect() })
    }

    /// The member that a file belongs to.
    fn member(&self, file: &str) -> Option<&(String, usize)> {
        let file = file.strip_prefix(&self.root)?;
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let belongs = |name: &str| {
            name == file || name == stem || file.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'))
        };
        self.members.iter().filter(|(name, _)| belongs(name)).max_by_key(|(name, _)| name.len())
    }

    /// Arrows that run up, or from one member of a layer to another; files that no member holds;
    /// members without a file.
    pub(super) fn findings(&self, graph: &Graph, exempt: &[&str]) -> Vec<String> {
        let mut findings = Vec::new();
        let files = || graph.files().filter(|file| !exempt.contains(file));
        findings
            .extend(files().filter(|file| self.member(file).is_none()).map(|file| format!("{file} is in no layer")));
        let empty = self.members.iter().filter(|member| !files().any(|file| self.member(file) == Some(*member)));
        findings.extend(empty.map(|(name, _)| format!("the layer of {name} has no such file or folder")));
        for (from, to, names) in graph.arrows() {
            if let (Some((from_member, from_layer)), Some((to_member, to_layer))) = (self.member(from), self.member(to))
                && from_member != to_member
                && from_layer <= to_layer
                && !exempt.contains(&from)
            {
                let way = if from_layer < to_layer { "runs up" } else { "stays in its layer" };
                findings.push(format!("an arrow {way}: {from} -> {to}: {names}"));
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "Words.\n```layers-x\nerror.rs dtype.rs\n\nlow low/inner\nmiddle other/\ntop\n```\nMore.\n";

    fn found(arrows: &[(&str, &str)]) -> Vec<String> {
        let layers = Layers::parse(DOCUMENT, "layers-x", "src/").unwrap();
        let mut graph = Graph::default();
        for file in ["error.rs", "dtype.rs", "low/a.rs", "low/inner/a.rs", "middle.rs", "other/a.rs", "top/a.rs"] {
            graph.add_file(&format!("src/{file}"));
        }
        for (from, to) in arrows {
            graph.add(&format!("src/{from}"), &format!("src/{to}"), "Name");
        }
        layers.findings(&graph, &["src/lib.rs"])
    }

    #[test]
    fn arrows_down_and_within_a_member_are_allowed() {
        let arrows = [
            ("top/a.rs", "low/a.rs"),
            ("middle.rs", "error.rs"),
            ("middle/b.rs", "middle.rs"),
            ("low/a.rs", "low/b.rs"),
            ("lib.rs", "top/a.rs"),
        ];
        assert_eq!(found(&arrows), [""; 0]);
    }

    #[test]
    fn arrows_up_and_across_are_found() {
        assert_eq!(found(&[("low/a.rs", "top/a.rs")]), ["an arrow runs up: src/low/a.rs -> src/top/a.rs: Name"]);
        let across = ["an arrow stays in its layer: src/middle/b.rs -> src/other/a.rs: Name"];
        assert_eq!(found(&[("middle/b.rs", "other/a.rs")]), across);
        let inner = ["an arrow stays in its layer: src/low/inner/a.rs -> src/low/a.rs: Name"];
        assert_eq!(found(&[("low/inner/a.rs", "low/a.rs")]), inner);
        assert_eq!(found(&[("error.rs", "dtype.rs")]).len(), 1);
    }

    #[test]
    fn the_list_must_be_there_and_whole() {
        assert!(Layers::parse(DOCUMENT, "layers-y", "src/").is_err());
        assert_eq!(found(&[("new.rs", "error.rs")]), ["src/new.rs is in no layer"]);
        let layers = Layers::parse("```layers-x\na b\n```\n", "layers-x", "src/").unwrap();
        let mut graph = Graph::default();
        graph.add_file("src/a.rs");
        assert_eq!(layers.findings(&graph, &[]), ["the layer of b has no such file or folder"]);
    }
}
