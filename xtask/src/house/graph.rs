//! Which file depends on which, and by what names; circles. Must not know any language.

use std::collections::{BTreeMap, BTreeSet};

/// Arrows between files.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Graph {
    arrows: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

impl Graph {
    /// Notes a file, which may depend on nothing.
    pub(super) fn add_file(&mut self, file: &str) {
        self.arrows.entry(file.to_owned()).or_default();
    }

    /// Notes that `from` uses `name` of `to`; what a file uses of itself is no arrow.
    pub(super) fn add(&mut self, from: &str, to: &str, name: &str) {
        self.add_file(from);
        self.add_file(to);
        if from != to {
            let arrows = self.arrows.entry(from.to_owned()).or_default();
            arrows.entry(to.to_owned()).or_default().insert(name.to_owned());
        }
    }

    /// All files, in order.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.arrows.keys().map(String::as_str)
    }

    /// All arrows: from, to, and the names.
    pub(super) fn arrows(&self) -> impl Iterator<Item = (&str, &str, String)> {
        self.arrows.iter().flat_map(|(from, arrows)| {
            arrows.iter().map(move |(to, names)| {
                (from.as_str(), to.as_str(), names.iter().cloned().collect::<Vec<_>>().join(", "))
            })
        })
    }

    /// Circles, each once, the shortest first; a longer one of files that are a shorter one already
    /// is left out. There are none only where no file depends on itself by way of others.
    pub(super) fn circles(&self) -> Vec<String> {
        let mut circles = BTreeSet::new();
        for (from, to, _) in self.arrows() {
            if let Some(mut circle) = self.path(to, from) {
                let first = circle.iter().enumerate().min_by_key(|(_, file)| **file).map_or(0, |(index, _)| index);
                circle.rotate_left(first);
                circles.insert((circle.len(), circle));
            }
        }
        let mut shown: Vec<Vec<&str>> = Vec::new();
        for (_, circle) in circles {
            if !shown.iter().any(|shorter| shorter.iter().all(|file| circle.contains(file))) {
                shown.push(circle);
            }
        }
        shown.iter().map(|circle| self.describe(circle)).collect()
    }

    /// The files on a shortest way from `from` to `to`, both included.
    fn path<'a>(&'a self, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
        let mut came_from = BTreeMap::from([(from, None)]);
        let mut front = vec![from];
        while !front.is_empty() && !came_from.contains_key(to) {
            let mut next = Vec::new();
            for file in front {
                for target in self.arrows.get(file).into_iter().flat_map(BTreeMap::keys) {
                    if !came_from.contains_key(target.as_str()) {
                        came_from.insert(target, Some(file));
                        next.push(target.as_str());
                    }
                }
            }
            front = next;
        }
        let (mut at, _) = came_from.get_key_value(to)?;
        let mut path = vec![*at];
        while let Some(Some(before)) = came_from.get(at) {
            path.push(before);
            at = before;
        }
        path.reverse();
        Some(path)
    }

    fn describe(&self, circle: &[&str]) -> String {
        let mut lines = format!("a circle of {} files:", circle.len());
        for (index, from) in circle.iter().enumerate() {
            let to = circle[(index + 1) % circle.len()];
            let names = self.arrows.get(*from).and_then(|arrows| arrows.get(to)).cloned().unwrap_or_default();
            let names: Vec<String> = names.into_iter().collect();
            lines += &format!("\n    {from} -> {to}: {}", names.join(", "));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_once_with_their_names_the_shortest_first() {
        let mut graph = Graph::default();
        for (from, to, name) in [
            ("a", "b", "x"),
            ("b", "c", "y"),
            ("c", "a", "z"),
            ("d", "a", "w"),
            ("e", "f", "u"),
            ("f", "e", "v"),
            ("e", "g", "t"),
            ("g", "f", "s"),
        ] {
            graph.add(from, to, name);
        }
        graph.add("a", "a", "own");
        assert_eq!(
            graph.circles(),
            [
                "a circle of 2 files:\n    e -> f: u\n    f -> e: v",
                "a circle of 3 files:\n    a -> b: x\n    b -> c: y\n    c -> a: z"
            ]
        );
    }

    #[test]
    fn a_diamond_is_no_circle() {
        let mut graph = Graph::default();
        for (from, to) in [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d")] {
            graph.add(from, to, "x");
        }
        assert_eq!(graph.circles(), [""; 0]);
        assert_eq!(graph.files().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }
}
