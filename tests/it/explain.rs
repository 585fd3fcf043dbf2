//! Outlines of trees whose reasons are written here.

use std::fmt::Write as _;
use std::sync::Arc;

use mkimage::closure::Closure;
use mkimage::explain::{Asker, Graph, Line, Listing, Reach, What};
use mkimage::report::{Span, Texts};
use mkimage::source::Content;
use mkimage::tree::{Cause, Entry, EntryKind, Rank, Reason, Tree};
use snapbox::{assert_data_eq, str};

use super::synthetic::at;

#[derive(Default)]
struct Image {
    tree: Tree,
}

impl Image {
    /// A file of ten bytes with its reasons.
    fn file(mut self, path: &str, reasons: impl IntoIterator<Item = Reason>) -> Self {
        self.place(path, EntryKind::File(Content::bytes([0; 10])), reasons);
        self
    }

    fn link(mut self, path: &str, target: &str, reasons: impl IntoIterator<Item = Reason>) -> Self {
        self.place(path, EntryKind::Symlink(target.into()), reasons);
        self
    }

    fn place(&mut self, path: &str, kind: EntryKind, reasons: impl IntoIterator<Item = Reason>) {
        let mut entry = Entry::new(kind, 0o755, Rank::Need, Reason::new(Cause::Parent, None));
        entry.reasons = reasons.into_iter().collect();
        self.tree.place(at(path), entry).unwrap();
    }

    fn outline(&self, listing: Listing) -> String {
        text(&Graph::of(&self.tree, &Closure::default(), Reach::Reasons).outline(listing))
    }

    fn needers(&self, path: &str) -> String {
        text(&Graph::of(&self.tree, &Closure::default(), Reach::Everything).needers(&at(path)))
    }
}

/// The place of an entry of the recipe; the number tells entries apart.
fn entry(number: u32) -> Span {
    let text = Texts::default().add("recipe", "");
    Span { text, start: number, end: number + 1 }
}

fn binary(number: u32) -> Reason {
    Reason::new(Cause::Key("binaries"), Some(entry(number)))
}

fn folder(number: u32) -> Reason {
    Reason::new(Cause::Folder("/data/".into()), Some(entry(number)))
}

fn needed(by: &str, name: &str) -> Reason {
    Reason::new(Cause::Needed { by: at(by), name: name.into(), via: "ld.so.cache".into() }, None)
}

fn rule(name: &str) -> Reason {
    Reason::new(Cause::Rule { name: Arc::from(name), trigger: "links x".into() }, None)
}

fn text(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let what = match &line.what {
            What::Image => "image".to_owned(),
            What::Asker(asker, summed) => format!("{} sums {summed}", called(asker)),
            What::File { bond, asker } => {
                let asker = asker.as_ref().map_or_else(String::new, |asker| format!(" for {}", called(asker)));
                let paths = std::iter::once(&bond.path).chain(&bond.links).map(ToString::to_string);
                paths.collect::<Vec<_>>().join(" <- ") + &asker
            }
        };
        let star = if line.repeated { " (*)" } else { "" };
        let indent = "  ".repeat(line.depth);
        let _ = writeln!(text, "{indent}{what}{star}: {} of {} in {}", line.own, line.total, line.files);
    }
    text
}

fn called(asker: &Asker) -> String {
    match asker {
        Asker::Entry { span, key } => format!("{key}[{}]", span.start),
        Asker::Rule { name, .. } => name.to_string(),
        Asker::Generated => "mkimage".to_owned(),
        Asker::Nobody => "nobody".to_owned(),
        Asker::File(path) => path.to_string(),
    }
}

/// Two programs that share a library, which needs another.
fn sharing() -> Image {
    Image::default()
        .file("/bin/a", [binary(1)])
        .file("/bin/b", [binary(2)])
        .link("/lib/libx.so.1", "libx.so.1.2", [needed("/bin/a", "libx.so.1"), needed("/bin/b", "libx.so.1")])
        .file("/lib/libx.so.1.2", [needed("/bin/a", "libx.so.1"), needed("/bin/b", "libx.so.1")])
        .file("/lib/liby.so.2", [needed("/lib/libx.so.1.2", "liby.so.2")])
}

#[test]
fn a_shared_library_is_opened_and_counted_once() {
    assert_data_eq!(
        sharing().outline(Listing::Summed),
        str![[r#"
image: 0 of 40 in 5
  /bin/a for binaries[1]: 10 of 30 in 4
    /lib/libx.so.1.2 <- /lib/libx.so.1: 10 of 20 in 3
      /lib/liby.so.2: 10 of 10 in 1
  /bin/b for binaries[2]: 10 of 10 in 1
    /lib/libx.so.1.2 <- /lib/libx.so.1 (*): 10 of 0 in 0

"#]]
    );
}

#[test]
fn who_needs_a_library_ends_at_the_recipe() {
    assert_data_eq!(
        sharing().needers("/lib/liby.so.2"),
        str![[r#"
/lib/liby.so.2: 10 of 10 in 0
  /lib/libx.so.1.2: 10 of 10 in 0
    /bin/a: 10 of 10 in 0
      binaries[1] sums 0: 0 of 0 in 0
    /bin/b: 10 of 10 in 0
      binaries[2] sums 0: 0 of 0 in 0

"#]]
    );
}

#[test]
fn a_folder_of_plugins_is_one_line_with_what_they_need() {
    let mut image = Image::default().file("/bin/a", [binary(1)]).file("/lib/libc.so", [needed("/bin/a", "libc.so")]);
    for number in 0..20 {
        let plugin = format!("/data/plugin{number:02}.so");
        image = image.file(&plugin, [folder(2)]);
        let path = at("/lib/libc.so");
        image.tree.get_mut(&path).unwrap().reasons.push(needed(&plugin, "libc.so"));
    }
    let image =
        image.file("/lib/libz.so", [needed("/data/plugin07.so", "libz.so"), needed("/data/plugin09.so", "libz.so")]);
    assert_data_eq!(
        image.outline(Listing::Summed),
        str![[r#"
image: 0 of 230 in 23
  /bin/a for binaries[1]: 10 of 20 in 2
    /lib/libc.so: 10 of 10 in 1
  files[2] sums 20: 200 of 210 in 21
    /lib/libc.so (*): 10 of 0 in 0
    /lib/libz.so: 10 of 10 in 1

"#]]
    );
    assert_eq!(image.outline(Listing::Whole).matches("plugin").count(), 20);
}

#[test]
fn rules_come_after_entries_and_no_file_is_passed_over() {
    let image = Image::default()
        .file("/etc/certs", [rule("ca-certificates")])
        .file("/etc/a", [Reason::new(Cause::Key("files"), Some(entry(9)))])
        .file("/etc/made", [Reason::new(Cause::Generated("account file"), None)])
        .file("/lib/lost.so", [needed("/bin/not/there", "lost.so")]);
    assert_data_eq!(
        image.outline(Listing::Summed),
        str![[r#"
image: 0 of 40 in 4
  /etc/a for files[9]: 10 of 10 in 1
  /etc/certs for ca-certificates: 10 of 10 in 1
  mkimage sums 1: 10 of 10 in 1
  nobody sums 0: 0 of 10 in 1
    /lib/lost.so: 10 of 10 in 1

"#]]
    );
}

#[test]
fn what_a_rule_has_loaded_stands_under_the_rule() {
    let dlopen =
        |via: &str| Reason::new(Cause::Needed { by: at("/bin/a"), name: "libx".into(), via: via.into() }, None);
    let image = Image::default()
        .file("/bin/a", [binary(1)])
        .file("/lib/by-note", [dlopen("dlopen note, ld.so.cache")])
        .file("/lib/by-rule", [dlopen("dlopen, ld.so.cache"), rule("libgcc")]);
    assert_data_eq!(
        image.outline(Listing::Summed),
        str![[r#"
image: 0 of 30 in 3
  /bin/a for binaries[1]: 10 of 20 in 2
    /lib/by-note: 10 of 10 in 1
  /lib/by-rule for libgcc: 10 of 10 in 1

"#]]
    );
}

#[test]
fn what_was_outranked_is_no_reason_for_what_stands_there() {
    let outranked = Reason { outranked: true, ..folder(2) };
    let image = Image::default().file("/etc/a", [binary(1), outranked]);
    assert_data_eq!(
        image.outline(Listing::Summed),
        str![[r#"
image: 0 of 10 in 1
  /etc/a for binaries[1]: 10 of 10 in 1

"#]]
    );
}

#[test]
fn libraries_that_need_each_other_do_not_go_on_for_ever() {
    let image = Image::default()
        .file("/bin/a", [binary(1)])
        .file("/lib/x", [needed("/bin/a", "x"), needed("/lib/y", "x")])
        .file("/lib/y", [needed("/lib/x", "y")]);
    assert_data_eq!(
        image.outline(Listing::Summed),
        str![[r#"
image: 0 of 30 in 3
  /bin/a for binaries[1]: 10 of 30 in 3
    /lib/x: 10 of 20 in 2
      /lib/y: 10 of 10 in 1
        /lib/x (*): 10 of 0 in 0

"#]]
    );
    assert_data_eq!(
        image.needers("/lib/y"),
        str![[r#"
/lib/y: 10 of 10 in 0
  /lib/x: 10 of 10 in 0
    /bin/a: 10 of 10 in 0
      binaries[1] sums 0: 0 of 0 in 0
    /lib/y (*): 10 of 10 in 0

"#]]
    );
}

#[test]
fn the_longest_chain_of_libraries_is_no_matter() {
    let name = |number: usize| format!("/lib/{number}");
    let mut image = Image::default().file("/lib/0", [binary(1)]);
    for number in 1..20_000 {
        image = image.file(&name(number), [needed(&name(number - 1), "next")]);
    }
    let lines = Graph::of(&image.tree, &Closure::default(), Reach::Reasons).outline(Listing::Summed);
    assert_eq!((lines.len(), lines[0].total, lines[0].files), (20_001, 200_000, 20_000));
}
