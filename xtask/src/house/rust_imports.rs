//! Which file of a crate uses what of which other.
//!
//! An arrow is an import of an item, or a path in code (also inside a macro) that leads to one: to
//! the file that defines it, whatever re-exports lie between. Methods have no paths; those called
//! on `self`, `Self` or by the type's name count, since an `impl` may be spread over files.
//! `mod x;`, and a re-export that the file itself does not use, are no arrows: a `mod.rs` that only
//! declares depends on nothing, while one whose items its children use must not use the children.
//! Tests are left out. Must not know the layers.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Expr, ImplItemFn, Item, Visibility};

use super::files::File;
use super::graph::Graph;
use super::rust_modules::{Modules, Place, Target, attributes, for_tests, leaves, parse, segments};

/// The arrows between the files of the crate whose root lies in `root`.
///
/// # Errors
/// The file that is no Rust.
pub(super) fn graph(files: &[File], root: &str) -> Result<Graph, String> {
    let parsed = parse(files, root)?;
    let modules = Modules::new(&parsed);
    let mut graph = Graph::default();
    for file in &parsed {
        graph.add_file(&file.path);
        let place = file.place.clone();
        let mut uses = Uses { modules: &modules, place, file: &file.path, self_type: None, arrows: BTreeSet::new() };
        file.items.iter().for_each(|item| uses.visit_item(item));
        uses.arrows.iter().for_each(|(to, name)| graph.add(&file.path, to, name));
    }
    Ok(graph)
}

/// What one file uses.
struct Uses<'a> {
    modules: &'a Modules,
    /// The module that is being read, which may be one inside the file.
    place: Place,
    file: &'a str,
    self_type: Option<Target>,
    /// File and name.
    arrows: BTreeSet<(String, String)>,
}

impl Uses<'_> {
    fn note(&mut self, path: &[String]) {
        if path.first().is_some_and(|first| first == "Self") {
            if let (Some(target), Some(method)) = (self.self_type.clone(), path.get(1)) {
                self.note_method(&target, method);
            }
            return;
        }
        let found = self.modules.resolve(&self.place, path);
        let Some(target @ Target::Item(_, name)) = &found else {
            return;
        };
        if let Some(file) = self.modules.file(target) {
            self.arrows.insert((file.to_owned(), name.clone()));
        }
        if let Some(method) = path.last().filter(|last| *last != name) {
            self.note_method(target, method);
        }
    }

    /// The method of a type, unless this file has one of the name, as for another target of the
    /// compiler.
    fn note_method(&mut self, of: &Target, method: &str) {
        let files = self.modules.methods(of, method).cloned().unwrap_or_default();
        if let Target::Item(_, name) = of
            && !files.contains(self.file)
        {
            self.arrows.extend(files.into_iter().map(|file| (file, format!("{name}::{method}"))));
        }
    }

    fn note_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
        let point = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == '.');
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.note_tokens(group.stream()),
                TokenTree::Ident(first) if first == "self" && point(at + 1) => {
                    if let (Some(of), Some(TokenTree::Ident(method))) = (self.self_type.clone(), tokens.get(at + 2)) {
                        self.note_method(&of, &method.to_string());
                    }
                }
                // Not a field or a method.
                TokenTree::Ident(first) if at == 0 || !point(at - 1) => {
                    let mut path = vec![first.to_string()];
                    while colon(at + 1)
                        && colon(at + 2)
                        && let Some(TokenTree::Ident(next)) = tokens.get(at + 3)
                    {
                        path.push(next.to_string());
                        at += 3;
                    }
                    self.note(&path);
                }
                _ => {}
            }
            at += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Uses<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if for_tests(attributes(item)) {
            return;
        }
        match item {
            Item::Use(item) => {
                // What is re-exported is noted where it is used.
                if matches!(item.vis, Visibility::Inherited) {
                    leaves(&item.tree).iter().filter(|(_, name)| name.is_some()).for_each(|(path, _)| self.note(path));
                }
            }
            Item::Mod(module) => {
                self.place.push(module.ident.to_string());
                visit::visit_item_mod(self, module);
                self.place.pop();
            }
            Item::Impl(block) => {
                let outer = self.self_type.take();
                self.self_type = self.modules.self_type(&self.place, &block.self_ty);
                visit::visit_item_impl(self, block);
                self.self_type = outer;
            }
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.note(&segments(path));
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if let (Expr::Path(receiver), Some(of)) = (&*call.receiver, self.self_type.clone())
            && receiver.path.is_ident("self")
        {
            self.note_method(&of, &call.method.to_string());
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.note_tokens(call.tokens.clone());
    }

    // `pub(in crate::a)` and attributes use nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrows(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<File> = files.iter().map(|(path, text)| File::new(path, text)).collect();
        let graph = graph(&files, "src/").unwrap();
        graph.arrows().map(|(from, to, names)| format!("{from} -> {to}: {names}")).collect()
    }

    const B: (&str, &str) = ("src/b.rs", "pub struct B; pub fn f() {} pub const C: u8 = 0; pub enum E { V }");

    #[test]
    fn imports_paths_and_macros_are_arrows() {
        for (text, names) in [
            ("use crate::b::B;", "B"),
            ("use super::b::{self, E::V, f as g};", "E, f"),
            ("fn a() { crate::b::f(); }", "f"),
            ("use crate::b; fn a() -> b::E { b::E::V }", "E"),
            ("fn a() { println!(\"{}\", vec![crate::b::C, 1].len()); }", "C"),
            ("use crate::b::*; fn a(b: Option<B>) {}", "B"),
            ("mod inner { use super::super::b::B; }", "B"),
            ("trait T { fn a() -> crate::b::B; }", "B"),
        ] {
            assert_eq!(arrows(&[("src/a.rs", text), B]), [format!("src/a.rs -> src/b.rs: {names}")], "{text}");
        }
    }

    #[test]
    fn tests_modules_strings_and_foreign_names_are_none() {
        for text in [
            "#[cfg(test)] mod tests { use crate::b::B; }",
            "#[cfg(test)] use crate::b::B;",
            "use crate::b;",
            "use std::b::B; /// [`crate::b::B`]\nfn a() { let _ = \"crate::b::f\"; }",
            "pub(in crate::b) fn a() {}",
            "struct A; impl A { #[cfg(test)] fn a() { crate::b::f(); } }",
        ] {
            assert_eq!(arrows(&[("src/a.rs", text), B]), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_parent_that_only_declares_depends_on_nothing() {
        let child = ("src/a/c.rs", "use super::d::D; pub struct C;");
        let other = ("src/a/d.rs", "pub struct D;");
        let declares = arrows(&[("src/a/mod.rs", "mod c; mod d; pub use c::C; pub(crate) use d::D;"), child, other]);
        assert_eq!(declares, ["src/a/c.rs -> src/a/d.rs: D"]);
        let user = arrows(&[("src/a/mod.rs", "mod c; mod d; pub use c::C; pub fn a() -> C { C }"), child, other]);
        assert_eq!(user, ["src/a/c.rs -> src/a/d.rs: D", "src/a/mod.rs -> src/a/c.rs: C"]);
    }

    #[test]
    fn a_parent_and_a_child_that_use_each_other_are_a_circle() {
        let parent = ("src/a.rs", "mod c; use c::C; pub struct A(C);");
        let files = [parent, ("src/a/c.rs", "use super::A; pub struct C; fn c(_: A) {}")];
        let files = files.map(|(path, text)| File::new(path, text));
        assert_eq!(
            graph(&files, "src/").unwrap().circles(),
            ["a circle of 2 files:\n    src/a.rs -> src/a/c.rs: C\n    src/a/c.rs -> src/a.rs: A"]
        );
    }

    #[test]
    fn methods_of_a_type_that_is_spread_over_files_are_arrows() {
        let child = ("src/a/c.rs", "use super::A; impl A { pub fn c(&self) { self.own(); } fn own(&self) {} }");
        for text in ["self.c()", "Self::c(self)", "A::c(self)", "assert!(self.c() == ())"] {
            let parent = format!("mod c; pub struct A; impl A {{ fn a(&self) {{ {text}; }} }}");
            assert_eq!(
                arrows(&[("src/a.rs", &parent), child]),
                ["src/a.rs -> src/a/c.rs: A::c", "src/a/c.rs -> src/a.rs: A"],
                "{text}"
            );
        }
    }
}
