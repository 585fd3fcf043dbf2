//! Small roots in temporary folders, written as one line for each file.
#![expect(clippy::unwrap_used, reason = "a test that can't go on should fail")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use mkimage::closure::{self, Closure, Options, Wanted};
use mkimage::source::Folder;

use super::elf::{AUDIT, AUXILIARY, Elf, FILTER, FLAGS_1, NEEDED, RPATH, RUNPATH, SONAME};

/// The loader of every glibc tree here.
pub(crate) const GLIBC: &str = "/lib64/ld-linux-x86-64.so.2";

/// A merged-usr tree with glibc 2.36 as Debian has it, to which a test adds its own lines.
const GLIBC_TREE: &str = "
    /lib link usr/lib
    /lib64 link usr/lib64
    /bin link usr/bin
    /usr/bin dir
    /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 loader
    /usr/lib64/ld-linux-x86-64.so.2 link /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
    /usr/lib/x86_64-linux-gnu/libc.so.6 library ld-linux-x86-64.so.2 verdef=GLIBC_2.34,GLIBC_2.36";

/// Alpine's layout.
const MUSL_TREE: &str = "
    /bin dir
    /lib/ld-musl-x86_64.so.1 library soname=-
    /lib/libc.musl-x86_64.so.1 link ld-musl-x86_64.so.1";

/// A root in a temporary folder.
pub(crate) struct Root {
    folder: tempfile::TempDir,
}

impl Root {
    /// A root with glibc and the files of some lines.
    pub(crate) fn glibc(lines: &str) -> Self {
        Self::new(&[GLIBC_TREE, lines].join("\n"))
    }

    /// A root with musl and the files of some lines.
    pub(crate) fn musl(lines: &str) -> Self {
        Self::new(&[MUSL_TREE, lines].join("\n"))
    }

    /// A root with the files of some lines, each `PATH KIND ARGUMENTS`:
    /// `program NEEDED.. KEY=VALUE..`, `library NEEDED.. KEY=VALUE..`, `loader KEY=VALUE..`, `file TEXT`,
    /// `script TEXT`, `link TARGET`, `hard TARGET`, `dir`. In texts `\n` is a line's end.
    pub(crate) fn new(lines: &str) -> Self {
        let root = Self { folder: tempfile::tempdir().unwrap() };
        for line in lines.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
            root.line(line);
        }
        root
    }

    /// Writes what one more line says.
    pub(crate) fn line(&self, line: &str) {
        let (path, rest) = line.split_once(' ').unwrap();
        let (kind, arguments) = rest.split_once(' ').unwrap_or((rest, ""));
        let host = self.host(path);
        fs::create_dir_all(host.parent().unwrap()).unwrap();
        let text = arguments.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r").replace("\\0", "\0");
        match kind {
            "dir" => fs::create_dir_all(&host).unwrap(),
            "link" => symlink(arguments, &host).unwrap(),
            "hard" => fs::hard_link(self.host(arguments), &host).unwrap(),
            "file" => self.file(path, text.as_bytes(), 0o644),
            "script" => self.file(path, text.as_bytes(), 0o755),
            "program" => self.file(path, &parse(Elf::program(GLIBC), arguments).write(), 0o755),
            "library" => {
                let name = path.rsplit('/').next().unwrap();
                let soname = if arguments.contains("soname=") { String::new() } else { format!(" soname={name}") };
                // musl's loader is its library, and the kernel starts it.
                let mode = if name.starts_with("ld-musl") { 0o755 } else { 0o644 };
                self.file(path, &parse(Elf::library(), &format!("{arguments}{soname}")).write(), mode);
            }
            "loader" => self.file(path, &loader(arguments).write(), 0o755),
            other => panic!("no kind of file: {other}"),
        }
    }

    /// Where a path of the root is on this machine.
    pub(crate) fn host(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    /// Writes a file.
    pub(crate) fn file(&self, path: &str, bytes: &[u8], mode: u32) {
        let host = self.host(path);
        fs::create_dir_all(host.parent().unwrap()).unwrap();
        fs::write(&host, bytes).unwrap();
        fs::set_permissions(&host, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The root as a source.
    pub(crate) fn source(&self) -> Folder {
        Folder::open(self.folder.path()).unwrap()
    }

    /// Closes over what is wanted.
    pub(crate) fn close(&self, wanted: &[Wanted], options: &Options) -> Closure {
        closure::close(&self.source(), wanted, options)
    }

    /// The closures of some programs as text.
    pub(crate) fn text(&self, programs: &str, options: &Options) -> String {
        let wanted: Vec<Wanted> = programs.split_whitespace().map(Wanted::program).collect();
        self.text_of(&wanted, options)
    }

    /// The closures of what is wanted as text.
    pub(crate) fn text_of(&self, wanted: &[Wanted], options: &Options) -> String {
        let closure = self.close(wanted, options);
        let texts = closure.resolutions[..wanted.len()].iter().map(|it| closure::show::text(&closure, it));
        texts.collect()
    }
}

/// A program of glibc's loader: its system directories and its version stand in it.
fn loader(arguments: &str) -> Elf {
    let mut elf = Elf::library().with(SONAME, "ld-linux-x86-64.so.2");
    elf.verdef = vec!["GLIBC_2.34".to_owned()];
    let value = |key: &str| arguments.split_whitespace().find_map(|it| it.strip_prefix(key)?.strip_prefix('='));
    let directories =
        value("dirs").unwrap_or("/lib/x86_64-linux-gnu/,/usr/lib/x86_64-linux-gnu/,/lib/,/usr/lib/").replace(',', "\0");
    let vendor = value("vendor").unwrap_or("Debian GLIBC 2.36-9");
    let version = value("version").unwrap_or("2.36");
    elf.data = format!("\0{directories}\0\0ld.so ({vendor}) stable release version {version}.\n\0").into_bytes();
    elf
}

fn parse(mut elf: Elf, arguments: &str) -> Elf {
    let list = |value: &str| value.split(',').map(str::to_owned).collect();
    for word in arguments.split_whitespace() {
        let Some((key, value)) = word.split_once('=') else {
            elf = elf.with(NEEDED, word);
            continue;
        };
        let number = || value.parse().unwrap();
        match key {
            "needed" => elf = elf.with(NEEDED, value),
            "soname" if value == "-" => {}
            "soname" => elf = elf.with(SONAME, value),
            "rpath" => elf = elf.with(RPATH, value),
            "runpath" => elf = elf.with(RUNPATH, value),
            "auxiliary" => elf = elf.with(AUXILIARY, value),
            "filter" => elf = elf.with(FILTER, value),
            "audit" => elf = elf.with(AUDIT, value),
            "interp" if value == "-" => elf.interp = None,
            "interp" => elf.interp = Some(value.to_owned()),
            "machine" => elf.machine = number(),
            "class" => elf.is_64 = value == "64",
            "endian" => elf.is_big = value == "big",
            "type" => elf.file_type = number(),
            "os-abi" => elf.os_abi = value.parse().unwrap(),
            "abi-version" => elf.abi_version = value.parse().unwrap(),
            "flags" => elf.flags = value.parse().unwrap(),
            "flags-1" => elf.numbers = vec![(FLAGS_1, value.parse().unwrap())],
            "relr" => elf.numbers.push((36, 0)),
            "dynamic" => elf.has_dynamic = value == "yes",
            "verdef" => elf.verdef = list(value),
            "verneed" => {
                let (file, versions) = value.split_once(':').unwrap();
                elf.verneed.push((file.to_owned(), list(versions)));
            }
            "data" => elf.data = format!("\0{value}\0").into_bytes(),
            "symbols" => elf.symbols = list(value),
            "level" => {
                // NT_GNU_PROPERTY_TYPE_0 with GNU_PROPERTY_X86_ISA_1_NEEDED.
                let bits: u32 = value.parse().unwrap();
                let words = [0xc000_8002, 4, bits, 0].into_iter().flat_map(u32::to_le_bytes);
                elf.notes.push(("GNU", 5, words.collect()));
            }
            other => panic!("no key: {other}"),
        }
    }
    elf
}

/// Lines without the indentation that they have in a test.
pub(crate) fn lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let indent = lines.iter().map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    lines.iter().flat_map(|line| [&line[indent..], "\n"]).collect()
}

/// A table of cases: what is shown, lines of a tree, programs, the text of their closures.
pub(crate) type Case = (&'static str, &'static str, &'static str, &'static str);

/// Runs a table of cases and tells every one that differs.
pub(crate) fn check(make: fn(&str) -> Root, cases: &[Case]) {
    let mut failed = Vec::new();
    for (sentence, tree, programs, expected) in cases {
        let found = make(tree).text(programs, &Options::default());
        if found != lines(expected) {
            failed.push(format!("{sentence}\n--- expected\n{}--- found\n{found}", lines(expected)));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}
