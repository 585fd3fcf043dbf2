//! What the environment says: the only module that asks it.

#![expect(clippy::disallowed_methods, reason = "the command line is where the environment is read")]

use std::path::{Path, PathBuf};

use mkimage::elf::{Object, ReadAt};
use mkimage::recipe::Date;

/// A variable's value, when it is set, not empty and UTF-8.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether this runs in CI: `CI` is set and not `false`.
pub(super) fn in_ci() -> bool {
    variable("CI").is_some_and(|value| value != "false" && value != "0")
}

/// Whether this is a job of GitHub's, which takes annotations on standard output's sibling.
pub(super) fn in_github_actions() -> bool {
    variable("GITHUB_ACTIONS").as_deref() == Some("true")
}

/// The file of the summary that a job of GitHub's shows (`GITHUB_STEP_SUMMARY`).
pub(super) fn step_summary() -> Option<PathBuf> {
    variable("GITHUB_STEP_SUMMARY").map(PathBuf::from)
}

/// Whether the locale is one of UTF-8, so that a terminal shows more than ASCII.
pub(super) fn is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// `SOURCE_DATE_EPOCH`, seconds since 1970.
///
/// # Errors
/// The text that is no number.
pub(super) fn source_date_epoch() -> Result<i64, String> {
    match variable("SOURCE_DATE_EPOCH") {
        None => Ok(0),
        Some(text) => text.parse().ok().filter(|seconds| (0..=253_402_300_799).contains(seconds)).ok_or(text),
    }
}

/// Which program this is: its version, and the build id that its linker gave it; of one without, what `stat` says of
/// its file. The same program is the same on another machine.
pub(super) fn this_program() -> String {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::File::open("/proc/self/exe");
    let build = file.as_ref().ok().and_then(|file| Object::parse(&Program(file)).ok()?.notes.build_id);
    let stat =
        || file.and_then(|file| file.metadata()).map(|it| (it.dev(), it.ino(), it.size(), it.mtime(), it.ctime_nsec()));
    match build {
        Some(build) => format!("{} {build:?}", env!("CARGO_PKG_VERSION")),
        None => format!("{} {:?}", env!("CARGO_PKG_VERSION"), stat()),
    }
}

/// The file of this program.
struct Program<'a>(&'a std::fs::File);

impl ReadAt for Program<'_> {
    fn size(&self) -> u64 {
        self.0.metadata().map_or(0, |found| found.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self.0, buffer, offset)
    }
}

/// Which of several machines that share work this is, from 0: as Kubernetes tells the pods of an Indexed Job, and CI
/// services the machines of a parallel job.
pub(super) fn machine_number() -> Option<usize> {
    let number = |name: &str| variable(name)?.parse::<usize>().ok();
    number("JOB_COMPLETION_INDEX")
        .or_else(|| number("CI_NODE_INDEX")?.checked_sub(1))
        .or_else(|| number("CIRCLE_NODE_INDEX"))
        .or_else(|| number("BUILDKITE_PARALLEL_JOB"))
}

/// The folders of programs, as PATH has them.
pub(super) fn search_path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// The day that `SOURCE_DATE_EPOCH` gives, or else today's, in UTC.
pub(super) fn today() -> Date {
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let set = variable("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok());
    Date::of_seconds(set.unwrap_or_else(|| i64::try_from(now()).unwrap_or(0)))
}

/// The first program of a name on PATH.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Where temporary folders go: TMPDIR, or /tmp.
pub(super) fn temporary() -> PathBuf {
    std::env::temp_dir()
}

/// The folder of the cache: `MKIMAGE_CACHE_DIR`, or `mkimage` in `XDG_CACHE_HOME` or ~/.cache.
pub(super) fn cache_folder() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| !path.as_os_str().is_empty());
    // Relative ones are to be ignored, as the specification of base directories says.
    let absolute = |name| folder(name).filter(|path| path.is_absolute());
    let of_user = || absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    folder("MKIMAGE_CACHE_DIR").or_else(|| Some(of_user()?.join("mkimage")))
}

/// The time by the clock: what changed since can't be told from what changes next. No byte of an image depends on it.
pub(super) fn now() -> (i64, u32) {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos())
}

/// Whether a person reads standard output.
pub(super) fn stdout_is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdout())
}

/// Whether a person writes standard input.
pub(super) fn stdin_is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdin())
}
