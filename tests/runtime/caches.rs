//! The cache of real builds: killed, half gone, on another file system, used by other processors and by many at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use crate::call::Call;
use crate::flips::{Gone, flip};
use crate::runner::Test;
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] = &[
    Test { name: "same_digest_after_kill_9_at_any_time", needs: &[], run: killed },
    Test { name: "same_digest_with_a_cache_on_tmpfs", needs: &["/dev/shm"], run: elsewhere },
    Test { name: "same_digest_by_eight_processes_with_one_cache", needs: &[], run: together },
    Test { name: "same_digest_with_any_bit_of_the_cache_flipped", needs: &[], run: flipped },
    Test { name: "same_digest_and_cache_on_old_processors", needs: &["qemu-x86_64-static"], run: processors },
];

const RECIPE: &str = "name = \"company/cached\"\nbinaries = [\"/usr/bin/perl\", \"/usr/bin/find\", \"/usr/bin/openssl\"]\n\
                      files = [\"/usr/lib/${multiarch}/perl-base/\"]\n";

/// A folder with a recipe, and what is built from it.
struct Place<'a> {
    workshop: &'a Workshop,
    folder: PathBuf,
}

impl<'a> Place<'a> {
    fn open(workshop: &'a Workshop, name: &str) -> Self {
        let folder = workshop.make_folder(name);
        fs::write(folder.join("r.toml"), RECIPE).expect("the folder is ours");
        Self { workshop, folder }
    }

    /// Builds with a cache, by `call`; the arguments are the same for all.
    fn build(&self, call: Call, cache: &Path, output: &str) -> Call {
        let output = format!("oci:{}", self.folder.join(output).display());
        call.arg("build").arg(self.folder.join("r.toml")).args(["-o", &output, "-vv", "--cache-dir"]).arg(cache)
    }

    fn plain(&self, cache: &Path, output: &str) -> String {
        self.build(self.workshop.mkimage(), cache, output).text()
    }

    fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }

    /// The digest of a build without a cache.
    fn digest(&self) -> String {
        let output = format!("oci:{}", self.folder.join("plain.oci").display());
        self.workshop.mkimage().arg("build").arg(self.folder.join("r.toml")).args(["-o", &output, "--no-cache"]).text()
    }

    /// Reads all of a cache, and gives what is said of what was broken.
    fn broken(&self, cache: &Path) -> String {
        let ended = self.workshop.mkimage().args(["cache", "verify", "--cache-dir"]).arg(cache).ended();
        assert!(ended.success, "{}", ended.report());
        ended.stderr
    }
}

fn killed(workshop: &Workshop) {
    let place = Place::open(workshop, "killed");
    let wanted = place.digest();
    for step in 0..24 {
        let after = format!("0.{:03}", 5 + step * 15);
        let call = Call::new("timeout").args(["--signal=KILL", &after]).arg(workshop.program());
        place.build(call, &place.cache(), "out.oci").ended();
        if step % 6 == 5 {
            assert_eq!(place.plain(&place.cache(), "out.oci"), wanted, "killed after {after} s");
            assert_eq!(place.broken(&place.cache()), "", "killed after {after} s");
            // Half of what is there.
            let mut files = Vec::new();
            walk(&place.cache(), &mut files);
            files.iter().step_by(2).for_each(|path| fs::remove_file(path).expect("the folder is ours"));
        }
    }
    assert_eq!(place.plain(&place.cache(), "out.oci"), wanted);
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() { walk(&entry.path(), files) } else { files.push(entry.path()) }
    }
    files.sort();
}

fn elsewhere(workshop: &Workshop) {
    let place = Place::open(workshop, "elsewhere");
    let wanted = place.digest();
    let cache = Path::new("/dev/shm").join(format!("mkimage-test-{}", std::process::id()));
    for round in ["cold", "warm"] {
        assert_eq!(place.plain(&cache, &format!("{round}.oci")), wanted, "{round}");
    }
    assert_eq!(place.broken(&cache), "");
    fs::remove_dir_all(&cache).expect("it is ours");
}

fn together(workshop: &Workshop) {
    let place = Place::open(workshop, "together");
    let wanted = place.digest();
    for round in ["cold", "warm"] {
        thread::scope(|scope| {
            for number in 0..8 {
                let (place, wanted) = (&place, &wanted);
                let output = format!("{round}-{number}.oci");
                scope.spawn(move || assert_eq!(place.plain(&place.cache(), &output), *wanted, "{output}"));
            }
        });
    }
    assert_eq!(place.broken(&place.cache()), "");
}

/// Every byte of every file of the cache of a small image, one after the other.
fn flipped(workshop: &Workshop) {
    let run = |gone: Gone, compression: &str| {
        let folder = workshop.make_folder(&format!("flipped-{gone:?}"));
        fs::create_dir_all(folder.join("root/srv/sub")).expect("the folder is ours");
        fs::write(folder.join("root/srv/a"), [7; 300]).expect("the folder is ours");
        fs::write(folder.join("root/srv/sub/b"), "b").expect("the folder is ours");
        let recipe = "files = [\"/srv/\", { content = \"hello\", to = \"/etc/hello\" }]\n";
        fs::write(folder.join("small.toml"), recipe).expect("the folder is ours");
        let (bytes, flipped) = flip(&folder, gone, usize::MAX, || {
            let call = workshop.mkimage().folder(&folder).args(["build", "small.toml", "--root", "root", "-o"]);
            let call = call.args(["oci:out.oci", "--cache-dir", "cache", "--no-fsync", "--compression", compression]);
            call.text()
        });
        assert!(bytes > 4_000 && flipped == bytes, "{flipped} bits of {bytes} bytes");
    };
    thread::scope(|scope| {
        scope.spawn(|| run(Gone::Nothing, "zstd"));
        scope.spawn(|| run(Gone::Output, "gzip"));
        scope.spawn(|| run(Gone::OutputAndRecord, "zstd"));
    });
}

fn processors(workshop: &Workshop) {
    let place = Place::open(workshop, "processors");
    let wanted = place.digest();
    for processor in ["qemu64", "Nehalem", "Haswell"] {
        let emulated = || Call::new("qemu-x86_64-static").args(["-cpu", processor]).arg(workshop.program());
        let cache = place.folder.join(processor);
        let cold = place.build(emulated(), &cache, &format!("{processor}.oci")).text();
        assert_eq!(cold, wanted, "{processor}");
        // What the old processor kept is what this one would have made.
        let ended = place.build(workshop.mkimage(), &cache, &format!("{processor}-again.oci")).ended();
        assert_eq!(ended.stdout.trim(), wanted, "{}", ended.report());
        assert!(ended.stderr.contains(" 0 compressed"), "{processor}: {}", ended.report());
    }
}
