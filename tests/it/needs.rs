//! The needs stage on synthetic roots: what is brought, in what form, and what is said when it can't be.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;

use mkimage::closure::Imports;
use mkimage::needs::{
    self, Distribution, Environment, Family, Finder, Learnt, Level, Libc, Object, Request, Seen, Want,
};
use mkimage::path::{ImagePath, show};
use mkimage::recipe::{Certificates, Extra, Origin};
use mkimage::report::{Error, Span, Spanned, Texts, render};
use mkimage::source::{self, Content, Folder, Link, NodeKind, Source};
use mkimage::tree::{Cause, Entry, EntryKind, Overlay, Rank, Reason, Tree};

/// A root, what the image is said to hold, and a recipe.
pub(super) struct Sandbox {
    folder: tempfile::TempDir,
    image: Tree,
    objects: Vec<Object>,
    programs: Vec<ImagePath>,
    pub(super) interpreters: Vec<ImagePath>,
    imports: BTreeMap<ImagePath, Imports>,
    learnt: Learnt,
    pub(super) libc: Option<Libc>,
    family: Family,
    texts: Texts,
    extras: Vec<Extra>,
    certificates: Certificates,
    mounts: Vec<ImagePath>,
    command: Vec<String>,
    env: Environment,
}

/// What a build would do with the additions of all rounds.
pub(super) struct Outcome {
    /// One line for each entry: `file PATH`, `link PATH -> TEXT`, `load NAME by PATH`; folders only when empty.
    pub(super) lines: Vec<String>,
    notes: String,
    environment: BTreeMap<String, String>,
    suggestions: Vec<String>,
    image: Tree,
}

pub(super) fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

impl Sandbox {
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            image: Tree::default(),
            objects: Vec::new(),
            programs: Vec::new(),
            interpreters: Vec::new(),
            imports: BTreeMap::new(),
            learnt: Learnt::default(),
            libc: Some(Libc::Glibc(Some((2, 36)))),
            family: Family::Debian,
            texts: Texts::default(),
            extras: Vec::new(),
            certificates: Certificates::default(),
            mounts: Vec::new(),
            command: Vec::new(),
            env: Environment::new(),
        }
    }

    /// Variables of the recipe.
    fn set(&mut self, variables: &[(&str, &str)]) -> &mut Self {
        let lines: Vec<String> = variables.iter().map(|(name, value)| format!("{name} = \"{value}\"")).collect();
        let text = lines.join("\n") + "\n";
        let id = self.texts.add("env.toml", text.as_str());
        let span = |value: &str| {
            let start = text.find(&format!("\"{value}\"")).unwrap();
            Span { text: id, start: at(start), end: at(start + value.len() + 2) }
        };
        let one = |(name, value): &(&str, &str)| ((*name).to_owned(), Spanned::new((*value).to_owned(), span(value)));
        self.env = variables.iter().map(one).collect();
        self
    }

    fn host(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join(text.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub(super) fn file(&mut self, path: &str, bytes: impl AsRef<[u8]>) -> &mut Self {
        std::fs::write(self.host(path), bytes).unwrap();
        self
    }

    pub(super) fn files(&mut self, paths: &[&str]) -> &mut Self {
        for path in paths {
            self.file(path, "x");
        }
        self
    }

    pub(super) fn link(&mut self, path: &str, target: &str) -> &mut Self {
        symlink(target, self.host(path)).unwrap();
        self
    }

    pub(super) fn library(&mut self, at: &str, soname: &str) -> &mut Self {
        let name = soname.as_bytes().to_vec();
        self.objects.push(Object { real: path(at), names: vec![name.clone()], soname: Some(name) });
        self
    }

    pub(super) fn program(&mut self, at: &str, imports: &[&str]) -> &mut Self {
        self.programs.push(path(at));
        self.objects.push(Object { real: path(at), names: Vec::new(), soname: None });
        self.imported(at, imports)
    }

    pub(super) fn imported(&mut self, at: &str, imports: &[&str]) -> &mut Self {
        self.imports.insert(path(at), Arc::new(imports.iter().map(|name| name.as_bytes().into()).collect()));
        self
    }

    /// A libc.so.6 and a libcrypto.so.3 in Debian's places.
    pub(super) fn debian(&mut self) -> &mut Self {
        let gconv = b"\0/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache\0".as_slice();
        self.file("/usr/lib/x86_64-linux-gnu/libc.so.6", [b"ELF\0", gconv].concat());
        self.library("/usr/lib/x86_64-linux-gnu/libc.so.6", "libc.so.6")
    }

    fn libcrypto(&mut self, at: &str, folder: &str, modules: &str) -> &mut Self {
        let text = format!("ELF\0OPENSSLDIR: \"{folder}\"\0MODULESDIR: \"{modules}\"\0");
        self.file(at, text).library(at, "libcrypto.so.3")
    }

    pub(super) fn extras(&mut self, extras: &[&str]) -> &mut Self {
        let quoted: Vec<_> = extras.iter().map(|extra| format!("\"{extra}\"")).collect();
        let text = format!("extras = [{}]\n", quoted.join(", "));
        let id = self.texts.add("r.toml", text.as_str());
        for (extra, quoted) in extras.iter().zip(&quoted) {
            let start = text.find(quoted.as_str()).unwrap();
            let span = Span { text: id, start: at(start), end: at(start + quoted.len()) };
            let (removed, rest) = (extra.starts_with('!'), extra.trim_start_matches('!'));
            let (name, argument) = match rest.split_once(':') {
                Some((name, argument)) => (name, Some(argument.to_owned())),
                None => (rest, None),
            };
            self.extras.push(Extra { name: Spanned::new(name.to_owned(), span), argument, removed });
        }
        self
    }

    /// `add = [..]` of files beside the recipe, which stands in `/recipe` of the same folder.
    fn add(&mut self, files: &[&str]) -> &mut Self {
        let text = format!("[certificates]\nadd = {files:?}\n");
        let id = self.texts.add("r.toml", text.as_str());
        let base = self.folder.path().join("recipe");
        for file in files {
            let quoted = format!("{file:?}");
            let start = text.find(&quoted).unwrap();
            let span = Span { text: id, start: at(start), end: at(start + quoted.len()) };
            let text = file.as_bytes().to_vec();
            let beside = |text| Origin::Beside { base: base.clone(), text };
            let origin = if file.starts_with('/') { Origin::Root(text) } else { beside(text) };
            self.certificates.add.push(Spanned::new(origin, span));
        }
        self
    }

    /// Rounds until nothing more comes, as a build makes them.
    pub(super) fn build(&self) -> Result<Outcome, String> {
        let root = Folder::open(self.folder.path()).unwrap();
        let host = Folder::open("/").unwrap();
        let name = self.folder.path().display().to_string();
        let failed = |Error(errors): Error| render(&errors, &self.texts, false).replace(&name, "ROOT");
        let (extras, certificates) = (&self.extras, &self.certificates);
        let request = Request {
            extras,
            certificates,
            mounts: &self.mounts,
            command: &self.command,
            owner: (65532, 65532),
            root: &root,
            host: &host,
        };
        let imports = |path: &ImagePath| Ok(self.imports.get(path).cloned().unwrap_or_default());
        let mut finder = Finder::new(&request).map_err(failed)?;
        let mut image = self.image.clone();
        let (mut loads, mut notes) = (Vec::new(), Vec::new());
        for round in 0.. {
            assert!(round < 5, "the rounds do not end");
            let before = image.clone();
            let view = Overlay { tree: &before, base: &root };
            let needs = finder.find(&self.seen(&view, &before, &imports)).map_err(failed)?;
            notes.extend(needs.notes);
            if needs.additions.is_empty() {
                break;
            }
            for addition in needs.additions {
                assert!(matches!(addition.reason.cause, Cause::Rule { .. }));
                match addition.want {
                    Want::Copy(path) => copy(&mut image, &root, &path, &[], &addition.reason),
                    Want::Folder { path, exclude } => copy(&mut image, &root, &path, &exclude, &addition.reason),
                    Want::Make(path, entry) => {
                        image.place(path, entry).unwrap();
                    }
                    Want::Load { name, by } => {
                        let by = by.map_or("nothing".to_owned(), |by| by.to_string());
                        let required = if addition.required { " (required)" } else { "" };
                        loads.push(format!("load {} by {by}{required}", show(&name)));
                    }
                }
            }
        }
        let view = Overlay { tree: &image, base: &root };
        let seen = self.seen(&view, &image, &imports);
        let environment = finder.environment(&seen).map_err(failed)?;
        let suggestions = finder.suggestions(&seen).map_err(failed)?;
        let suggestions = suggestions.iter().map(|one| format!("{}: {}", one.extra, one.trigger)).collect();
        let mut lines: Vec<_> = image.iter().filter_map(|(path, entry)| line(path, entry)).collect();
        lines.extend(loads);
        let notes = if notes.is_empty() { String::new() } else { render(&notes, &self.texts, false) };
        Ok(Outcome { lines, notes: notes.replace(&name, "ROOT"), environment, suggestions, image })
    }

    /// What optional rules offer.
    pub(super) fn suggestions(&self) -> Vec<String> {
        self.build().unwrap().suggestions
    }

    /// What the image holds at a path.
    pub(super) fn text_of(&self, at: &str) -> String {
        text(&self.build().unwrap().image, at)
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.build().unwrap_or_else(|error| panic!("{error}")).lines
    }

    fn error(&self) -> String {
        self.build().map(|outcome| outcome.lines).unwrap_err()
    }

    fn seen<'a>(&'a self, view: &'a dyn Source, image: &'a Tree, imports: &'a needs::Imports<'a>) -> Seen<'a> {
        Seen {
            view,
            image,
            objects: &self.objects,
            programs: &self.programs,
            interpreters: &self.interpreters,
            imports,
            learnt: &self.learnt,
            libc: self.libc,
            family: self.family,
            env: &self.env,
        }
    }
}

fn at(offset: usize) -> u32 {
    u32::try_from(offset).unwrap()
}

fn line(path: &ImagePath, entry: &Entry) -> Option<String> {
    match &entry.kind {
        EntryKind::Directory => None,
        EntryKind::Symlink(target) => Some(format!("link {path} -> {}", show(target))),
        EntryKind::File(_) | EntryKind::HardLink(_) => Some(format!("file {path}")),
    }
}

/// Copies as the rootfs stage would: every link on the way, a folder with all below.
fn copy(image: &mut Tree, root: &dyn Source, at: &ImagePath, exclude: &[String], reason: &Reason) {
    let found = source::resolve(root, at.as_bytes()).unwrap();
    let entry = |kind, mode| Entry::new(kind, mode, Rank::Need, reason.clone());
    for Link { path, target } in found.links {
        image.place(path, entry(EntryKind::Symlink(target), 0o777)).unwrap();
    }
    match found.node.kind {
        NodeKind::File(content) => {
            image.place(found.real, entry(EntryKind::File(content), 0o644)).unwrap();
        }
        NodeKind::Directory => {
            for (name, node) in root.list(&found.real).unwrap() {
                let below = found.real.join(&name);
                if exclude.iter().any(|glob| glob.trim_end_matches("/**").as_bytes() == name) {
                    continue;
                }
                match node.kind {
                    NodeKind::Symlink(target) => {
                        image.place(below, entry(EntryKind::Symlink(target), 0o777)).unwrap();
                    }
                    _ => copy(image, root, &below, &[], reason),
                }
            }
        }
        NodeKind::Symlink(_) | NodeKind::Special(_) => panic!("{at} is special"),
    }
}

/// A certificate's DER form with a recognisable inside.
fn der(inside: &str) -> Vec<u8> {
    let body = [&[0x30, u8::try_from(inside.len()).unwrap()], inside.as_bytes()].concat();
    let held = [body, vec![0x30, 0x00, 0x03, 0x01, 0x00]].concat();
    [&[0x30, 0x81, u8::try_from(held.len()).unwrap()], held.as_slice()].concat()
}

fn pem(inside: &str) -> String {
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let bits: Vec<u8> = der(inside).iter().flat_map(|byte| (0..8).map(move |place| byte >> (7 - place) & 1)).collect();
    let digit = |bits: &[u8]| alphabet[(0..6).fold(0, |n, place| n * 2 + usize::from(*bits.get(place).unwrap_or(&0)))];
    let mut text: Vec<char> = bits.chunks(6).map(digit).collect();
    text.resize(text.len().next_multiple_of(4), '=');
    let lines: Vec<String> = text.chunks(64).map(|line| line.iter().collect()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn text(image: &Tree, at: &str) -> String {
    let content = image.get(&path(at)).unwrap().content().unwrap().clone();
    String::from_utf8(content.read(1 << 20).unwrap()).unwrap()
}

const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
const LIBCRYPTO: &str = "/usr/lib/x86_64-linux-gnu/libcrypto.so.3";
const MODULES: &str = "/usr/lib/x86_64-linux-gnu/ossl-modules";

/// Debian with the packages ca-certificates and openssl, and a program that links libssl.
fn debian_with_openssl() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.debian().libcrypto(LIBCRYPTO, "/usr/lib/ssl", MODULES);
    sandbox.library("/usr/lib/x86_64-linux-gnu/libssl.so.3", "libssl.so.3").program("/usr/bin/serve", &[]);
    sandbox.file(BUNDLE, "# roots\n".to_owned() + &pem("root one"));
    sandbox.files(&["/etc/ssl/openssl.cnf", "/usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so", "/usr/bin/serve"]);
    sandbox.link("/usr/lib/ssl/cert.pem", BUNDLE).link("/usr/lib/ssl/certs", "/etc/ssl/certs");
    sandbox.link("/usr/lib/ssl/openssl.cnf", "/etc/ssl/openssl.cnf").files(&["/etc/ssl/certs/0a1b2c3d.0"]);
    sandbox
}

#[test]
fn openssl_finds_its_certificates_and_configuration() {
    let outcome = debian_with_openssl().build().unwrap();
    let expected = [
        "file /etc/ssl/certs/ca-certificates.crt",
        "file /etc/ssl/openssl.cnf",
        "link /usr/lib/ssl/cert.pem -> /etc/ssl/certs/ca-certificates.crt",
        "link /usr/lib/ssl/certs -> /etc/ssl/certs",
        "link /usr/lib/ssl/openssl.cnf -> /etc/ssl/openssl.cnf",
        "load /usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so by /usr/lib/x86_64-linux-gnu/libcrypto.so.3",
    ];
    assert_eq!(outcome.lines, expected);
    assert_eq!(outcome.environment["SSL_CERT_FILE"], BUNDLE);
    assert_eq!(outcome.notes, "");
    let reason = &outcome.image.get(&path(BUNDLE)).unwrap().reasons[0];
    let trigger = "links libssl.so.3".to_owned();
    assert_eq!(reason.cause, Cause::Rule { name: "ca-certificates".into(), trigger });
}

#[test]
fn links_that_the_root_lacks_are_made() {
    let mut sandbox = Sandbox::new();
    sandbox.debian().libcrypto(LIBCRYPTO, "/opt/ssl/../openssl", MODULES).file(BUNDLE, pem("root one"));
    sandbox.library("/usr/lib/x86_64-linux-gnu/libssl.so.3", "libssl.so.3").files(&["/srv/openssl/x", "/opt/ssl/x"]);
    sandbox.link("/opt/openssl", "/srv/openssl");
    let expected = [
        "file /etc/ssl/certs/ca-certificates.crt",
        "link /srv/openssl/cert.pem -> /etc/ssl/certs/ca-certificates.crt",
        "link /srv/openssl/certs -> /etc/ssl/certs",
    ];
    assert_eq!(sandbox.extras(&["!openssl"]).lines(), expected);
}

#[test]
fn fedora_and_alpine_have_their_own_places() {
    let mut fedora = Sandbox::new();
    fedora.family = Family::Fedora;
    let extracted = "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem";
    fedora.library("/usr/lib64/libc.so.6", "libc.so.6").file(extracted, pem("root one"));
    fedora.libcrypto("/usr/lib64/libcrypto.so.3", "/etc/pki/tls", "/usr/lib64/ossl-modules");
    fedora.library("/usr/lib64/libssl.so.3", "libssl.so.3");
    fedora.link("/etc/pki/tls/cert.pem", extracted).link("/etc/pki/tls/certs/ca-bundle.crt", extracted);
    fedora.link("/etc/ssl/certs", "../pki/tls/certs").files(&["/etc/pki/tls/openssl.cnf"]);
    fedora.files(&["/etc/pki/tls/openssl.d/more.conf", "/usr/share/crypto-policies/DEFAULT/opensslcnf.txt"]);
    let policy = "/usr/share/crypto-policies/DEFAULT/opensslcnf.txt";
    fedora.link("/etc/crypto-policies/back-ends/opensslcnf.config", policy);
    let outcome = fedora.build().unwrap();
    let expected = [
        "link /etc/crypto-policies/back-ends/opensslcnf.config -> /usr/share/crypto-policies/DEFAULT/opensslcnf.txt",
        "file /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "link /etc/pki/tls/cert.pem -> /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "link /etc/pki/tls/certs/ca-bundle.crt -> /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "file /etc/pki/tls/openssl.cnf",
        "file /etc/pki/tls/openssl.d/more.conf",
        "file /usr/share/crypto-policies/DEFAULT/opensslcnf.txt",
    ];
    assert_eq!(outcome.lines, expected);
    assert_eq!(outcome.environment["SSL_CERT_FILE"], "/etc/pki/tls/certs/ca-bundle.crt");

    let mut alpine = Sandbox::new();
    (alpine.family, alpine.libc) = (Family::Alpine, Some(Libc::Musl));
    alpine.library("/lib/ld-musl-x86_64.so.1", "libc.musl-x86_64.so.1").library("/usr/lib/libssl.so.3", "libssl.so.3");
    alpine.libcrypto("/usr/lib/libcrypto.so.3", "/etc/ssl", "/usr/lib/ossl-modules");
    alpine.file(BUNDLE, pem("root one")).link("/etc/ssl/cert.pem", "certs/ca-certificates.crt");
    let expected = ["link /etc/ssl/cert.pem -> certs/ca-certificates.crt", "file /etc/ssl/certs/ca-certificates.crt"];
    assert_eq!(alpine.extras(&["!openssl"]).lines(), expected);
}

#[test]
fn a_static_program_that_names_the_bundle_gets_it() {
    let mut sandbox = Sandbox::new();
    sandbox.libc = None;
    sandbox.file("/edge", [&vec![1; 300_000][..], b"/etc/ssl/certs/ca-certificates.crt/etc/pki"].concat());
    sandbox.program("/edge", &[]).file(BUNDLE, pem("root one"));
    assert_eq!(sandbox.lines(), ["file /etc/ssl/certs/ca-certificates.crt"]);
    assert_eq!(sandbox.extras(&["!ca-certificates"]).lines(), [""; 0]);
}

#[test]
fn company_roots_join_the_bundle() {
    let mut sandbox = debian_with_openssl();
    sandbox.file("recipe/ca/b.pem", format!("Subject: B\r\n{}", pem("company B").replace('\n', "\r\n")));
    sandbox.file("recipe/ca/a.pem", pem("company A") + &pem("root one")).extras(&["!openssl"]);
    sandbox.file("/etc/company/b.pem", pem("company B"));
    let both = format!("# roots\n{}{}{}", pem("root one"), pem("company A"), pem("company B"));
    for (add, only, expected) in [
        (vec!["ca/*.pem"], false, both.clone()),
        (vec!["ca/b.pem", "./ca/../ca/a.pem"], false, both.clone()),
        (vec!["ca/a.pem", "/etc/company/*.pem", "**/b.pem"], false, both),
        (vec!["ca/b.pem"], true, pem("company B")),
    ] {
        sandbox.certificates = Certificates { add: Vec::new(), only };
        let outcome = sandbox.add(&add).build().unwrap();
        assert_eq!(text(&outcome.image, BUNDLE), expected, "{add:?}");
        let expected = [
            "file /etc/ssl/certs/ca-certificates.crt",
            "link /usr/lib/ssl/cert.pem -> /etc/ssl/certs/ca-certificates.crt",
            "link /usr/lib/ssl/certs -> /etc/ssl/certs",
        ];
        assert_eq!(outcome.lines, expected);
    }
}

#[test]
fn company_roots_do_without_a_bundle_when_only_they_count() {
    let mut sandbox = Sandbox::new();
    sandbox.file("recipe/ca.pem", pem("company")).add(&["ca.pem"]);
    let expected = "error[E0241]: no CA bundle in the root `ROOT`
 --> r.toml:2:8
  |
2 | add = [\"ca.pem\"]
  |        ^^^^^^^^ needs it
  |
  = help: install `ca-certificates` in the root, or point `root` at one that has it
  = help: `only = true` under `[certificates]` makes do with those that are added
";
    assert_eq!(sandbox.error(), expected);
    sandbox.certificates.only = true;
    assert_eq!(text(&sandbox.build().unwrap().image, BUNDLE), pem("company"));
    sandbox.certificates.add.clear();
    let expected = "error[E0244]: `only = true` under `[certificates]` without `add` leaves no authority
 |
 = help: name PEM files under `add`, or take `only` out
";
    assert_eq!(sandbox.error(), expected);
}

#[test]
fn a_bundle_can_t_be_taken_away_and_added_to() {
    let mut sandbox = Sandbox::new();
    sandbox.file("recipe/ca.pem", pem("company")).extras(&["!ca-certificates"]).add(&["ca.pem"]);
    let title = "error[E0244]: `[certificates]` adds to a bundle that `extras` takes away";
    assert_eq!(sandbox.error().lines().next().unwrap(), title);
}

#[test]
fn a_root_in_which_update_ca_certificates_never_ran() {
    let mut sandbox = Sandbox::new();
    sandbox.file("/usr/share/ca-certificates/mozilla/B.crt", pem("B").trim_end());
    sandbox.file("/usr/share/ca-certificates/mozilla/A.crt", pem("A")).extras(&["ca-certificates"]);
    let outcome = sandbox.build().unwrap();
    assert_eq!(outcome.lines, ["file /etc/ssl/certs/ca-certificates.crt"]);
    assert_eq!(text(&outcome.image, BUNDLE), pem("A") + &pem("B"));
}

#[test]
fn files_that_are_no_certificates() {
    let mut sandbox = Sandbox::new();
    sandbox.file(BUNDLE, pem("root one")).file("recipe/text.pem", "hello\n").file("recipe/ca.der", der("company"));
    let key = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    sandbox.file("recipe/key.pem", pem("company") + key);
    sandbox.file("recipe/cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    sandbox.file("recipe/bad.pem", "x\n-----BEGIN CERTIFICATE-----\nMI%B\n-----END CERTIFICATE-----\n");
    sandbox.file("recipe/odd.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    sandbox.file("recipe/folder/x", "");
    for (file, expected) in [
        ("text.pem", "`text.pem` holds no certificate"),
        ("ca.der", "`ca.der` is in DER form, not PEM"),
        ("key.pem", "`key.pem` line 4: a private key"),
        ("cut.pem", "`cut.pem` line 1: `-----END CERTIFICATE-----` is missing"),
        ("bad.pem", "`bad.pem` line 3: not base64"),
        ("odd.pem", "`odd.pem` line 1: the base64 text holds no X.509 certificate"),
        ("none*.pem", "no file `none*.pem`"),
        ("folder", "`folder` is a folder"),
        ("folder/", "`folder/` is a folder"),
    ] {
        sandbox.certificates.add.clear();
        let error = sandbox.add(&[file]).error();
        assert_eq!(error.lines().next().unwrap(), format!("error[E0242]: {expected}"));
    }
    sandbox.certificates.add.clear();
    let expected = "error[E0242]: `ca.der` is in DER form, not PEM
 --> r.toml:2:8
  |
2 | add = [\"ca.der\", \"text.pem\"]
  |        ^^^^^^^^ asked for here
  |
  = help: `openssl x509 -inform der -in ca.der -out ca.pem` turns it into PEM

error[E0242]: `text.pem` holds no certificate
 --> r.toml:2:18
  |
2 | add = [\"ca.der\", \"text.pem\"]
  |                  ^^^^^^^^^^ asked for here
  |
  = note: a PEM file has one or more blocks that begin with `-----BEGIN CERTIFICATE-----`
";
    assert_eq!(sandbox.add(&["ca.der", "text.pem"]).error(), expected);
}

#[test]
fn a_bundle_that_the_recipe_writes_is_not_added_to() {
    let mut sandbox = debian_with_openssl();
    sandbox.file("recipe/ca.pem", pem("company")).add(&["ca.pem"]);
    let span = sandbox.certificates.add[0].span;
    let kind = EntryKind::File(Content::bytes(pem("mine")));
    let entry = Entry::new(kind, 0o644, Rank::Recipe, Reason::new(Cause::Key("files"), Some(span)));
    sandbox.image.place(path(BUNDLE), entry).unwrap();
    let title = "error[E0244]: `[certificates]` and another entry of the recipe both write `/etc/ssl/certs/ca-certificates.crt`";
    assert_eq!(sandbox.error().lines().next().unwrap(), title);
    sandbox.certificates.add.clear();
    assert_eq!(text(&sandbox.build().unwrap().image, BUNDLE), pem("mine"));
}

#[test]
fn extras_are_checked_all_at_once() {
    let mut sandbox = Sandbox::new();
    let expected = "error[E0240]: unknown extra `tzdta`
 --> r.toml:1:11
  |
1 | extras = [\"tzdta\", \"!zoneinfo\"]
  |           ^^^^^^^ not in the table
  |
help: an extra with a similar name exists: `tzdata`
  |
1 | extras = [\"tzdata\", \"!zoneinfo\"]
  |               +

error[E0240]: unknown extra `zoneinfo`
 --> r.toml:1:20
  |
1 | extras = [\"tzdta\", \"!zoneinfo\"]
  |                    ^^^^^^^^^^^ not in the table
  |
help: the extra for this is `tzdata`
  |
1 - extras = [\"tzdta\", \"!zoneinfo\"]
1 + extras = [\"tzdta\", \"!tzdata\"]
  |
";
    assert_eq!(sandbox.extras(&["tzdta", "!zoneinfo"]).error(), expected);
    sandbox.extras.clear();
    let error = sandbox.extras(&["tzdata:full", "gconv:all", "locale", "locale:../x", "wholly-unknown"]).error();
    let facts = error.lines().filter(|line| ["error", "  = "].iter().any(|start| line.starts_with(start)));
    let expected = [
        "error[E0240]: extra `tzdata` takes nothing after a colon",
        "error[E0240]: extra `gconv` takes only `full` after the colon",
        "error[E0240]: extra `locale` wants a name",
        "  = help: write `locale:C.UTF-8`",
        "error[E0240]: `../x` is no name of a locale",
        "error[E0240]: unknown extra `wholly-unknown`",
    ];
    let facts: Vec<_> = facts.collect();
    assert_eq!(facts[..expected.len()], expected);
    assert!(
        facts[expected.len()].starts_with("  = note: extras are alsa, apache, busybox, ca-certificates, "),
        "{facts:?}"
    );
}

#[test]
fn the_catalogue_tells_the_table() {
    let catalogue = needs::catalogue();
    let one = |name: &str| catalogue.iter().find(|one| one.name == name).unwrap();
    let tzdata = one("tzdata");
    let first = "the image has */bin/postgres, */bin/initdb, */bin/php*, */sbin/php-fpm* (required)";
    assert_eq!((tzdata.level, tzdata.triggers[0].as_str()), (Level::Optional, first));
    assert_eq!(tzdata.adds, ["/usr/share/zoneinfo"]);
    assert_eq!(one("gconv[:full]").triggers, ["imports iconv_open"]);
    assert_eq!(one("locale:NAME").adds, ["/usr/lib/locale/NAME"]);
    for name in ["ca-certificates", "nss", "openssl[:full]", "terminfo[:full]", "netbase", "mime", "busybox", "libgcc"]
    {
        let listing = one(name);
        assert!(!listing.about.is_empty() && !listing.note.is_empty() && !listing.adds.is_empty(), "{listing:?}");
    }
}

#[test]
fn what_the_root_lacks() {
    let mut sandbox = Sandbox::new();
    sandbox.debian().program("/usr/bin/serve", &[]).library("/usr/lib/libssl.so.3", "libssl.so.3");
    let expected = "warning[E0241]: links libssl.so.3, and the root has nothing of `ca-certificates`
 |
 = note: TLS connections can't be verified: no authority is trusted
 = help: install `ca-certificates` in the root, or put \"!ca-certificates\" among the extras
";
    let outcome = sandbox.build().unwrap();
    assert_eq!((outcome.notes.as_str(), outcome.lines.len()), (expected, 0));
    assert!(outcome.environment.is_empty());
    let expected = "error[E0241]: no CA bundle in the root `ROOT`
 --> r.toml:1:11
  |
1 | extras = [\"ca-certificates\", \"terminfo\", \"busybox\"]
  |           ^^^^^^^^^^^^^^^^^ needs it
  |
  = help: install `ca-certificates` in the root, or point `root` at one that has it

error[E0241]: nothing of the extra `terminfo` is in the root `ROOT`
 --> r.toml:1:30
  |
1 | extras = [\"ca-certificates\", \"terminfo\", \"busybox\"]
  |                              ^^^^^^^^^^ asked for here
  |
  = note: looked for TERMINFO
  = help: install `ncurses-base` in the root, or point `root` at one that has it

error[E0241]: nothing of the extra `busybox` is in the root `ROOT`
 --> r.toml:1:42
  |
1 | extras = [\"ca-certificates\", \"terminfo\", \"busybox\"]
  |                                          ^^^^^^^^^ asked for here
  |
  = note: looked for /bin/busybox.static, /bin/busybox, /usr/bin/busybox, /usr/sbin/busybox
  = help: install `busybox-static` in the root, or point `root` at one that has it
";
    let terminfo = &needs::catalogue().into_iter().find(|one| one.name.starts_with("terminfo")).unwrap().adds[0];
    let error = sandbox.extras(&["ca-certificates", "terminfo", "busybox"]).error();
    assert_eq!(error, expected.replace("TERMINFO", terminfo));
}

#[test]
fn threads_need_libgcc_where_nothing_loads_it() {
    let mut sandbox = Sandbox::new();
    sandbox.debian().program("/usr/bin/serve", &["pthread_exit", "malloc"]);
    // libc's own imports say nothing.
    sandbox.imported("/usr/lib/x86_64-linux-gnu/libc.so.6", &["pthread_cancel"]);
    let load = "load libgcc_s.so.1 by /usr/lib/x86_64-linux-gnu/libc.so.6 (required)";
    assert_eq!(sandbox.lines(), [load]);
    sandbox.libc = Some(Libc::Musl);
    assert_eq!(sandbox.lines(), [""; 0]);
    sandbox.libc = Some(Libc::Glibc(None));
    sandbox.imported("/usr/bin/serve", &["malloc"]);
    assert_eq!(sandbox.lines(), [""; 0]);
    sandbox.library("/usr/lib/libldap.so.2", "libldap.so.2").imported("/usr/lib/libldap.so.2", &["pthread_exit"]);
    assert_eq!(sandbox.lines(), [load]);
    sandbox.library("/usr/lib/x86_64-linux-gnu/libgcc_s.so.1", "libgcc_s.so.1");
    assert_eq!(sandbox.lines(), [""; 0]);
}

#[test]
fn converters_come_from_the_folder_that_libc_names() {
    let mut sandbox = Sandbox::new();
    let folder = "/usr/lib/x86_64-linux-gnu/gconv";
    let file = |name: &str| format!("{folder}/{name}");
    sandbox.debian().program("/usr/bin/mail", &["iconv_open"]);
    for name in ["gconv-modules", "gconv-modules.cache", "gconv-modules.d/extra.conf", "UTF-16.so", "EUC-JP.so"] {
        sandbox.file(&file(name), "x");
    }
    let load = |name: &str| format!("load {folder}/{name} by /usr/lib/x86_64-linux-gnu/libc.so.6");
    let data =
        ["gconv-modules", "gconv-modules.cache", "gconv-modules.d/extra.conf"].map(|n| format!("file {}", file(n)));
    assert_eq!(sandbox.lines(), [&data[..], &[load("UTF-16.so")]].concat());
    sandbox.extras(&["gconv:full"]);
    assert_eq!(sandbox.lines(), [&data[..], &[load("UTF-16.so"), load("EUC-JP.so")]].concat());
    assert_eq!(sandbox.extras(&["!gconv"]).lines(), [""; 0]);
    assert_eq!(sandbox.extras(&["gconv"]).lines(), [&data[..], &[load("UTF-16.so")]].concat());
    sandbox.libc = Some(Libc::Musl);
    let outcome = sandbox.build().unwrap();
    assert!(outcome.notes.starts_with("note: extra `gconv` adds nothing: musl's converters are built in\n"));
    assert_eq!(outcome.lines, [""; 0]);
}

#[test]
fn locales_by_name() {
    let mut sandbox = Sandbox::new();
    sandbox.debian().program("/usr/bin/ls", &["setlocale", "mbrtowc"]);
    sandbox.files(&["/usr/lib/locale/C.utf8/LC_CTYPE", "/usr/lib/locale/C.utf8/LC_MESSAGES/SYS_LC_MESSAGES"]);
    sandbox.file("/usr/lib/locale/de_DE.iso88591/LC_CTYPE", "x");
    let usual = ["file /usr/lib/locale/C.utf8/LC_CTYPE", "file /usr/lib/locale/C.utf8/LC_MESSAGES/SYS_LC_MESSAGES"];
    let outcome = sandbox.build().unwrap();
    assert_eq!(outcome.lines, usual);
    assert_eq!(outcome.environment["LANG"], "C.UTF-8");
    // One that only calls setlocale takes no text apart.
    sandbox.imported("/usr/bin/ls", &["setlocale"]);
    assert_eq!(sandbox.lines(), [""; 0]);
    sandbox.extras(&["locale:de_DE.ISO-8859-1"]);
    assert_eq!(sandbox.lines(), ["file /usr/lib/locale/de_DE.iso88591/LC_CTYPE"]);
    let expected = "error[E0241]: locale `fr_FR.UTF-8` is not in the root `ROOT`
 --> r.toml:1:11
  |
1 | extras = [\"locale:fr_FR.UTF-8\"]
  |           ^^^^^^^^^^^^^^^^^^^^ asked for here
  |
  = note: the root has C.utf8, de_DE.iso88591
  = help: generate it in the root, as `localedef -i fr_FR -f UTF-8 fr_FR.UTF-8` does, or point `root` at one that has it
";
    assert_eq!(sandbox.extras(&["locale:fr_FR.UTF-8"]).error(), expected);
    sandbox.extras.clear();
    let error = sandbox.extras(&["locale:POSIX"]).error();
    assert!(error.starts_with("error[E0241]: locale `POSIX` has no files: every program has it built in\n"), "{error}");
}

#[test]
fn what_variables_of_the_recipe_name_comes_along() {
    let mut sandbox = Sandbox::new();
    sandbox.debian().program("/usr/bin/date", &["setlocale"]);
    sandbox.files(&[
        "/usr/share/zoneinfo/Europe/Berlin",
        "/usr/share/zoneinfo/Japan",
        "/usr/lib/locale/de_DE.utf8/LC_CTYPE",
    ]);
    let zones = ["file /usr/share/zoneinfo/Europe/Berlin", "file /usr/share/zoneinfo/Japan"];
    for name in ["Europe/Berlin", ":Europe/Paris", "/usr/share/zoneinfo/Japan", "Japan"] {
        let outcome = sandbox.set(&[("TZ", name)]).build().unwrap();
        assert_eq!(outcome.lines, zones, "{name}");
    }
    for name in ["", "UTC", "Etc/UTC", "CET-1CEST,M3.5.0,M10.5.0/3", "<+0330>-3:30", "CET", "../etc/localtime"] {
        assert_eq!(sandbox.set(&[("TZ", name)]).lines(), [""; 0], "{name}");
    }
    let german = ["file /usr/lib/locale/de_DE.utf8/LC_CTYPE"];
    for variables in [[("LANG", "de_DE.UTF-8"), ("A", "b")], [("LC_ALL", "de_DE.utf8"), ("LANG", "fr_FR.UTF-8")]] {
        let outcome = sandbox.set(&variables).build().unwrap();
        assert_eq!((outcome.lines.as_slice(), outcome.notes.as_str()), (german.map(str::to_owned).as_slice(), ""));
    }
    assert_eq!(sandbox.set(&[("LANG", "C"), ("LC_ALL", "POSIX")]).lines(), [""; 0]);
    sandbox.set(&[("LANG", "de_DE.UTF-8"), ("TZ", "Europe/Berlin")]).extras(&["!locale", "!tzdata"]);
    assert_eq!(sandbox.lines(), [""; 0]);
    // Nothing takes notice of a locale that nothing sets.
    sandbox.extras.clear();
    sandbox.imported("/usr/bin/date", &[]);
    assert_eq!(sandbox.set(&[("LANG", "de_DE.UTF-8")]).lines(), [""; 0]);
}

#[test]
fn what_variables_name_and_the_root_lacks_is_told() {
    let mut sandbox = Sandbox::new();
    sandbox.debian().program("/usr/bin/date", &["newlocale"]).files(&["/usr/lib/locale/C.utf8/LC_CTYPE"]);
    let expected = "warning[E0241]: locale `de_DE.UTF-8` is not in the root `ROOT`
 --> env.toml:1:8
  |
1 | LANG = \"de_DE.UTF-8\"
  |        ^^^^^^^^^^^^^ asked for here
  |
  = note: the root has C.utf8
  = help: generate it in the root, as `localedef -i de_DE -f UTF-8 de_DE.UTF-8` does, or point `root` at one that has it

warning[E0241]: the recipe sets TZ to Europe/Berlin, and the root has nothing of `tzdata`
 |
 = note: time zones other than UTC are unknown
 = help: install `tzdata` in the root, or put \"!tzdata\" among the extras
";
    assert_eq!(sandbox.set(&[("LANG", "de_DE.UTF-8"), ("TZ", "Europe/Berlin")]).build().unwrap().notes, expected);
}

#[test]
fn programs_that_read_wide_characters_have_a_locale() {
    let mut sandbox = Sandbox::new();
    sandbox.debian().files(&["/usr/lib/locale/C.utf8/LC_CTYPE"]).program("/usr/bin/rev", &["setlocale", "fgetws"]);
    assert_eq!(sandbox.lines(), ["file /usr/lib/locale/C.utf8/LC_CTYPE"]);
}

#[test]
fn languages_whose_library_asks_for_the_locale_have_one() {
    for (name, at) in [
        ("libjava.so", "/opt/java/lib/libjava.so"),
        ("libruby-3.1.so.3.1", "/usr/lib/libruby-3.1.so.3.1"),
        ("libtcl8.6.so", "/usr/lib/libtcl8.6.so"),
        ("libguile-3.0.so.1", "/usr/lib/libguile-3.0.so.1"),
        ("libR.so", "/usr/lib/R/lib/libR.so"),
    ] {
        let mut sandbox = Sandbox::new();
        sandbox.debian().files(&["/usr/lib/locale/C.utf8/LC_CTYPE"]).program("/usr/bin/run", &[]).library(at, name);
        let outcome = sandbox.build().unwrap();
        assert_eq!(outcome.lines, ["file /usr/lib/locale/C.utf8/LC_CTYPE"], "{name}");
        assert_eq!(outcome.environment["LANG"], "C.UTF-8");
        assert_eq!(sandbox.extras(&["!locale"]).lines(), [""; 0]);
    }
    // What other libraries import says nothing of the programs that load them.
    let mut sandbox = Sandbox::new();
    let library = "/usr/lib/libstdc++.so.6";
    sandbox.debian().files(&["/usr/lib/locale/C.utf8/LC_CTYPE"]).program("/usr/bin/run", &[]);
    sandbox.library(library, "libstdc++.so.6").imported(library, &["setlocale", "mbrtowc", "nl_langinfo"]);
    assert_eq!(sandbox.lines(), [""; 0]);
}

/// A locale-archive as glibc's localedef lays it out, with one locale whose categories are `text` and their number.
fn locale_archive(name: &str, text: &str, word: fn(u32) -> [u8; 4]) -> Vec<u8> {
    let (names, strings, records, data) = (56, 92, 128, 240);
    let mut bytes: Vec<u8> =
        [0xde02_0109, 0, names, 1, 3, strings, 36, 36, records, 112, 112, 0, 0, 0].map(word).concat();
    bytes.extend([0, 0, 0, 7, strings, records, 0, 0, 0].map(word).concat());
    bytes.extend(name.bytes().chain(std::iter::repeat(0)).take(36));
    let length = at(text.len() + 2);
    bytes.extend(word(1));
    bytes.extend((0..13).flat_map(|category| [word(data + category * length), word(length)]).flatten());
    bytes.resize(data as usize, 0);
    bytes.extend((0..13).flat_map(|category| format!("{text}{category:02}").into_bytes()));
    bytes
}

#[test]
fn locales_are_taken_out_of_an_archive() {
    for word in [u32::to_le_bytes, u32::to_be_bytes] {
        let mut sandbox = Sandbox::new();
        sandbox.file("/usr/lib/locale/locale-archive", locale_archive("en_US.utf8", "data ", word));
        let outcome = sandbox.extras(&["locale:en_US.UTF-8"]).build().unwrap();
        assert_eq!(outcome.lines.len(), 12);
        assert_eq!(text(&outcome.image, "/usr/lib/locale/en_US.utf8/LC_CTYPE"), "data 00");
        assert_eq!(text(&outcome.image, "/usr/lib/locale/en_US.utf8/LC_MESSAGES/SYS_LC_MESSAGES"), "data 05");
        assert_eq!(text(&outcome.image, "/usr/lib/locale/en_US.utf8/LC_IDENTIFICATION"), "data 12");
        assert!(!outcome.environment.contains_key("LANG"));
        let error = sandbox.extras(&["locale:xx_XX"]).error();
        assert!(error.contains("= note: the root has en_US.utf8\n"), "{error}");
    }
}

#[test]
fn time_zones_leave_their_copies_and_the_machine_s_own_out() {
    let mut sandbox = Sandbox::new();
    sandbox.files(
        &["Europe/Rome", "right/Europe/Rome", "posix/Europe/Rome", "tzdata.zi"]
            .map(|name| &*Box::leak(format!("/usr/share/zoneinfo/{name}").into_boxed_str())),
    );
    sandbox.link("/usr/share/zoneinfo/localtime", "/etc/localtime").link("/usr/share/zoneinfo/UTC", "Etc/UTC");
    sandbox.program("/usr/lib/postgresql/15/bin/postgres", &[]);
    let expected = [
        "file /usr/share/zoneinfo/Europe/Rome",
        "link /usr/share/zoneinfo/UTC -> Etc/UTC",
        "file /usr/share/zoneinfo/tzdata.zi",
    ];
    assert_eq!(sandbox.lines(), expected);
    (sandbox.programs, sandbox.objects) = (vec![path("/usr/bin/other")], Vec::new());
    assert_eq!(sandbox.lines(), [""; 0]);
    assert_eq!(sandbox.extras(&["tzdata"]).lines(), expected);
}

#[test]
fn terminals_small_tables_and_magic() {
    let mut sandbox = Sandbox::new();
    sandbox
        .debian()
        .library("/usr/lib/libtinfo.so.6", "libtinfo.so.6")
        .library("/usr/lib/libmagic.so.1", "libmagic.so.1");
    sandbox.link("/lib", "usr/lib").files(&["/usr/lib/terminfo/x/xterm", "/usr/lib/terminfo/w/wy50"]);
    sandbox.files(&["/usr/lib/file/magic.mgc", "/etc/services", "/etc/protocols", "/etc/mime.types"]);
    sandbox.link("/usr/share/misc/magic.mgc", "../../lib/file/magic.mgc");
    let expected = [
        "link /lib -> usr/lib",
        "file /usr/lib/file/magic.mgc",
        "file /usr/lib/terminfo/x/xterm",
        "link /usr/share/misc/magic.mgc -> ../../lib/file/magic.mgc",
    ];
    assert_eq!(sandbox.lines(), expected);
    let lines = sandbox.extras(&["terminfo:full", "netbase", "mime", "!magic"]).lines();
    let expected = [
        "file /etc/mime.types",
        "file /etc/protocols",
        "file /etc/services",
        "link /lib -> usr/lib",
        "file /usr/lib/terminfo/w/wy50",
        "file /usr/lib/terminfo/x/xterm",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn busybox_brings_its_applets() {
    let mut sandbox = Sandbox::new();
    let table = b"ELF\0junk\0[\0[[\0ash\0cat\0ls\0sh\0\0Usage: sh\0";
    sandbox.link("/bin", "usr/bin").file("/usr/bin/busybox", table).extras(&["busybox"]);
    let kind = EntryKind::File(Content::bytes("the recipe's own"));
    let entry = Entry::new(kind, 0o755, Rank::Need, Reason::new(Cause::Key("binaries"), None));
    sandbox.image.place(path("/usr/bin/cat"), entry).unwrap();
    let expected = [
        "link /bin -> usr/bin",
        "link /usr/bin/[ -> busybox",
        "link /usr/bin/[[ -> busybox",
        "link /usr/bin/ash -> busybox",
        "file /usr/bin/busybox",
        "file /usr/bin/cat",
        "link /usr/bin/ls -> busybox",
        "link /usr/bin/sh -> busybox",
    ];
    assert_eq!(sandbox.lines(), expected);
}

#[test]
fn name_services() {
    let mut sandbox = Sandbox::new();
    sandbox.debian().program("/usr/bin/serve", &["getaddrinfo"]);
    let load = |word: &str, required: &str| {
        format!("load libnss_{word}.so.2 by /usr/lib/x86_64-linux-gnu/libc.so.6{required}")
    };
    assert_eq!(sandbox.lines(), [""; 0]);
    let note = "note: extra `nss` adds nothing: glibc has `files` and `dns` built in since 2.34, and the image's \
                nsswitch.conf names no other module\n";
    assert!(sandbox.extras(&["nss"]).build().unwrap().notes.starts_with(note));
    sandbox.extras.clear();
    sandbox.libc = Some(Libc::Glibc(None));
    let banner = "\0GNU C Library (Debian GLIBC 2.31-13) release release version 2.31.\n\0";
    sandbox.file("/usr/lib/x86_64-linux-gnu/libc.so.6", banner);
    assert_eq!(sandbox.lines(), [load("files", " (required)"), load("dns", " (required)")]);
    sandbox.libc = Some(Libc::Glibc(Some((2, 36))));
    let kind = EntryKind::File(Content::bytes("passwd: files sss\nhosts: files mdns4 [NOTFOUND=return] dns\n"));
    let entry = Entry::new(kind, 0o644, Rank::Recipe, Reason::new(Cause::Key("files"), None));
    sandbox.image.place(path("/etc/nsswitch.conf"), entry).unwrap();
    let error = sandbox.error();
    assert!(error.contains("error[E0245]: `/etc/nsswitch.conf:1` names `libnss_sss.so.2`"), "{error}");
    assert!(error.contains("error[E0245]: `/etc/nsswitch.conf:2` names `libnss_mdns4.so.2`"), "{error}");
    sandbox.files(&["/usr/lib/x86_64-linux-gnu/libnss_sss.so.2", "/usr/lib/x86_64-linux-gnu/libnss_mdns4.so.2"]);
    let expected = ["file /etc/nsswitch.conf".to_owned(), load("mdns4", ""), load("sss", "")];
    assert_eq!(sandbox.lines(), expected);
}

#[test]
fn check_suggests_what_does_not_come_by_itself() {
    let mut sandbox = Sandbox::new();
    sandbox.debian().program("/usr/bin/ssh", &["getservbyname"]).file("/usr/bin/ssh", "/usr/share/zoneinfo\0");
    let all = ["tzdata: /usr/bin/ssh names /usr/share/zoneinfo", "netbase: /usr/bin/ssh imports getservbyname"];
    assert_eq!(sandbox.build().unwrap().suggestions, all);
    assert_eq!(sandbox.extras(&["!netbase"]).build().unwrap().suggestions, all[..1]);
}

#[test]
fn a_hostile_library_names_no_folder() {
    for folder in ["relative", "", "/etc\n", &format!("/{}", "x".repeat(5000)), "/../../..", "/a/../b"] {
        let mut sandbox = debian_with_openssl();
        sandbox.objects.retain(|object| object.soname.as_deref() != Some(b"libcrypto.so.3"));
        sandbox.libcrypto(LIBCRYPTO, folder, MODULES).extras(&["!openssl"]);
        let lines = sandbox.lines();
        // `/../../..` is the root.
        let expected = if folder == "/../../.." { 3 } else { 1 };
        assert_eq!(lines.len(), expected, "{folder}: {lines:?}");
    }
}

#[test]
fn the_distribution_of_a_root() {
    let mut sandbox = Sandbox::new();
    let of = |sandbox: &Sandbox| Distribution::of(&Folder::open(sandbox.folder.path()).unwrap()).unwrap();
    assert_eq!(of(&sandbox), None);
    sandbox.file("/usr/lib/os-release", "ID=ubuntu\nID_LIKE=debian\nNAME=Ubuntu\nVERSION_ID=\"24.04\"\n");
    sandbox.link("/etc/os-release", "../usr/lib/os-release");
    let found = of(&sandbox).unwrap();
    assert_eq!((found.family(), found.name.as_str()), (Family::Debian, "Ubuntu"));
    assert_eq!(found.version_id.as_deref(), Some("24.04"));
}

#[test]
fn configuration_is_followed_to_what_it_names() {
    let mut sandbox = Sandbox::new();
    let built = "\0configure arguments: --prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf --x\0";
    sandbox.debian().file("/usr/sbin/nginx", built).program("/usr/sbin/nginx", &[]);
    sandbox.files(&["/etc/nginx/mime.types", "/usr/share/nginx/modules/a.so", "/etc/nginx/conf.d/of-the-root.conf"]);
    let text = "load_module modules/a.so;\nhttp {\n  include mime.types;\n  include conf.d/*.conf;\n  include $host.conf;\n\
                  include /etc/nginx/tls/on.conf;\n}\n";
    let entry =
        Entry::new(EntryKind::File(Content::bytes(text)), 0o644, Rank::Recipe, Reason::new(Cause::Key("files"), None));
    sandbox.image.place(path("/etc/nginx/nginx.conf"), entry).unwrap();
    let error = sandbox.error();
    let expected = "error[E0245]: `/etc/nginx/nginx.conf:6` names `/etc/nginx/tls/on.conf`, and neither the image nor the \
                    root has it\n";
    assert!(error.starts_with(expected), "{error}");
    sandbox.mounts.push(path("/etc/nginx/tls"));
    let outcome = sandbox.build().unwrap();
    let expected = [
        "file /etc/nginx/mime.types",
        "file /etc/nginx/nginx.conf",
        "load /usr/share/nginx/modules/a.so by /usr/sbin/nginx",
    ];
    assert_eq!(outcome.lines, expected);
    assert!(outcome.notes.contains("which `mounts` leaves to `/etc/nginx/tls` at run time"), "{}", outcome.notes);
}

#[test]
fn services_of_pam_bring_the_modules_that_they_name() {
    let mut sandbox = Sandbox::new();
    let libpam = "/usr/lib/x86_64-linux-gnu/libpam.so.0";
    sandbox.debian().file(libpam, "\0/lib/security\0").library(libpam, "libpam.so.0");
    sandbox.file("/usr/sbin/imap-auth", "\0dovecot\0").program("/usr/sbin/imap-auth", &["pam_start"]);
    sandbox.file("/etc/pam.d/dovecot", "@include common\n-session optional pam_absent.so\n");
    sandbox.file("/etc/pam.d/common", "auth [success=1 default=ignore] pam_unix.so nullok\n");
    sandbox.files(&["/lib/security/pam_unix.so", "/etc/pam.d/login"]);
    // The latter two have hashes of passwords.
    sandbox.files(&["/etc/security/limits.conf", "/etc/security/opasswd", "/etc/security/opasswd.old"]);
    let expected = [
        "file /etc/pam.d/common",
        "file /etc/pam.d/dovecot",
        "file /etc/security/limits.conf",
        "load /lib/security/pam_unix.so by /usr/lib/x86_64-linux-gnu/libpam.so.0 (required)",
    ];
    assert_eq!(sandbox.lines(), expected);
}

/// The image has a file by the recipe's word.
pub(super) fn of_the_recipe(sandbox: &mut Sandbox, at: &str, text: &str) {
    let entry =
        Entry::new(EntryKind::File(Content::bytes(text)), 0o644, Rank::Recipe, Reason::new(Cause::Key("files"), None));
    sandbox.image.place(path(at), entry).unwrap();
}

#[test]
fn configuration_that_the_command_line_names_is_followed() {
    let mut sandbox = Sandbox::new();
    sandbox.debian().files(&["/usr/bin/redis-server", "/srv/modules/search.so"]).program("/usr/bin/redis-server", &[]);
    of_the_recipe(&mut sandbox, "/srv/cache.conf", "port 1\nloadmodule /srv/modules/search.so\n");
    assert_eq!(sandbox.lines(), ["file /srv/cache.conf"]);
    sandbox.command = ["/usr/bin/tini", "--", "/usr/bin/redis-server", "/srv/cache.conf"].map(str::to_owned).to_vec();
    let expected = ["file /srv/cache.conf", "load /srv/modules/search.so by /usr/bin/redis-server"];
    assert_eq!(sandbox.lines(), expected);
    // What stands before the program is another's.
    sandbox.command = ["/srv/cache.conf", "/usr/bin/redis-server"].map(str::to_owned).to_vec();
    assert_eq!(sandbox.lines(), ["file /srv/cache.conf"]);
}

#[test]
fn fips_modules_come_and_are_named() {
    let mut sandbox = debian_with_openssl();
    sandbox.library("/usr/lib/x86_64-linux-gnu/libgcrypt.so.20", "libgcrypt.so.20");
    sandbox.files(&[
        "/usr/lib/x86_64-linux-gnu/ossl-modules/fips.so",
        "/usr/lib/x86_64-linux-gnu/.libcrypto.so.3.hmac",
        "/usr/lib/ssl/fipsmodule.cnf",
    ]);
    let libcrypto = format!("ELF\0OPENSSLDIR: \"/usr/lib/ssl\"\0MODULESDIR: \"{MODULES}\"\0");
    of_the_recipe(&mut sandbox, LIBCRYPTO, &libcrypto);
    let outcome = sandbox.build().unwrap();
    for line in [
        "file /usr/lib/ssl/fipsmodule.cnf",
        "file /usr/lib/x86_64-linux-gnu/.libcrypto.so.3.hmac",
        "load /usr/lib/x86_64-linux-gnu/ossl-modules/fips.so by /usr/lib/x86_64-linux-gnu/libcrypto.so.3",
    ] {
        assert!(outcome.lines.iter().any(|known| known == line), "`{line}` in {:#?}", outcome.lines);
    }
    assert_eq!(text(&outcome.image, "/usr/lib/ssl/fipsmodule.cnf"), "x");
    for words in [
        "FIPS provider of OpenSSL comes as it is in the root: `/usr/lib/x86_64-linux-gnu/ossl-modules/fips.so`",
        "`/usr/lib/ssl/fipsmodule.cnf` holds the checksum",
        "`libcrypto.so.3` is checked against its .hmac",
    ] {
        assert!(outcome.notes.contains(words), "`{words}` in {}", outcome.notes);
    }
}

#[test]
fn openssl_configuration_is_followed() {
    let mut sandbox = debian_with_openssl();
    let text = "openssl_conf = init\n.include /etc/ssl/fipsmodule.cnf\n[init]\nproviders = all\n[all]\ndefault = d\nfips = f\n\
                own = o\noff = n\n[d]\nactivate = 1\n[o]\nmodule = /opt/own.so\nactivate = yes\n[n]\nactivate = 0\n";
    of_the_recipe(&mut sandbox, "/etc/ssl/openssl.cnf", text);
    let error = sandbox.error();
    for words in [
        "error[E0245]: `/usr/lib/ssl/openssl.cnf:2` names `/etc/ssl/fipsmodule.cnf`, and neither",
        "error[E0245]: `/usr/lib/ssl/openssl.cnf:7` names `/usr/lib/x86_64-linux-gnu/ossl-modules/fips.so`, and neither",
        "error[E0245]: `/usr/lib/ssl/openssl.cnf:8` names `/opt/own.so`, and neither",
    ] {
        assert!(error.contains(words), "`{words}` in {error}");
    }
    assert!(!error.contains("off"), "{error}");
    sandbox.files(&["/etc/ssl/fipsmodule.cnf", "/usr/lib/x86_64-linux-gnu/ossl-modules/fips.so", "/opt/own.so"]);
    let lines = sandbox.lines();
    for line in [
        "file /etc/ssl/fipsmodule.cnf",
        "load /opt/own.so by /usr/lib/x86_64-linux-gnu/libcrypto.so.3",
        "load /usr/lib/x86_64-linux-gnu/ossl-modules/fips.so by /usr/lib/x86_64-linux-gnu/libcrypto.so.3",
    ] {
        assert!(lines.iter().any(|known| known == line), "`{line}` in {lines:#?}");
    }
}

#[test]
fn lua_is_known_by_its_program_too() {
    let mut sandbox = Sandbox::new();
    sandbox.debian().files(&[
        "/usr/bin/lua5.4",
        "/usr/share/lua/5.4/lxp.lua",
        "/usr/lib/x86_64-linux-gnu/lua/5.4/lxp.so",
    ]);
    sandbox.interpreters.push(path("/usr/bin/lua5.4"));
    let expected =
        ["file /usr/share/lua/5.4/lxp.lua", "load /usr/lib/x86_64-linux-gnu/lua/5.4/lxp.so by /usr/bin/lua5.4"];
    assert_eq!(sandbox.lines(), expected);
    sandbox.interpreters.clear();
    sandbox.program("/usr/bin/luac5.4", &[]);
    assert_eq!(sandbox.lines(), [""; 0]);
    sandbox.program("/usr/bin/lua5.4", &[]);
    assert_eq!(sandbox.lines(), expected);
}

#[test]
fn a_program_that_starts_commands_by_a_shell_is_told_of_one() {
    let mut sandbox = Sandbox::new();
    sandbox.debian().program("/usr/bin/tool", &["popen", "malloc"]);
    assert_eq!(sandbox.suggestions(), ["busybox: /usr/bin/tool imports popen"]);
    of_the_recipe(&mut sandbox, "/usr/bin/sh", "x");
    assert_eq!(sandbox.suggestions(), [""; 0]);
    // A library's import says nothing of what the program does.
    let mut sandbox = Sandbox::new();
    sandbox.debian().program("/usr/bin/tool", &[]).imported("/usr/lib/x86_64-linux-gnu/libc.so.6", &["system"]);
    assert_eq!(sandbox.suggestions(), [""; 0]);
}

#[test]
fn java_is_offered_what_it_draws_text_with() {
    let mut sandbox = Sandbox::new();
    let manager = "/opt/java/lib/libfontmanager.so";
    sandbox.debian().program("/opt/java/bin/run", &[]).library(manager, "libfontmanager.so");
    sandbox.files(&["/etc/fonts/fonts.conf"]);
    assert_eq!(sandbox.suggestions(), ["fontconfig: links libfontmanager.so"]);
    let load = format!("load libfontconfig.so.1 by {manager}");
    assert_eq!(sandbox.extras(&["fontconfig"]).lines(), ["file /etc/fonts/fonts.conf", &load]);
    // Others do not load it.
    let mut sandbox = Sandbox::new();
    sandbox.debian().program("/usr/bin/run", &[]).files(&["/etc/fonts/fonts.conf"]).extras(&["fontconfig"]);
    assert_eq!(sandbox.lines(), ["file /etc/fonts/fonts.conf"]);
}
