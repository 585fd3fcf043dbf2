//! The real loaders as referees: trees that are made up by chance, laid out in a temporary folder, and resolved by this
//! machine's loaders and by `closure`. The loaders map the objects and say what they mapped; nothing of them is run.
//!
//! Which trees is settled by their numbers, so a failure comes again: it names its tree. `MKIMAGE_TREES=5000..9000`
//! takes others than the few of every run. A machine without a loader has no referee and passes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use mkimage::closure::{self, Because, Missing, NotTaken, Options, Resolution, Wanted};
use mkimage::source::Folder;

use crate::support::elf::{AUXILIARY, Elf, FILTER, FLAGS_1, NEEDED, RPATH, RUNPATH, SONAME};
use crate::support::root::GLIBC;

const VERSYM: u64 = 0x6fff_fff0;
const MUSL: &str = "/lib/ld-musl-x86_64.so.1";
const TREES: Range<u64> = 0..150;

const FOLDERS: [&str; 5] = ["bin", "a", "b", "b/c", "d"];
const NAMES: [&str; 7] =
    ["libmka.so.1", "libmkb.so.1", "libmkc.so", "libmkd.so.1.2", "libmke.so.1", "libmkf.so.1", "libmkg.so.01"];
const VERSIONS: [&str; 3] = ["MK_1", "MK_2", "MK_3"];

/// Numbers that look like chance and are the same on every run (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// A made-up tree: a program `bin/p`, libraries, and what the environment says.
struct Made {
    folder: tempfile::TempDir,
    library_path: String,
    preload: String,
    /// A line for each file, for whoever has to find out why an answer differs.
    listing: String,
}

/// Which loader a tree is made for: they differ in what is worth asking.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Glibc,
    Musl,
}

impl Made {
    fn new(number: u64, of: For) -> Self {
        let mut chance = Chance(number);
        let folder = tempfile::tempdir().unwrap();
        let mut made = Self { folder, library_path: String::new(), preload: String::new(), listing: String::new() };
        for folder in FOLDERS {
            fs::create_dir_all(made.host(folder)).unwrap();
        }
        if chance.percent(30) {
            symlink("b", made.host("link")).unwrap();
        }
        for folder in &FOLDERS[1..] {
            for name in NAMES {
                if chance.percent(35) {
                    made.library(&mut chance, of, &format!("{folder}/{name}"));
                }
            }
        }
        let interp = if of == For::Glibc { GLIBC } else { MUSL };
        let mut program = Elf { interp: Some(interp.to_owned()), ..Elf::library() };
        for _ in 0..=chance.below(4) {
            let name = made.name(&mut chance);
            program = program.with(NEEDED, &name);
        }
        let program = made.paths(&mut chance, program);
        made.write("bin/p", &Self::versions(&mut chance, program), 0o755);
        if chance.percent(25) {
            made.library_path = made.list(&mut chance).replace("$ORIGIN", "${ORIGIN}");
        }
        if chance.percent(15) {
            made.preload = made.name(&mut chance);
        }
        writeln!(made.listing, "LD_LIBRARY_PATH={} LD_PRELOAD={}", made.library_path, made.preload).unwrap();
        made
    }

    fn host(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join(path)
    }

    fn path(&self, path: &str) -> String {
        self.host(path).to_str().unwrap().to_owned()
    }

    /// A library, or something that only has the name of one.
    fn library(&mut self, chance: &mut Chance, of: For, path: &str) {
        let own = path.rsplit('/').next().unwrap();
        let mut elf = Elf::library();
        match chance.below(100) {
            0..4 => return self.link(path, &self.path(&format!("{}/{own}", chance.one(&FOLDERS[1..])))),
            4..7 => return self.link(path, chance.one(&NAMES)),
            7..9 => return self.link(path, "/nowhere"),
            9..12 => (elf.machine, elf.is_64) = (3, false),
            12..15 => elf.machine = 183,
            // A program at a fixed address: a refusal. The file of an archive: another one.
            15..16 => elf.file_type = if chance.percent(50) { 2 } else { 1 },
            16..17 if of == For::Glibc => elf.numbers.push((FLAGS_1, 0x0800_0000)),
            17..18 => return self.text(path),
            18..19 => elf.os_abi = if chance.percent(50) { 3 } else { 9 },
            19..20 => elf.abi_version = 1,
            20..21 => elf.is_big = true,
            _ => {}
        }
        match chance.below(10) {
            0 => {}
            1 => elf = elf.with(SONAME, chance.one(&NAMES)),
            _ => elf = elf.with(SONAME, own),
        }
        for _ in 0..chance.below(4) {
            let name = self.name(chance);
            let tag = match chance.below(20) {
                0 => AUXILIARY,
                1 => FILTER,
                _ => NEEDED,
            };
            elf = elf.with(tag, &name);
        }
        if chance.percent(40) {
            elf.verdef = VERSIONS[..=chance.below(3)].iter().map(|&version| version.to_owned()).collect();
        }
        let elf = self.paths(chance, elf);
        self.write(path, &Self::versions(chance, elf), 0o644);
    }

    /// A name as it stands in a dynamic section.
    fn name(&self, chance: &mut Chance) -> String {
        let name = chance.one(&NAMES);
        match chance.below(25) {
            0 => self.path(&format!("{}/{name}", chance.one(&FOLDERS[1..]))),
            1 => format!("$ORIGIN/../{}/{name}", chance.one(&FOLDERS[1..])),
            2 => format!("${{ORIGIN}}/{name}"),
            3 => "libmkgone.so.1".to_owned(),
            4 => self.path(&format!("gone/../a/{name}")),
            _ => name.to_owned(),
        }
    }

    /// A list of directories.
    fn list(&self, chance: &mut Chance) -> String {
        let mut elements = Vec::new();
        for _ in 0..=chance.below(3) {
            let folder = chance.one(&FOLDERS[1..]);
            elements.push(match chance.below(16) {
                0 => "$ORIGIN".to_owned(),
                1 => "${ORIGIN}/../d".to_owned(),
                2 => "$ORIGIN/c".to_owned(),
                3 => self.path("gone"),
                4 => format!("{}/", self.path(folder)),
                5 => self.path("gone/../a"),
                6 => self.path("link"),
                7 => self.path("b/c/../../d"),
                8 => "$ORIGINAL".to_owned(),
                _ => self.path(folder),
            });
        }
        elements.join(":")
    }

    fn paths(&self, chance: &mut Chance, elf: Elf) -> Elf {
        match chance.below(10) {
            0..3 => elf.with(RPATH, &self.list(chance)),
            3..6 => elf.with(RUNPATH, &self.list(chance)),
            6 => elf.with(RPATH, &self.list(chance)).with(RUNPATH, &self.list(chance)),
            7 if chance.percent(30) => elf.with(RUNPATH, ""),
            _ => elf,
        }
    }

    /// Asks for versions of what the object needs.
    fn versions(chance: &mut Chance, mut elf: Elf) -> Elf {
        let needed: BTreeSet<String> =
            elf.strings.iter().filter(|(tag, _)| *tag == NEEDED).map(|(_, name)| name.clone()).collect();
        for name in needed.into_iter().filter(|name| !name.contains('/')) {
            if chance.percent(20) {
                let mut wanted = vec![chance.one(&VERSIONS[..2]).to_owned()];
                if chance.percent(20) {
                    wanted.push(format!("{}?", VERSIONS[2]));
                }
                elf.verneed.push((name, wanted));
            }
        }
        if !elf.verneed.is_empty() || !elf.verdef.is_empty() {
            // Where there are versions, loaders count on a table of them. No symbol is ever looked up in it.
            elf.numbers.push((VERSYM, 0));
        }
        elf
    }

    fn write(&mut self, path: &str, elf: &Elf, mode: u32) {
        fs::write(self.host(path), elf.write()).unwrap();
        fs::set_permissions(self.host(path), fs::Permissions::from_mode(mode)).unwrap();
        let tags: Vec<String> = elf.strings.iter().map(|(tag, text)| format!("{}={text}", tag_name(*tag))).collect();
        let Elf { machine, is_64, is_big, file_type, os_abi, abi_version, numbers, verneed, verdef, .. } = elf;
        let odd = format!("{machine} {is_64} {is_big} {file_type} {os_abi} {abi_version} {numbers:?}");
        let odd = if odd == "62 true false 3 0 0 []" { String::new() } else { format!(" [{odd}]") };
        let versions = format!("{verneed:?} {verdef:?}").replace("[] []", "");
        writeln!(self.listing, "{path}{odd} {} {versions}", tags.join(" ")).unwrap();
    }

    fn link(&mut self, path: &str, target: &str) {
        symlink(target, self.host(path)).unwrap();
        writeln!(self.listing, "{path} -> {target}").unwrap();
    }

    fn text(&mut self, path: &str) {
        let text =
            format!("GROUP ( /usr/lib/libmk.so ) {}", "and some more of it, to be as long as a header ".repeat(3));
        fs::write(self.host(path), text).unwrap();
        writeln!(self.listing, "{path} is text").unwrap();
    }

    /// What `closure` says.
    fn resolve(&self) -> Resolution {
        let options = Options {
            library_path: self.library_path.clone().into_bytes(),
            preload: self.preload.clone().into_bytes(),
            ..Options::default()
        };
        let wanted = [Wanted::program(self.path("bin/p"))];
        let closure = closure::close(&Folder::open(Path::new("/")).unwrap(), &wanted, &options);
        closure.resolutions.into_iter().next().unwrap()
    }

    /// What the loader says, on both its outputs. None when it dies of the tree, as glibc's may of filters in a circle.
    fn ask(&self, mut loader: Command) -> Option<String> {
        let paths = [("LD_LIBRARY_PATH", &self.library_path), ("LD_PRELOAD", &self.preload)];
        let given = paths.into_iter().filter(|(_, value)| !value.is_empty());
        let output = loader.arg(self.path("bin/p")).current_dir("/").envs(given).output().unwrap();
        output.status.code()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    }
}

fn tag_name(tag: u64) -> &'static str {
    match tag {
        NEEDED => "needed",
        SONAME => "soname",
        RPATH => "rpath",
        RUNPATH => "runpath",
        AUXILIARY => "auxiliary",
        _ => "filter",
    }
}

/// What a loader maps and misses, as lines: `name => path`, `name => not found`, `path: no version X for path`.
#[derive(Debug, PartialEq, Eq, Default)]
struct Answer {
    mapped: Vec<String>,
    not_there: BTreeSet<String>,
    fatal: bool,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Answer {
    /// glibc prints the objects in the order of lookup, what is missing between them, and then bad versions.
    fn of_glibc(said: &str, program: &str) -> Self {
        let mut answer = Self::default();
        for line in said.lines() {
            let line = line.strip_prefix('\t').unwrap_or(line);
            if let Some((object, rest)) = line.split_once(": version `") {
                let (version, by) = rest.split_once("' not found (required by ").unwrap();
                // The name of the program stands before, when that is what asks.
                let object = object.rsplit(": ").next().unwrap();
                let by = by.trim_end_matches(')').replace("<main program>", program);
                answer.not_there.insert(format!("{by}: no version {version} in {object}"));
            } else if let Some(name) = line.strip_suffix(" => not found") {
                answer.not_there.insert(format!("{name} => not found"));
            } else if let Some((mapped, _)) = line.rsplit_once(" (0x") {
                let (name, path) = mapped.split_once(" => ").unwrap_or((mapped, mapped));
                if path != GLIBC && !name.starts_with("linux-vdso") {
                    answer.mapped.push(format!("{name} => {path}"));
                }
            } else if line.contains("error while loading shared libraries") {
                answer.fatal = true;
            }
        }
        if answer.fatal { Self { fatal: true, ..Self::default() } } else { answer }
    }

    /// musl prints each library as it maps it, and each that it can't.
    fn of_musl(said: &str) -> Self {
        let mut answer = Self::default();
        for line in said.lines() {
            if let Some(rest) = line.strip_prefix("Error loading shared library ") {
                let (name, _) = rest.split_once(": ").unwrap();
                answer.not_there.insert(format!("{name} => not found"));
            } else if let Some((mapped, _)) = line.trim_start().rsplit_once(" (0x") {
                let (name, path) = mapped.split_once(" => ").unwrap_or((mapped, mapped));
                if path != MUSL && name != "ldd" {
                    answer.mapped.push(format!("{name} => {path}"));
                }
            }
        }
        answer
    }

    fn of_resolution(resolution: &Resolution) -> Self {
        if resolution.fatal.is_some() {
            return Self { fatal: true, ..Self::default() };
        }
        let object = |&index: &usize| &resolution.objects[index];
        let mapped = resolution.order.iter().map(object).filter(|it| it.needed_by.is_some());
        let path = |index: usize| text(&resolution.objects[index].path);
        let versions = resolution.version_errors.iter();
        let bad_versions =
            versions.map(|it| format!("{}: no version {} in {}", path(it.required_by), text(&it.version), path(it.of)));
        // glibc tells of an auxiliary that is not there, too, but not of one that it refuses.
        let is_refused = |it: &&Missing| it.near.iter().any(|near| matches!(near.because, NotTaken::Refused(_)));
        let auxiliary = resolution.missing_optional.iter();
        let auxiliary = auxiliary.filter(|it| it.because == Because::Auxiliary && !is_refused(it));
        let missing = resolution.missing.iter().chain(auxiliary).map(|it| format!("{} => not found", text(&it.name)));
        Self {
            mapped: mapped.map(|it| format!("{} => {}", text(&it.names[0]), text(&it.path))).collect(),
            not_there: missing.chain(bad_versions).collect(),
            fatal: false,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test may be asked for more")]
fn trees() -> Range<u64> {
    let Ok(range) = std::env::var("MKIMAGE_TREES") else { return TREES };
    let (first, end) = range.split_once("..").unwrap();
    first.parse().unwrap()..end.parse().unwrap()
}

/// Compares the answers on every tree, and tells of the first that differ.
fn compare(loader: &str, of: For, ask: fn(&Made) -> Option<Answer>) {
    if !Path::new(loader).exists() {
        return;
    }
    let (mut differ, mut whole) = (Vec::new(), 0);
    for number in trees() {
        let made = Made::new(number, of);
        let Some(referee) = ask(&made) else { continue };
        let resolution = made.resolve();
        let own = Answer::of_resolution(&resolution);
        if referee != own && differ.len() < 3 {
            differ.push(format!("tree {number}\n{}\nloader {referee:#?}\nclosure {own:#?}", made.listing));
        }
        whole += usize::from(!referee.fatal && referee.not_there.is_empty() && referee.mapped.len() > 1);
    }
    assert!(differ.is_empty(), "{}", differ.join("\n\n"));
    assert!(whole > 0, "no tree has anything to load");
}

#[test]
fn glibc_maps_the_same() {
    compare(GLIBC, For::Glibc, |made| {
        let mut loader = Command::new(GLIBC);
        loader.env("LD_TRACE_LOADED_OBJECTS", "1");
        Some(Answer::of_glibc(&made.ask(loader)?, &made.path("bin/p")))
    });
}

#[test]
fn musl_maps_the_same() {
    compare(MUSL, For::Musl, |made| {
        let mut loader = Command::new(MUSL);
        loader.arg("--list");
        Some(Answer::of_musl(&made.ask(loader)?))
    });
}
