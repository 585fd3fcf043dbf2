//! The same digest whatever surrounds the build, and the same layers whatever the date.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::call::Call;
use crate::runner::Test;
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] = &[
    Test { name: "same_digest_in_every_environment", needs: &[], run: environment },
    Test { name: "same_digest_for_root_and_a_user", needs: &["setpriv", "/proc/self/uid_map"], run: user },
    Test { name: "same_digest_for_shuffled_entries", needs: &[], run: entries },
    Test { name: "same_digest_for_shuffled_folders", needs: &["disorderfs", "fusermount", "python3.11"], run: folders },
    Test { name: "same_layers_at_two_dates", needs: &[], run: dates },
];

/// A recipe with something of everything that every Debian has.
const RECIPE: &str = r#"
name = "company/mixed"
entrypoint = ["/usr/bin/perl"]
binaries = [
  "/usr/bin/perl",
  "/usr/bin/sha256sum",
  "/usr/bin/find",
  "/usr/bin/tar",
]
files = [
  "/usr/lib/${multiarch}/perl-base/",
  { from = "python/", to = "/app/" },
  { from = "node/server.js", to = "/app/server.js" },
  "/etc/debian_version",
]
libraries = [
  "libm.so.6",
  "libresolv.so.2",
  "libgcc_s.so.1",
]
dirs = [
  "/srv/one",
  { path = "/srv/two", owner = "nonroot" },
]
ports = [
  80,
  443,
]
env = { B = "2", A = "1", C = "3" }
"#;

/// Builds a recipe into a new layout and gives what it prints: the image's name and digest.
fn digest(call: Call, recipe: &Path, layout: &Path) -> String {
    let line = call.arg("build").arg(recipe).arg("-o").arg(format!("oci:{}", layout.display())).text();
    assert!(line.contains("@sha256:"), "{line}");
    line
}

/// A folder for a test's layouts and caches, and a recipe in it beside a copy of what it names.
struct Place<'a> {
    workshop: &'a Workshop,
    folder: PathBuf,
}

impl<'a> Place<'a> {
    fn open(workshop: &'a Workshop, name: &str) -> Self {
        let folder = workshop.make_folder(name);
        for part in ["python", "node"] {
            Call::new("cp").arg("-r").arg(workshop.path("recipes").join(part)).arg(&folder).text();
        }
        let place = Self { workshop, folder };
        place.recipe("recipe.toml", RECIPE);
        place
    }

    fn recipe(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).expect("the folder is ours");
        path
    }

    /// A call with an empty cache of its own.
    fn cold(&self, name: &str) -> Call {
        self.workshop.mkimage().env("MKIMAGE_CACHE_DIR", self.folder.join(format!("{name}-cache")))
    }

    fn layout(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.oci"))
    }

    /// The digest of the recipe when the call is changed by `change`.
    fn digest(&self, name: &str, change: impl FnOnce(Call) -> Call) -> String {
        digest(change(self.cold(name)), &self.folder.join("recipe.toml"), &self.layout(name))
    }
}

fn environment(workshop: &Workshop) {
    let place = Place::open(workshop, "environment");
    let wanted = place.digest("plain", |call| call);
    assert_eq!(place.digest("again", |call| call), wanted, "twice in a row");
    for jobs in ["1", "2", "8"] {
        let jobs_option = format!("--jobs={jobs}");
        let (recipe, layout) = (place.folder.join("recipe.toml"), place.layout(&format!("jobs-{jobs}")));
        let output = format!("oci:{}", layout.display());
        let build = place.cold(jobs).arg("build").arg(&recipe).args([jobs_option.as_str(), "-o", &output]);
        assert_eq!(build.text(), wanted, "{jobs} threads");
    }
    let elsewhere = place.digest("elsewhere", |call| {
        call.folder(Path::new("/")).env("TZ", "Asia/Kathmandu").env("LANG", "tr_TR.UTF-8").env("HOME", "/nonexistent")
    });
    assert_eq!(elsewhere, wanted, "other folder, time zone, language and home");

    let (recipe, layout) = (place.folder.join("recipe.toml"), place.layout("umask"));
    let script = "umask 077; exec \"$0\" build \"$1\" -o \"oci:$2\"";
    let shell = Call::new("sh").args(["-c", script]).arg(workshop.program()).arg(recipe).arg(layout);
    assert_eq!(shell.env("MKIMAGE_CACHE_DIR", place.folder.join("umask-cache")).text(), wanted, "umask 077");
}

fn user(workshop: &Workshop) {
    let place = Place::open(workshop, "user");
    let wanted = place.digest("root", |call| call);
    let open = place.folder.join("open");
    fs::create_dir(&open).expect("the folder is ours");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("the folder is ours");
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let call = Call::new("setpriv").args(nobody).arg(workshop.program()).env("MKIMAGE_CACHE_DIR", open.join("cache"));
    assert_eq!(digest(call, &place.folder.join("recipe.toml"), &open.join("layout.oci")), wanted);
}

/// The entries of each list in other orders: rotated, and backwards.
fn entries(workshop: &Workshop) {
    let place = Place::open(workshop, "entries");
    let wanted = place.digest("as-written", |call| call);
    let written = |name: &str, order: fn(&mut Vec<&str>)| {
        let recipe = place.recipe(&format!("{name}.toml"), &reordered(RECIPE, order));
        digest(place.cold(name), &recipe, &place.layout(name))
    };
    assert_eq!(written("rotated", |list| list.rotate_left(1)), wanted);
    assert_eq!(written("backwards", |list| list.reverse()), wanted);
}

/// The text with the entries of each list, a line each, put in another order.
fn reordered(text: &str, order: fn(&mut Vec<&str>)) -> String {
    let (mut lines, mut entries) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if line.starts_with("  ") {
            entries.push(line);
        } else {
            if !entries.is_empty() {
                order(&mut entries);
            }
            lines.append(&mut entries);
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// One source tree as it is, listed backwards, and listed in a new order each time.
fn folders(workshop: &Workshop) {
    let place = Place::open(workshop, "folders");
    let tree = place.folder.join("tree");
    workshop.mkimage().args(["build", "python.toml", "-o"]).arg(format!("rootfs:{}", tree.display())).text();
    let recipe = place.recipe(
        "python.toml",
        "name = \"company/python\"\nbinaries = [\"/usr/bin/python3.11\"]\nextras = [\"tzdata\"]\n\
         files = [\"/usr/lib/python3.11/\"]\n",
    );
    let built = |name: &str, root: &Path| {
        let call = place.cold(name).arg("build").arg(&recipe).arg("--root").arg(root);
        call.arg("-o").arg(format!("oci:{}", place.layout(name).display())).text()
    };
    let wanted = built("plain", &tree);
    for (name, order) in [("backwards", "--reverse-dirents=yes"), ("shuffled", "--shuffle-dirents=yes")] {
        let mount = Disorder::mount(&tree, &place.folder.join(name), order);
        assert_eq!(built(&format!("{name}-tree"), &mount.0), wanted, "{name}");
    }
}

/// A mounted disorderfs, which lists the folders of another tree in an order of its own.
struct Disorder(PathBuf);

impl Disorder {
    fn mount(tree: &Path, point: &Path, order: &str) -> Self {
        fs::create_dir(point).expect("the folder is ours");
        Call::new("disorderfs").args(["--quiet", order]).arg(tree).arg(point).text();
        Self(point.into())
    }
}

impl Drop for Disorder {
    fn drop(&mut self) {
        Call::new("fusermount").arg("-u").arg(&self.0).ended();
    }
}

fn dates(workshop: &Workshop) {
    let place = Place::open(workshop, "dates");
    let at = |date: &str| {
        let line = place.digest(date, |call| call.env("SOURCE_DATE_EPOCH", date));
        let blobs = Call::new("ls").arg(place.layout(date).join("blobs/sha256")).text();
        (line, blobs.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let ((one, old), (two, new)) = (at("1000000000"), at("1700000000"));
    assert_ne!(one, two, "the date is in the configuration");
    let shared = old.iter().filter(|blob| new.contains(blob)).count();
    assert_eq!(shared, old.len() - 2, "all but the configuration and the manifest: {old:?} {new:?}");
}
