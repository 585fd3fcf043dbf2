//! Every rule of the policy, with an image that breaks it and one that keeps it.

use mkimage::inventory::Inventory;
use mkimage::path::ImagePath;
use mkimage::policy::{Detail, Facts, Hardening, HostRoot, Relro, Searched, Unexplained, Verdicts, judge, rules};
use mkimage::recipe::{self, Context, Date, Input, Recipe};
use mkimage::report::{Diagnostic, Span, Texts, render};
use mkimage::source::ownership::{Check, Database};
use mkimage::source::{Content, Folder, NodeKind, Source};
use mkimage::tree::{Cause, Entry, EntryKind, Rank, Reason, Tree};
use serde_json::{Value, json};

use crate::ownership::Root;
use crate::sandbox::Sandbox;

/// An image to judge: a recipe, and a tree that is filled as the recipe would.
pub(crate) struct Image {
    pub(crate) texts: Texts,
    pub(crate) recipe: Recipe,
    pub(crate) tree: Tree,
    root: Folder,
    pub(crate) uid: u32,
    pub(crate) host: Option<HostRoot<'static>>,
    pub(crate) linked: Option<Hardening>,
    pub(crate) unexplained: Vec<Unexplained>,
}

/// The day on which all images here are judged.
const TODAY: &str = "2026-11-26";

pub(crate) const GOOD: Hardening = Hardening {
    pie: Some(true),
    relro: Relro::Full,
    exec_stack: false,
    writable_code: false,
    canary: Some(true),
    search_paths: Vec::new(),
    go: false,
};

impl Image {
    pub(crate) fn new(recipe: &str) -> Self {
        Self::on(recipe, Root::new("").folder())
    }

    pub(crate) fn on(recipe: &str, root: Folder) -> Self {
        let mut texts = Texts::default();
        let input = Input::Text {
            name: "app.toml".to_owned(),
            text: format!("name = \"app\"\n{recipe}").into(),
            folder: "/nowhere".into(),
        };
        let loaded = recipe::load(&input, &Context::default(), &mut texts);
        let recipe = loaded.map_err(|e| render(&e.0, &texts, false)).unwrap().recipes.remove(0);
        Self {
            texts,
            recipe,
            tree: Tree::default(),
            root,
            uid: 65532,
            host: None,
            linked: None,
            unexplained: Vec::new(),
        }
    }

    pub(crate) fn place(
        &mut self,
        path: &str,
        kind: EntryKind,
        mode: u32,
        cause: Cause,
        span: Option<Span>,
    ) -> &mut Self {
        let rank = if matches!(cause, Cause::Generated(_)) { Rank::Generated } else { Rank::Recipe };
        self.tree.place(at(path), Entry::new(kind, mode, rank, Reason::new(cause, span))).unwrap();
        self
    }

    /// A file that the first entry of `files` names.
    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &str) -> &mut Self {
        let span = self.recipe.files.first().map(|file| file.span);
        self.place(path, EntryKind::File(Content::bytes(content)), mode, Cause::Key("files"), span)
    }

    /// Programs in a folder that the first entry of `files` copies.
    fn copied(&mut self, paths: &[&str]) -> &mut Self {
        let span = self.recipe.files.first().map(|file| file.span);
        for path in paths {
            let cause = Cause::Folder("/usr/bin".to_owned());
            self.place(path, EntryKind::File(Content::bytes(*path)), 0o755, cause, span);
        }
        self
    }

    fn link(&mut self, path: &str, target: &str) -> &mut Self {
        let span = self.recipe.files.first().map(|file| file.span);
        self.place(path, EntryKind::Symlink(target.into()), 0o777, Cause::Key("files"), span)
    }

    /// Everything of the root at a path, for a reason.
    pub(crate) fn bring_from_root(&mut self, paths: &[&str], cause: &Cause) -> &mut Self {
        for path in paths {
            let node = self.root.node(&at(path)).unwrap().unwrap();
            let NodeKind::File(content) = node.kind else { panic!("{path} is no file") };
            let span = self.recipe.files.first().map(|file| file.span);
            self.place(path, EntryKind::File(content), 0o644, cause.clone(), span);
        }
        self
    }

    pub(crate) fn verdicts(&self) -> Verdicts {
        let database = Database::open(&self.root).unwrap();
        let inventory = Inventory::take(&self.recipe, &database, &self.root, &self.tree, Check::Every).unwrap();
        let hardening = |path: &ImagePath| if path.name() == b"x" { self.linked.clone() } else { None };
        let facts = Facts {
            recipe: &self.recipe,
            inventory: &inventory,
            hardening: &hardening,
            unexplained: &self.unexplained,
            uid: self.uid,
            host_root: self.host,
            today: Date::parse(TODAY).unwrap(),
            searched: &Searched::default(),
        };
        judge(&self.tree, &facts, &self.recipe.policy).unwrap()
    }

    fn render(&self, diagnostics: &[Diagnostic]) -> String {
        if diagnostics.is_empty() { String::new() } else { render(diagnostics, &self.texts, false) }
    }

    fn errors(&self) -> String {
        self.render(&self.verdicts().errors())
    }

    /// `error CODE: TITLE` and `warning CODE: TITLE`, a line for each.
    pub(crate) fn titles(&self) -> String {
        let verdicts = self.verdicts();
        let errors = verdicts.errors().into_iter().map(|d| format!("error {}: {}\n", d.code, d.title));
        let warnings =
            verdicts.warnings(Detail::Brief).into_iter().map(|d| format!("warning {}: {}\n", d.code, d.title));
        errors.chain(warnings).collect()
    }
}

pub(crate) fn at(path: &str) -> ImagePath {
    ImagePath::new(path).unwrap()
}

/// A copied `/usr/bin/` with a shell, which a link brought first.
pub(crate) fn with_shell(recipe: &str) -> Image {
    let mut image = Image::new(recipe);
    image.copied(&["/usr/bin/dash", "/usr/bin/a", "/usr/bin/b"]);
    let dash = image.tree.get_mut(&at("/usr/bin/dash")).unwrap();
    dash.reasons.insert(0, Reason::new(Cause::Link { from: at("/usr/bin/sh") }, None));
    let span = image.recipe.files[0].span;
    image.place("/usr/bin/sh", EntryKind::Symlink(b"dash".into()), 0o777, Cause::Folder("/usr/bin".into()), Some(span));
    image
}

#[test]
fn a_shell_is_told_with_the_chain_of_reasons() {
    assert_eq!(
        with_shell("files = [\"/usr/bin/\"]\n[policy]\nshell = \"deny\"\n").errors(),
        "error[E0301]: policy forbids a shell, and the image would have `/usr/bin/dash`\n \
         --> app.toml:2:10\n  \
         |\n\
         2 | files = [\"/usr/bin/\"]\n  \
         |          ^^^^^^^^^^^ copies /usr/bin/dash and 3 more\n\
         3 | [policy]\n\
         4 | shell = \"deny\"\n  \
         |         ------ rule set here\n  \
         |\n  \
         = note: why: files[0] -> /usr/bin/sh -> /usr/bin/dash\n  \
         = note: also `/usr/bin/sh`\n  \
         = help: name the programs that the service needs under `binaries`\n"
    );
    assert_eq!(with_shell("files = [\"/usr/bin/\"]\n[policy]\nshell = \"allow\"\n").titles(), "");
}

#[test]
fn a_rule_that_the_recipe_does_not_set_is_told_with_the_line_to_add() {
    let mut image = Image::new("user = \"root\"\n");
    image.uid = 0;
    assert_eq!(
        image.errors(),
        "error[E0303]: policy forbids the user root, and the image would run as it\n \
         --> app.toml:2:8\n  \
         |\n\
         2 | user = \"root\"\n  \
         |        ^^^^^^ asked for here\n  \
         |\n  \
         = help: without `user` the image runs as nonroot, 65532:65532\n  \
         = help: if the image must have it, say so under [policy]: `root-user = \"allow\"`\n"
    );
}

#[test]
fn a_warning_is_one_line_or_tells_all() {
    let image = with_shell("files = [\"/usr/bin/\"]\n[policy]\nshell = \"warn\"\n");
    let verdicts = image.verdicts();
    assert_eq!(
        image.render(&verdicts.warnings(Detail::Brief)),
        "warning[E0301]: 2 shells: `/usr/bin/dash` and 1 more\n"
    );
    assert_eq!(
        image.render(&verdicts.warnings(Detail::Full)),
        "warning[E0301]: 2 shells: `/usr/bin/dash` and 1 more\n \
         --> app.toml:2:10\n  \
         |\n\
         2 | files = [\"/usr/bin/\"]\n  \
         |          ^^^^^^^^^^^ copies /usr/bin/dash and 3 more\n\
         3 | [policy]\n\
         4 | shell = \"warn\"\n  \
         |         ------ rule set here\n  \
         |\n  \
         = note: `/usr/bin/dash` (why: files[0] -> /usr/bin/sh -> /usr/bin/dash)\n  \
         = note: `/usr/bin/sh` (why: files[0] -> /usr/bin/sh)\n  \
         = help: name the programs that the service needs under `binaries`\n  \
         = help: under [policy], `shell = \"allow\"` silences this and `shell = \"deny\"` forbids it\n"
    );
}

/// Whether a file with mode and content, alone in an image, breaks a rule that is on by default.
fn broken(path: &str, mode: u32, content: &str) -> String {
    let mut image = Image::new("files = [\"/app/\"]\n");
    image.file(path, mode, content).titles()
}

#[test]
fn shells_are_known_by_name_and_as_the_target_of_links() {
    assert!(broken("/opt/bin/busybox", 0o755, "").starts_with("error E0301"));
    assert_eq!(broken("/usr/share/bash-completion/completions/sh", 0o644, ""), "", "no program");
    assert_eq!(broken("/usr/bin/shfmt", 0o755, ""), "");
    let mut image = Image::new("files = [\"/app/\"]\n");
    image.file("/app/run", 0o755, "").link("/bin/sh", "../app/run").link("/bin/ash", "/nowhere");
    let title = "error E0301: policy forbids a shell, and the image would have `/bin/sh`\n";
    assert_eq!(image.titles(), title);
    let target = EntryKind::HardLink(at("/app/zsh"));
    let mut image = Image::new("files = [\"/app/\"]\n");
    image.file("/app/zsh", 0o755, "").place("/bin/run", target, 0o755, Cause::Key("files"), None);
    assert!(image.errors().contains("also `/bin/run`"), "{}", image.errors());
}

#[test]
fn a_shell_copied_under_another_name_is_one() {
    let root = Root::new("/usr/bin/dash x");
    let mut image = Image::on("files = [\"/usr/bin/dash\"]\n", root.folder());
    let NodeKind::File(content) = image.root.node(&at("/usr/bin/dash")).unwrap().unwrap().kind else { panic!() };
    image.place("/app/run", EntryKind::File(content), 0o755, Cause::Key("files"), None);
    assert!(image.titles().starts_with("error E0301: policy forbids a shell, and the image would have `/app/run`"));
}

#[test]
fn modes() {
    let setuid = "error E0302: policy forbids a setuid or setgid file, and the image would have `/a`, mode 4755\n";
    assert_eq!(broken("/a", 0o4755, ""), setuid);
    assert_eq!(broken("/a", 0o2711, ""), setuid.replace("4755", "2711"));
    assert_eq!(broken("/a", 0o755, ""), "");
    let writable = "error E0304: policy forbids a world-writable path, and the image would have `/a`, mode 0666\n";
    assert_eq!(broken("/a", 0o666, ""), writable);
    let folder = |mode: u32| {
        let mut image = Image::new("dirs = [\"/d\"]\n");
        image.place("/d", EntryKind::Directory, mode, Cause::Key("dirs"), None);
        image.link("/l", "d").errors()
    };
    assert!(folder(0o777).contains("= help: `writable = [\"/d\"]` makes a folder that belongs to the image's user"));
    assert_eq!(folder(0o1777) + &folder(0o2755), "");
}

#[test]
fn capabilities_need_their_line_and_are_explained() {
    let mut image = Image::new("files = [\"/app\"]\n");
    image.file("/app", 0o755, "");
    image.tree.get_mut(&at("/app")).unwrap().xattrs.push(("user.note".to_owned(), vec![1]));
    assert_eq!(image.titles(), "");
    image.tree.get_mut(&at("/app")).unwrap().xattrs.push(("security.capability".to_owned(), vec![1]));
    assert_eq!(
        image.errors(),
        "error[E0306]: policy forbids a file with capabilities, and the image would have `/app`\n \
         --> app.toml:2:10\n  \
         |\n\
         2 | files = [\"/app\"]\n  \
         |          ^^^^^^ asked for here\n  \
         |\n  \
         = note: `drop: [ALL]` makes such a program fail to start, and no_new_privs makes its capabilities void\n  \
         = note: why: files[0] -> /app\n  \
         = help: a port above 1023 needs no capability\n  \
         = help: if the image must have it, say so under [policy]: `capabilities = \"allow\"`\n"
    );
}

pub(crate) const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIDjJwdqZ9oJPXgFTU3+KoOuNYNLsu1zkFAKE0123456A\n\
    -----END PRIVATE KEY-----\n";

#[test]
fn secrets_of_the_recipes_side() {
    let title = "error E0305: policy forbids a secret, and the image would have `/app/tls.pem`, a private key\n";
    assert_eq!(broken("/app/tls.pem", 0o644, KEY), title);
    let title = "error E0305: policy forbids a secret, and the image would have `/app/.git`, a repository's history\n";
    let mut image = Image::new("files = [\"/app/\"]\n");
    image.file("/app/.git/config", 0o644, "").file("/app/.git/objects/00/11", 0o644, "");
    assert_eq!(image.titles(), title);
    assert_eq!(broken("/app/.gitignore", 0o644, "x"), "");
    assert_eq!(broken("/app/ca.pem", 0o644, "-----BEGIN CERTIFICATE-----\nMIIB\n"), "");
}

#[test]
fn secrets_of_packages_are_public() {
    let root = Root::new("/usr/lib/python3/test/key.pem k\n/etc/app.conf c\n/etc/ssl/private/local.key u");
    root.write("/usr/lib/python3/test/key.pem", KEY);
    root.write("/etc/app.conf", KEY);
    let stanza = "Package: app\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\
        Conffiles:\n /etc/app.conf 00000000000000000000000000000000";
    root.package(stanza, "app", &["/usr/lib/python3/test/key.pem", "/etc/app.conf"]);
    let judged = |path: &str| {
        let mut image = Image::on("files = [\"/etc/\"]\n[policy]\nunowned = \"allow\"\n", root.folder());
        image.bring_from_root(&[path], &Cause::Key("files")).titles()
    };
    assert_eq!(judged("/usr/lib/python3/test/key.pem"), "");
    assert!(judged("/etc/app.conf").starts_with("error E0305"), "an administrator may have written it");
    assert!(judged("/etc/ssl/private/local.key").starts_with("error E0305"), "no package owns it");
}

#[test]
fn how_objects_are_linked() {
    let judged = |linked: Hardening| {
        let mut image = Image::new("files = [\"/x\"]\n");
        image.linked = Some(linked);
        image.file("/x", 0o755, "").file("/data", 0o644, "").titles()
    };
    assert_eq!(judged(GOOD), "");
    assert_eq!(judged(Hardening { pie: None, ..GOOD }), "");
    assert_eq!(judged(Hardening { pie: Some(false), ..GOOD }), "warning E0307: 1 program without PIE: `/x`\n");
    let relro = "warning E0308: 1 file without full RELRO: `/x`\n";
    assert_eq!(judged(Hardening { relro: Relro::Partial, ..GOOD }), relro);
    assert_eq!(judged(Hardening { relro: Relro::None, ..GOOD }), relro);
    assert_eq!(judged(Hardening { pie: Some(false), relro: Relro::None, canary: Some(false), go: true, ..GOOD }), "");
    let stack = "warning E0309: 1 file with an executable stack: `/x`\n";
    assert_eq!(judged(Hardening { exec_stack: true, ..GOOD }), stack);
    assert_eq!(judged(Hardening { pie: Some(false), relro: Relro::None, exec_stack: true, go: true, ..GOOD }), stack);
}

#[test]
fn code_and_paths_that_others_can_change() {
    let judged = |policy: &str, mode: u32, linked: Hardening| {
        let mut image = Image::new(&format!("files = [\"/x\"]\n[policy]\nsetuid = \"allow\"\n{policy}"));
        image.linked = Some(linked);
        let open = EntryKind::Directory;
        image.place("/open", open, 0o1777, Cause::Key("dirs"), None).file("/x", mode, "").titles()
    };
    let with = |path: &str| Hardening { search_paths: vec![path.into()], ..GOOD };
    assert_eq!(
        judged("", 0o755, Hardening { writable_code: true, ..GOOD }),
        "warning E0320: 1 file with writable code: `/x`\n"
    );
    let rpath = "warning E0321: 1 file with an unsafe RPATH: `/x`\n";
    for unsafe_path in ["", "lib", "/tmp/lib", "/open", "$ORIGIN/open"] {
        assert_eq!(judged("", 0o755, with(unsafe_path)), rpath, "{unsafe_path}");
    }
    for safe in ["/usr/lib/x", "$ORIGIN/../lib"] {
        assert_eq!(judged("", 0o755, with(safe)), "", "{safe}");
    }
    assert_eq!(judged("", 0o4755, with("$ORIGIN/../lib")), rpath);
    let bare = Hardening { canary: Some(false), ..GOOD };
    assert_eq!(judged("", 0o755, bare.clone()), "");
    let canary = "warning E0322: 1 file without stack protection: `/x`\n";
    assert_eq!(judged("no-canary = \"warn\"\n", 0o755, bare), canary);
}

#[test]
fn a_rule_that_the_recipe_sets_counts_go_programs() {
    let mut image = Image::new("files = [\"/x\"]\n[policy]\nno-pie = \"deny\"\n");
    image.linked = Some(Hardening { pie: Some(false), go: true, ..GOOD });
    let title = "error E0307: policy forbids a program without PIE, and the image would have `/x`, linked to a fixed \
        address, as Go does unless built with `-buildmode=pie`\n";
    assert_eq!(image.file("/x", 0o755, "").titles(), title);
}

#[test]
fn libraries_that_are_named_and_not_there() {
    let judged = |verdict: &str| {
        let mut image = Image::new(&format!("files = [\"/x\"]\n[policy]\ndlopen = \"{verdict}\"\n"));
        let by = vec![(at("/x"), "`dlopen`".to_owned())];
        image.unexplained = vec![
            Unexplained { name: "liba.so.1".into(), by: by.clone(), in_root: Some(at("/usr/lib/liba.so.1")) },
            Unexplained { name: "libb.so.2".into(), by, in_root: None },
        ];
        image.file("/x", 0o755, "").titles()
    };
    assert_eq!(judged("allow"), "");
    assert_eq!(judged("warn"), "warning E0319: 2 libraries that are named and not there: `liba.so.1` and 1 more\n");
    assert_eq!(
        judged("deny"),
        "error E0319: `liba.so.1` is named for loading, and the image does not have it\n\
         error E0319: `libb.so.2` is named for loading, and the image does not have it\n"
    );
}

#[test]
fn files_of_the_root_that_no_package_owns() {
    let root = Root::new(
        "/usr/bin/tool program
         /usr/lib/m.py module
         /usr/lib/__pycache__/m.cpython-311.pyc compiled
         /usr/lib/__pycache__/n.cpython-311.pyc compiled
         /usr/local/bin/own made here
         /etc/ssl/certs/ca.crt bundle",
    );
    let stanza = "Package: tool\nStatus: install ok installed\nVersion: 1\nArchitecture: all";
    root.package(stanza, "tool", &["/usr/bin/tool", "/usr/lib/m.py"]);
    root.write("/usr/bin/tool", "patched");
    let recipe = "files = [\"/usr/\"]\n";
    let mut image = Image::on(recipe, root.folder());
    let paths = ["/usr/lib/m.py", "/usr/lib/__pycache__/m.cpython-311.pyc"];
    image.bring_from_root(&paths, &Cause::Folder("/usr".to_owned()));
    let rule = Cause::Rule { name: "ca-certificates".into(), trigger: String::new() };
    image.bring_from_root(&["/etc/ssl/certs/ca.crt"], &rule).file("/app/beside", 0o644, "x");
    assert_eq!(image.titles(), "");
    let paths = ["/usr/bin/tool", "/usr/lib/__pycache__/n.cpython-311.pyc", "/usr/local/bin/own"];
    image.bring_from_root(&paths, &Cause::Folder("/usr".to_owned()));
    let full = image.render(&image.verdicts().warnings(Detail::Full));
    assert_eq!(
        full,
        "warning[E0310]: 3 files that are no package's: `/usr/bin/tool` and 2 more\n \
         --> app.toml:2:10\n  \
         |\n\
         2 | files = [\"/usr/\"]\n  \
         |          ^^^^^^^ copies /usr/bin/tool and 4 more\n  \
         |\n  \
         = note: `/usr/bin/tool`: is not what the package tool installed (why: files[0] -> /usr/bin/tool)\n  \
         = note: `/usr/lib/__pycache__/n.cpython-311.pyc`: no package owns it \
         (why: files[0] -> /usr/lib/__pycache__/n.cpython-311.pyc)\n  \
         = note: `/usr/local/bin/own`: no package owns it (why: files[0] -> /usr/local/bin/own)\n  \
         = help: under [policy], `unowned = \"allow\"` silences this and `unowned = \"deny\"` forbids it\n"
    );
    let bare = Root::new("/usr/bin/x x");
    let mut image = Image::on(recipe, bare.folder());
    image.bring_from_root(&["/usr/bin/x"], &Cause::Key("files"));
    let full = image.render(&image.verdicts().warnings(Detail::Full));
    assert!(full.contains("= note: the root has no package database"), "{full}");
}

#[test]
fn a_file_beside_the_recipe_is_not_the_roots_though_the_root_holds_it() {
    let root = Root::new("/srv/app/x mine\n/srv/lib/y mine");
    let mut image = Image::on("files = [{ from = \"app/\", to = \"/app/\" }]\n", root.folder());
    image.bring_from_root(&["/srv/app/x"], &Cause::Folder("/srv/app".to_owned()));
    image.bring_from_root(&["/srv/lib/y"], &Cause::Link { from: at("/srv/app/x") });
    assert_eq!(image.titles(), "");
    let mut image = Image::on("files = [\"/srv/app/\"]\n", root.folder());
    image.bring_from_root(&["/srv/app/x"], &Cause::Folder("/srv/app".to_owned()));
    assert_eq!(image.titles(), "warning E0310: 1 file that is no package's: `/srv/app/x`\n");
}

#[test]
fn the_building_machine_as_root() {
    let host = |recipe: &str, ci| {
        let mut image = Image::new(recipe);
        image.host = Some(HostRoot { distribution: "Debian GNU/Linux 12 (bookworm)", ci });
        image.titles()
    };
    assert_eq!(
        host("", true),
        "warning E0311: the root is the building machine itself, Debian GNU/Linux 12 (bookworm): \
         another one may build another image\n"
    );
    assert_eq!(host("", false), "");
    assert_eq!(host("[policy]\nhost-root = \"allow\"\n", true), "");
    assert!(
        host("[policy]\nhost-root = \"deny\"\n", false).starts_with("error E0311: policy forbids the building machine")
    );
    assert_eq!(Image::new("[policy]\nhost-root = \"deny\"\n").titles(), "");
}

#[test]
fn limits_of_size_and_count() {
    let judged = |policy: &str| {
        let mut image = Image::new(&format!("files = [\"/app/\"]\n[policy]\n{policy}\n"));
        let big = "x".repeat(1_500_000);
        image.file("/app/big", 0o644, &big).file("/app/small", 0o644, "1").link("/app/link", "small");
        image.errors()
    };
    assert_eq!(
        judged("max-size = \"1MB\""),
        "error[E0312]: the image is 1.5 MB unpacked, and policy allows 1 MB\n \
         --> app.toml:4:12\n  \
         |\n\
         4 | max-size = \"1MB\"\n  \
         |            ----- rule set here\n  \
         |\n  \
         = note: largest: 1.5 MB /app/big, 1 byte /app/small\n"
    );
    assert!(
        judged("max-size = 1500000")
            .starts_with("error[E0312]: the image is 1500001 bytes unpacked, and policy allows 1500000 bytes\n")
    );
    assert_eq!(judged("max-size = 1500001"), "");
    assert!(
        judged("max-files = 2").starts_with("error[E0313]: the image has 3 files and links, and policy allows 2\n")
    );
    assert!(judged("max-files = 2").contains("= note: most: 3 in /app\n"));
    assert_eq!(judged("max-files = 3"), "");
}

#[test]
fn denied_files() {
    let judged = |globs: &str| {
        let mut image = Image::new(&format!("files = [\"/app/\"]\n[policy]\ndeny-files = {globs}\n"));
        image.place("/app", EntryKind::Directory, 0o755, Cause::Parent, None);
        image.file("/app/a.map", 0o644, "").file("/app/b.map", 0o644, "").file("/app/c", 0o644, "");
        image.errors()
    };
    assert_eq!(
        judged("[\"**/*.map\", \"/usr/**\"]"),
        "error[E0314]: policy forbids `**/*.map`, and the image would have `/app/a.map`\n \
         --> app.toml:2:10\n  \
         |\n\
         2 | files = [\"/app/\"]\n  \
         |          ^^^^^^^ asked for here\n\
         3 | [policy]\n\
         4 | deny-files = [\"**/*.map\", \"/usr/**\"]\n  \
         |               ---------- rule set here\n  \
         |\n  \
         = note: why: files[0] -> /app/a.map\n  \
         = note: also `/app/b.map`\n"
    );
    assert_eq!(judged("[\"/*.map\"]"), "", "a star stays within a folder");
}

#[test]
fn packages_denied_and_allowed() {
    let root = Root::new("/usr/bin/perl p\n/usr/lib/perl q\n/usr/bin/tool t");
    let stanza = |name: &str| format!("Package: {name}\nStatus: install ok installed\nVersion: 5-1\nArchitecture: all");
    root.package(&stanza("perl-base"), "perl-base", &["/usr/bin/perl", "/usr/lib/perl"]);
    root.package(&stanza("tool"), "tool", &["/usr/bin/tool"]);
    let judged = |policy: &str| {
        let mut image = Image::on(&format!("files = [\"/usr/\"]\n[policy]\n{policy}\n"), root.folder());
        image.bring_from_root(&["/usr/bin/perl", "/usr/lib/perl", "/usr/bin/tool"], &Cause::Folder("/usr".to_owned()));
        image.errors()
    };
    assert_eq!(
        judged("deny-packages = [\"perl-base\", \"bash\"]"),
        "error[E0315]: policy forbids `perl-base`, and the image would have files of it\n \
         --> app.toml:2:10\n  \
         |\n\
         2 | files = [\"/usr/\"]\n  \
         |          ^^^^^^^ copies /usr/bin/perl and 2 more\n\
         3 | [policy]\n\
         4 | deny-packages = [\"perl-base\", \"bash\"]\n  \
         |                  ----------- rule set here\n  \
         |\n  \
         = note: perl-base 5-1 brings `/usr/bin/perl` and `/usr/lib/perl`\n  \
         = note: why: files[0] -> /usr/bin/perl\n"
    );
    assert_eq!(judged("deny-packages = [\"bash\"]"), "");
    let other = judged("allow-packages = [\"perl-base\"]");
    assert!(other.starts_with("error[E0316]: policy does not allow `tool`, and the image would have files of it\n"));
    assert_eq!(judged("allow-packages = [\"perl-base\", \"tool\"]"), "");
    let bare = Root::new("/a x");
    let policy = "files = [\"/usr/\"]\n[policy]\nunowned = \"allow\"\nallow-packages = []\n";
    let mut image = Image::on(policy, bare.folder());
    image.bring_from_root(&["/a"], &Cause::Key("files"));
    assert_eq!(image.titles(), "error E0316: policy names packages, and the root has no package database\n");
}

#[test]
fn all_findings_come_at_once() {
    let mut image = Image::new("files = [\"/app/\"]\nuser = \"root\"\n");
    image.uid = 0;
    image.file("/app/bash", 0o4777, "").file("/app/id_rsa", 0o600, "");
    let titles = image.titles();
    let codes: Vec<&str> = titles.lines().filter_map(|line| line.get(6..11)).collect();
    assert_eq!(codes, ["E0301", "E0302", "E0303", "E0304", "E0305"]);
}

#[test]
fn chains_go_over_what_needs_a_path_and_end_though_reasons_turn_in_a_circle() {
    let mut image = Image::new("binaries = [\"a\"]\n");
    let span = image.recipe.binaries[0].span;
    image.place("/usr/bin/a", EntryKind::File(Content::bytes("a")), 0o755, Cause::Key("binaries"), Some(span));
    let needed = |by: &str| Cause::Needed { by: at(by), name: b"x.so".to_vec(), via: "ld.so.cache".to_owned() };
    image.place("/lib/x.so", EntryKind::File(Content::bytes("x")), 0o644, needed("/lib/y.so"), None);
    image.place("/lib/y.so", EntryKind::File(Content::bytes("y")), 0o644, needed("/lib/x.so"), None);
    image.tree.get_mut(&at("/lib/y.so")).unwrap().reasons.push(Reason::new(needed("/usr/bin/a"), None));
    let chain = |path: &str| image.tree.chain(&image.recipe, &at(path));
    assert_eq!(chain("/lib/x.so").to_string(), "binaries[0] -> /usr/bin/a -> /lib/y.so -> /lib/x.so");
    assert_eq!(chain("/lib/x.so").span, Some(span));
    assert_eq!(chain("/lib/x.so").steps[1].because, "needs x.so, found by ld.so.cache");
    assert_eq!(chain("/lib/y.so").to_string(), "binaries[0] -> /usr/bin/a -> /lib/y.so");
    assert_eq!(chain("/nowhere").to_string(), "unknown -> /nowhere");
}

#[test]
fn every_rule_has_a_code_of_its_own() {
    let mut codes: Vec<&str> = rules().iter().map(|rule| rule.code.0).collect();
    codes.dedup();
    assert_eq!(codes.len(), rules().len());
    assert!(codes.is_sorted() && codes.iter().all(|code| code.starts_with("E03")));
}

#[test]
fn recipes_know_the_same_rules() {
    let schema: serde_json::Value = serde_json::from_str(&recipe::schema()).unwrap();
    let mut known = Vec::new();
    collect_policy_keys(&schema, &mut known);
    known.sort();
    known.dedup();
    // Not a rule, but what one of them passes over.
    known.retain(|key| !["ignore-dlopen", "waive", "forbid-waivers"].contains(&key.as_str()));
    let mut names: Vec<&str> = rules().iter().map(|rule| rule.name).collect();
    names.sort_unstable();
    assert_eq!(names, known);
    let mut waived = recipe::RULES.to_vec();
    waived.sort_unstable();
    assert_eq!(names, waived);
}

/// The properties of the object that describes `[policy]`.
fn collect_policy_keys(schema: &serde_json::Value, keys: &mut Vec<String>) {
    if let Some(properties) = schema.get("properties").and_then(|properties| properties.as_object())
        && properties.contains_key("world-writable")
    {
        keys.extend(properties.keys().cloned());
    }
    let children = schema.as_object().into_iter().flat_map(|map| map.values());
    for child in children.chain(schema.as_array().into_iter().flatten()) {
        collect_policy_keys(child, keys);
    }
}

#[test]
fn what_is_wrong_is_in_the_json_of_a_check() {
    let sandbox = Sandbox::new();
    sandbox.static_program("root/bin/sh", 62);
    let check = |recipe: &str| -> (i32, Value) {
        sandbox.file("r.toml", recipe);
        let run = sandbox.run(&["check", "r.toml", "--root", "root", "--format", "json"]);
        assert!(run.stderr.contains("error["), "{}", run.stderr);
        let mut document: Value = serde_json::from_str(&run.stdout).unwrap();
        let finding = document["findings"][0].take();
        assert_eq!(document, json!({ "images": [], "findings": [null], "version": 1 }));
        (run.code, finding)
    };
    let (code, denied) = check("binaries = [\"/bin/sh\"]\n");
    assert_eq!((code, &denied["code"], &denied["level"]), (3, &json!("E0301"), &json!("error")));
    assert_eq!(denied["place"], json!({ "file": "r.toml", "line": 1, "column": 13 }));
    assert!(denied["message"].as_str().unwrap().contains("`/bin/sh`"), "{denied}");
    assert!(denied["helps"][0].as_str().unwrap().contains("shell"), "{denied}");
    let (code, missing) = check("binaries = [\"/bin/other\"]\n");
    assert!(code == 1 && missing["message"].as_str().unwrap().contains("/bin/other"), "{missing}");
    let (code, wrong) = check("binarys = [\"/bin/sh\"]\n");
    assert!(code == 2 && wrong["place"]["line"] == 1, "{wrong}");
}
