//! The modules of the crate and where names lead: what `use crate::a::B` names is looked for
//! through re-exports, to the file that defines it. Must not know what the names are used for.

use std::collections::{BTreeSet, HashMap};

use syn::{Attribute, ImplItem, Item, Meta, Type, UseTree};

use super::files::File;

/// A module by the names on the way to it from the root.
pub(super) type Place = Vec<String>;

/// The modules of a crate, without those that are for tests only.
#[derive(Default)]
pub(super) struct Modules {
    modules: HashMap<Place, Module>,
    /// The files that define inherent methods, by the type (its module and name) and the method's
    /// name.
    methods: HashMap<(Place, String, String), BTreeSet<String>>,
}

#[derive(Default)]
struct Module {
    file: String,
    names: HashMap<String, Vec<Name>>,
    globs: Vec<Place>,
}

enum Name {
    Item,
    Module,
    /// Brought in by `use` from this path, as it is written there.
    Alias(Vec<String>),
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Target {
    Module(Place),
    /// An item, by the module that defines it and its name.
    Item(Place, String),
}

/// A file with its module and items.
pub(super) struct Parsed {
    pub(super) path: String,
    pub(super) place: Place,
    pub(super) items: Vec<Item>,
}

/// Parses the files of a crate whose root lies in `root`; leaves those out that are for tests only.
pub(super) fn parse(files: &[File], root: &str) -> Result<Vec<Parsed>, String> {
    let mut parsed = Vec::new();
    for file in files {
        let items = syn::parse_file(&file.text).map_err(|error| format!("{}: {error}", file.path))?.items;
        parsed.push(Parsed { path: file.path.clone(), place: place(&file.path, root), items });
    }
    let mut tests = Vec::new();
    for file in &parsed {
        for item in &file.items {
            if let Item::Mod(module) = item
                && for_tests(&module.attrs)
            {
                tests.push([&file.place[..], &[module.ident.to_string()]].concat());
            }
        }
    }
    parsed.retain(|file| !tests.iter().any(|test| file.place.starts_with(test)));
    Ok(parsed)
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are a::b, `src/lib.rs` is the root.
fn place(path: &str, root: &str) -> Place {
    let name = path.strip_prefix(root).unwrap_or(path);
    let name = name.strip_suffix(".rs").unwrap_or(name);
    let mut place: Place = name.split('/').map(str::to_owned).collect();
    if ["mod", "lib", "main"].iter().any(|end| place.last().is_some_and(|last| last == end)) {
        place.pop();
    }
    place
}

/// True under `#[cfg(test)]`, also as one of `all`, and under `any` where nothing but tests is
/// named.
pub(super) fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => list.parse_args().is_ok_and(|meta| tests_only(&meta)),
        _ => false,
    })
}

fn tests_only(meta: &Meta) -> bool {
    let Meta::List(list) = meta else {
        return meta.path().is_ident("test");
    };
    let parser = syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated;
    let Ok(parts) = list.parse_args_with(parser) else {
        return false;
    };
    (list.path.is_ident("all") && parts.iter().any(tests_only))
        || (list.path.is_ident("any") && parts.iter().all(tests_only))
}

impl Modules {
    /// The modules of these files.
    pub(super) fn new(files: &[Parsed]) -> Self {
        let mut modules = Self::default();
        files.iter().for_each(|file| modules.add_names(&file.path, &file.place, &file.items));
        for (name, parent) in files.iter().filter_map(|file| file.place.split_last()) {
            let parent = modules.modules.entry(parent.to_vec()).or_default();
            parent.names.entry(name.clone()).or_default().push(Name::Module);
        }
        files.iter().for_each(|file| modules.add_methods(&file.path, &file.place, &file.items));
        modules
    }

    fn add_names(&mut self, file: &str, place: &Place, items: &[Item]) {
        self.modules.entry(place.clone()).or_default().file = file.to_owned();
        for item in items.iter().filter(|item| !for_tests(attributes(item))) {
            let module = self.modules.entry(place.clone()).or_default();
            match item {
                Item::Mod(inner) => {
                    if let Some((_, items)) = &inner.content {
                        module.names.entry(inner.ident.to_string()).or_default().push(Name::Module);
                        let inner = [&place[..], &[inner.ident.to_string()]].concat();
                        self.add_names(file, &inner, items);
                    }
                }
                Item::Use(item) => {
                    for (path, name) in leaves(&item.tree) {
                        match name {
                            Some(name) => module.names.entry(name).or_default().push(Name::Alias(path)),
                            None => module.globs.push(path),
                        }
                    }
                }
                _ => {
                    if let Some(name) = name(item) {
                        module.names.entry(name).or_default().push(Name::Item);
                    }
                }
            }
        }
    }

    fn add_methods(&mut self, file: &str, place: &Place, items: &[Item]) {
        for item in items.iter().filter(|item| !for_tests(attributes(item))) {
            match item {
                Item::Mod(inner) => {
                    if let Some((_, items)) = &inner.content {
                        let inner = [&place[..], &[inner.ident.to_string()]].concat();
                        self.add_methods(file, &inner, items);
                    }
                }
                Item::Impl(block) if block.trait_.is_none() => {
                    let Some(Target::Item(module, name)) = self.self_type(place, &block.self_ty) else {
                        continue;
                    };
                    let functions = block.items.iter().filter_map(|item| match item {
                        ImplItem::Fn(function) if !for_tests(&function.attrs) => Some(function.sig.ident.to_string()),
                        _ => None,
                    });
                    for function in functions {
                        let key = (module.clone(), name.clone(), function);
                        self.methods.entry(key).or_default().insert(file.to_owned());
                    }
                }
                _ => {}
            }
        }
    }

    /// The type that an `impl` is for, where it is one of the crate's.
    pub(super) fn self_type(&self, place: &Place, of: &Type) -> Option<Target> {
        match of {
            Type::Path(path) => self.resolve(place, &segments(&path.path)),
            Type::Reference(reference) => self.self_type(place, &reference.elem),
            _ => None,
        }
    }

    /// The file of a target.
    pub(super) fn file(&self, target: &Target) -> Option<&str> {
        let (Target::Module(place) | Target::Item(place, _)) = target;
        self.modules.get(place).map(|module| module.file.as_str())
    }

    /// The files that define the method of a type.
    pub(super) fn methods(&self, of: &Target, method: &str) -> Option<&BTreeSet<String>> {
        match of {
            Target::Item(place, name) => self.methods.get(&(place.clone(), name.clone(), method.to_owned())),
            Target::Module(_) => None,
        }
    }

    /// What the path leads to as it is written in the module `place`; none outside the crate.
    pub(super) fn resolve(&self, place: &Place, path: &[String]) -> Option<Target> {
        self.resolve_within(place, path, 16)
    }

    /// As [`Modules::resolve`], through at most so many re-exports.
    fn resolve_within(&self, place: &Place, path: &[String], left: usize) -> Option<Target> {
        let left = left.checked_sub(1)?;
        let mut place = place.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => (place, rest) = (Vec::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    place.pop()?;
                    rest = &rest[1..];
                }
            }
            _ => {}
        }
        self.walk(place, rest, left)
    }

    fn walk(&self, place: Place, path: &[String], left: usize) -> Option<Target> {
        let Some((name, rest)) = path.split_first() else {
            return Some(Target::Module(place));
        };
        let found = self.look_up(&place, name, left);
        let module = |target: &Target| match target {
            Target::Module(place) => Some(place.clone()),
            Target::Item(..) => None,
        };
        if rest.is_empty() {
            let item = found.iter().find(|target| matches!(target, Target::Item(..)));
            return item.or(found.first()).cloned();
        }
        // A module and a function may have one name. What follows an item is a part of it.
        let deeper = found.iter().filter_map(module).find_map(|place| self.walk(place, rest, left));
        deeper.or_else(|| found.into_iter().find(|target| matches!(target, Target::Item(..))))
    }

    /// All that a name means in a module.
    fn look_up(&self, place: &Place, name: &str, left: usize) -> Vec<Target> {
        let Some(module) = self.modules.get(place) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for meaning in module.names.get(name).into_iter().flatten() {
            match meaning {
                Name::Item => found.push(Target::Item(place.clone(), name.to_owned())),
                Name::Module => found.push(Target::Module([&place[..], &[name.to_owned()]].concat())),
                Name::Alias(path) => found.extend(self.resolve_within(place, path, left)),
            }
        }
        if found.is_empty()
            && let Some(left) = left.checked_sub(1)
        {
            for glob in &module.globs {
                if let Some(Target::Module(of)) = self.resolve_within(place, glob, left) {
                    found.extend(self.look_up(&of, name, left));
                }
            }
        }
        found
    }
}

/// The segments of a path, without generics.
pub(super) fn segments(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

/// Each path of a `use` with the name that it gets here; a glob, the path of its module, gets none.
pub(super) fn leaves(tree: &UseTree) -> Vec<(Vec<String>, Option<String>)> {
    match tree {
        UseTree::Path(path) => {
            let prefix = |(rest, name): (Vec<String>, _)| ([&[path.ident.to_string()], &rest[..]].concat(), name);
            leaves(&path.tree).into_iter().map(prefix).map(without_self).collect()
        }
        UseTree::Name(name) => vec![(vec![name.ident.to_string()], Some(name.ident.to_string()))],
        UseTree::Rename(rename) => vec![(vec![rename.ident.to_string()], Some(rename.rename.to_string()))],
        UseTree::Glob(_) => vec![(Vec::new(), None)],
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
    }
}

/// `a::{self}` is a.
fn without_self((mut path, name): (Vec<String>, Option<String>)) -> (Vec<String>, Option<String>) {
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
        let name = if name.as_deref() == Some("self") { path.last().cloned() } else { name };
        return (path, name);
    }
    (path, name)
}

fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

/// The attributes of an item.
pub(super) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(files: &[(&str, &str)]) -> Modules {
        let files: Vec<File> = files.iter().map(|(path, text)| File::new(path, text)).collect();
        Modules::new(&parse(&files, "src/").unwrap())
    }

    fn file_of(modules: &Modules, place: &str, path: &str) -> Option<String> {
        let split =
            |text: &str| text.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        let target = modules.resolve(&split(place), &split(path))?;
        modules.file(&target).map(str::to_owned)
    }

    #[test]
    fn names_lead_through_re_exports_to_their_file() {
        let modules = modules(&[
            ("src/lib.rs", "pub mod a; mod b; pub use a::Deep as Renamed;"),
            ("src/a/mod.rs", "mod c; pub use c::{Deep, inner::*}; pub use crate::b as other;"),
            ("src/a/c.rs", "pub struct Deep; pub mod inner { pub fn low() {} }"),
            ("src/b.rs", "use super::a::{self, Deep}; pub struct Own; impl Own { pub fn method(&self) {} }"),
        ]);
        for (place, path, file) in [
            ("b", "crate::a::Deep", "src/a/c.rs"),
            ("b", "a::low", "src/a/c.rs"),
            ("b", "Deep::associated", "src/a/c.rs"),
            ("a::c", "super::super::Renamed", "src/a/c.rs"),
            ("a::c::inner", "crate::a::other::Own", "src/b.rs"),
            ("", "self::a", "src/a/mod.rs"),
        ] {
            assert_eq!(file_of(&modules, place, path).as_deref(), Some(file), "{path} in {place}");
        }
        for path in ["std::rc::Rc", "crate::a::Missing", "Deeper", "super::super::super::x"] {
            assert_eq!(file_of(&modules, "b", path), None, "{path}");
        }
        let own = modules.resolve(&vec!["b".into()], &["Own".into()]).unwrap();
        assert_eq!(modules.methods(&own, "method").map(BTreeSet::len), Some(1));
        assert_eq!(modules.methods(&own, "other"), None);
    }

    #[test]
    fn a_module_a_function_and_a_crate_may_have_one_name() {
        let modules = modules(&[
            ("src/cpu.rs", "mod gemm; use gemm::gemm;"),
            ("src/cpu/gemm.rs", "pub fn gemm() {} pub struct Layout;"),
        ]);
        assert_eq!(file_of(&modules, "cpu", "gemm").as_deref(), Some("src/cpu/gemm.rs"));
        assert_eq!(file_of(&modules, "cpu", "gemm::Layout").as_deref(), Some("src/cpu/gemm.rs"));
        assert_eq!(file_of(&modules, "cpu::gemm", "gemm::gemm").as_deref(), Some("src/cpu/gemm.rs"));
    }

    #[test]
    fn what_is_for_tests_is_left_out() {
        let files = [
            (
                "src/a.rs",
                "#[cfg(test)] mod tests; #[cfg(all(test, unix))] pub mod sample; #[cfg(any(unix, test))] mod b;",
            ),
            ("src/a/tests.rs", "pub struct Here;"),
            ("src/a/sample.rs", ""),
            ("src/a/b.rs", "#[cfg(test)] mod tests { pub struct Inner; }"),
        ];
        let files: Vec<File> = files.iter().map(|(path, text)| File::new(path, text)).collect();
        let parsed = parse(&files, "src/").unwrap();
        assert_eq!(parsed.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["src/a.rs", "src/a/b.rs"]);
        assert_eq!(file_of(&Modules::new(&parsed), "a::b", "tests::Inner"), None);
        assert!(parse(&[File::new("src/a.rs", "fn {")], "src/").is_err());
    }
}
