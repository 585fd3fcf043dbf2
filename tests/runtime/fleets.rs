//! Fifty images by one machine and by four, with a registry that keeps layers for all: the same digests, nothing sent
//! twice, whatever is killed; and what engines say of a forged entry.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mkimage::oci::Digest;
use mkimage::registry::{Client, Document, Job, Options, Remote, Rules};
use serde_json::Value;

use crate::call::{Call, Ended, eventually};
use crate::proxy::{Asked, Proxy};
use crate::registries::{Registry, VERIFIERS};
use crate::runner::{Test, print};
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "fifty_images_by_one_machine_and_by_four",
        needs: &["docker-registry", "cc", "python3.11"],
        run: fifty,
    },
    Test { name: "a_forged_layer_is_refused_by_engines", needs: &["docker-registry", "dockerd"], run: forged },
    Test { name: "a_cache_in_cranes_registry", needs: &["apt-get", VERIFIERS], run: crane },
];

/// How many recipes, and how many machines.
const RECIPES: usize = 50;
const MACHINES: usize = 4;

const SERVICE: &str = "#include <stdio.h>\n\
    const char *SSL_alert_type_string_long(int); const char *zlibVersion(void);\n\
    int main(void) { printf(\"NUMBER %s %s\\n\", WHAT); return 0; }\n";

/// Runs a program and says what it took, in its last line on standard error.
const MEASURE: &str = "import json, resource, subprocess, sys\n\
    code = subprocess.run(sys.argv[1:]).returncode\n\
    used = resource.getrusage(resource.RUSAGE_CHILDREN)\n\
    print(json.dumps({'cpu': used.ru_utime + used.ru_stime, 'rss': used.ru_maxrss}), file=sys.stderr)\n\
    sys.exit(code)\n";

/// A workspace of services that need one library or the other, or both, and scripts beside some of them.
struct Fleet<'a> {
    workshop: &'a Workshop,
    folder: PathBuf,
    proxy: Proxy,
    _registry: Registry,
}

/// What one way of building all of it came to.
#[derive(Default)]
struct Outcome {
    /// By the last part of each name.
    digests: BTreeMap<String, String>,
    /// Digests of layers.
    layers: BTreeSet<String>,
    seconds: f64,
    cpu: f64,
    /// Of the largest process, in bytes.
    memory: u64,
    asked: Vec<Asked>,
    /// Of all caches of machines.
    disk: u64,
}

impl<'a> Fleet<'a> {
    fn open(workshop: &'a Workshop) -> Self {
        let folder = workshop.make_folder("fleet");
        let registry = Registry::start(&workshop.make_folder("fleet-registry"), "", "");
        let proxy = Proxy::before(&registry.address);
        let workspace = format!(
            "[workspace]\nmembers = [\"s*.toml\"]\n[workspace.defaults]\nname = \"{}/${{place}}/${{recipe}}\"\n\
             [workspace.defaults.vars]\nplace = \"none\"\n",
            proxy.address
        );
        fs::write(folder.join("mkimage.toml"), workspace).expect("the suite owns the folder");
        for number in 0..RECIPES {
            let name = format!("s{number:02}");
            let what = [
                "SSL_alert_type_string_long(256), \"\"",
                "\"\", zlibVersion()",
                "SSL_alert_type_string_long(256), zlibVersion()",
            ][number % 3];
            let source = folder.join(format!("{name}.c"));
            let text = SERVICE.replace("NUMBER", &number.to_string()).replace("WHAT", what);
            fs::write(&source, text).expect("the suite owns the folder");
            Call::new("cc").args(["-O1", "-o"]).arg(folder.join(&name)).arg(&source).args(LIBRARIES).text();
            let recipe =
                format!("binaries = [\"./{name}\"]\nfiles = [{{ content = \"{name}\", to = \"/etc/{name}.conf\" }}]\n");
            fs::write(folder.join(format!("{name}.toml")), recipe).expect("the suite owns the folder");
        }
        Self { workshop, folder, proxy, _registry: registry }
    }

    fn cache(&self, name: &str) -> String {
        format!("{}/cache:{name}", self.proxy.address)
    }

    /// The words of a build of a share into the repositories below `place`, with a cache folder of its own.
    fn words(&self, place: &str, share: &str, remote: &[String]) -> Vec<String> {
        let folder = self.folder.join(format!("cache-{place}-{}", share.replace('/', "-")));
        let metadata = folder.with_extension("json");
        let words = ["build", "--push", "--tag", "1", "--set", &format!("place={place}"), "--shard", share];
        let mut words: Vec<String> = words.map(str::to_owned).to_vec();
        for (option, path) in [("--cache-dir", folder), ("--metadata-file", metadata)] {
            words.extend([option.to_owned(), path.display().to_string()]);
        }
        words.extend(remote.iter().cloned());
        words
    }

    /// Builds all of it by as many processes as there are machines.
    fn build(&self, place: &str, machines: usize, remote: &[String]) -> Outcome {
        self.proxy.take();
        let begun = Instant::now();
        let ended: Vec<Ended> = thread::scope(|scope| {
            let one = |machine: usize| {
                let words = self.words(place, &format!("{}/{machines}", machine + 1), remote);
                let call = Call::new("python3.11").args(["-c", MEASURE]).arg(self.workshop.program());
                call.args(words).folder(&self.folder).ended()
            };
            let all: Vec<_> = (0..machines).map(|machine| scope.spawn(move || one(machine))).collect();
            all.into_iter().map(|one| one.join().expect("it does not panic")).collect()
        });
        let mut outcome = Outcome { seconds: begun.elapsed().as_secs_f64(), ..Outcome::default() };
        for ended in ended {
            assert!(ended.success && !ended.stderr.contains("E0501"), "{}", ended.report());
            outcome.digests.extend(digests(&ended.stdout));
            let used: Value =
                serde_json::from_str(ended.stderr.lines().last().unwrap_or_default()).expect("it measures");
            outcome.cpu += used["cpu"].as_f64().unwrap_or_default();
            outcome.memory = outcome.memory.max(used["rss"].as_u64().unwrap_or_default() * 1024);
        }
        outcome.asked = self.proxy.take();
        for entry in fs::read_dir(&self.folder).expect("the suite owns the folder").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&format!("cache-{place}-")) {
                if entry.path().is_dir() {
                    outcome.disk += disk(&entry.path());
                } else {
                    outcome.layers.extend(layers(&entry.path()));
                }
            }
        }
        outcome
    }
}

/// By the names of their files: their development packages need not be there.
const LIBRARIES: [&str; 3] = ["-Wl,--as-needed", "-l:libssl.so.3", "-l:libz.so.1"];

fn digests(printed: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let (name, digest) = line.split_once('@')?;
        Some((name.rsplit('/').next()?.to_owned(), digest.to_owned()))
    };
    printed.lines().filter_map(line).collect()
}

fn layers(metadata: &Path) -> Vec<String> {
    let text = fs::read(metadata).expect("it was written");
    let all: Value = serde_json::from_slice(&text).expect("it is JSON");
    let of = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let platforms = of(&all, "images").into_iter().flat_map(|image| of(&image, "platforms"));
    let layers = platforms.flat_map(|platform| of(&platform, "layers"));
    layers.filter_map(|layer| layer["digest"].as_str().map(str::to_owned)).collect()
}

fn disk(folder: &Path) -> u64 {
    let text = Call::new("du").args(["--summarize", "--bytes"]).arg(folder).text();
    text.split_whitespace().next().and_then(|size| size.parse().ok()).unwrap_or_default()
}

impl Outcome {
    /// Bytes of layers that were sent.
    fn sent(&self) -> u64 {
        let uploads = self.asked.iter().filter(|asked| asked.target.contains("/blobs/uploads/"));
        let is_layer = |asked: &&Asked| {
            asked.method == "PATCH"
                || self.layers.iter().any(|digest| asked.target.contains(&format!("digest={digest}")))
        };
        uploads.filter(is_layer).map(|asked| asked.body).sum()
    }

    /// How many layers were fetched.
    fn fetched(&self) -> usize {
        let is_layer = |asked: &&Asked| self.layers.iter().any(|digest| asked.target.ends_with(digest.as_str()));
        self.asked.iter().filter(|asked| asked.method == "GET").filter(is_layer).count()
    }

    fn tell(&self, what: &str) {
        let megabytes = |bytes: u64| mkimage::report::megabytes(bytes);
        print(&format!(
            "fleet: {what}: {:.1} s, {:.1} s of processors, {} in the largest process, {} requests, {} of layers sent, {} fetched, \
             {} in all requests, {} on disk\n",
            self.seconds,
            self.cpu,
            megabytes(self.memory),
            self.asked.len(),
            megabytes(self.sent()),
            self.fetched(),
            megabytes(self.asked.iter().map(|asked| asked.body).sum()),
            megabytes(self.disk)
        ));
    }
}

fn fifty(workshop: &Workshop) {
    let fleet = Fleet::open(workshop);
    let both = |name: &str| {
        let name = fleet.cache(name);
        ["--cache-from", &name, "--cache-to", &name].map(str::to_owned)
    };
    let alone = fleet.build("alone", 1, &[]);
    alone.tell("one machine, nothing known");
    assert_eq!(alone.digests.len(), RECIPES);

    let apart = fleet.build("apart", MACHINES, &[]);
    apart.tell("four machines, nothing known");
    assert_eq!(apart.digests, alone.digests);

    let filling = fleet.build("filling", MACHINES, &both("first"));
    filling.tell("four machines, an empty cache in the registry");
    assert_eq!(filling.digests, alone.digests);

    let warm = fleet.build("warm", MACHINES, &both("first"));
    warm.tell("four new machines, a full one");
    assert_eq!(warm.digests, alone.digests);
    assert_eq!((warm.sent(), warm.fetched()), (0, 0), "layers were sent or fetched");
    let entries = warm.asked.iter().filter(|asked| asked.method == "PUT" && asked.target.contains("/v2/cache/"));
    assert_eq!(entries.count(), 0, "an entry was written again");

    // One of the machines dies in the middle, and its share is built again by one that knows nothing.
    let one = fleet.words("killed", "2/4", &both("second"));
    let mut build = Command::new(workshop.program())
        .args(&one)
        .current_dir(&fleet.folder)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it is built");
    let tagged = || fleet.proxy.count("PUT", "/manifests/1");
    eventually(|| {
        thread::sleep(Duration::from_millis(5));
        if tagged() >= RECIPES / MACHINES / 2 { Ok(()) } else { Err(format!("{} of its images are there", tagged())) }
    });
    let _ = (build.kill(), build.wait());
    let before = tagged();
    assert!(before < RECIPES / MACHINES - 1, "it was at its end");
    fs::remove_dir_all(fleet.folder.join("cache-killed-2-4")).expect("it was made");
    let again = fleet.build("killed", MACHINES, &both("second"));
    again.tell("four machines, one of them for the second time");
    assert_eq!(again.digests, alone.digests);
    for name in ["s00", "s17", "s31", "s49"] {
        workshop.mkimage().arg("verify").arg(format!("docker://{}/killed/{name}:1", fleet.proxy.address)).text();
    }
    let plain = Call::new(fleet.folder.join("s02")).text();
    assert!(plain.starts_with("2 warning "), "{plain}");
}

/// Gives the entries of all layers the blob of one of them.
fn forge(registry: &Registry, storage: &Path) {
    let client = Client::new(Options::default()).expect("no certificates are asked for");
    let cache = Remote::parse(&registry.name("cache")).expect("a good name");
    let tags =
        fs::read_dir(storage.join("docker/registry/v2/repositories/cache/_manifests/tags")).expect("it has tags");
    let tags: Vec<String> = tags.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(tags.len() > 1, "{tags:?}");
    let mut blob = None;
    for tag in tags {
        let found = client.manifest(&cache.tagged(&tag).expect("a good tag")).expect("it is there");
        let mut entry: Value = serde_json::from_slice(&found.bytes).expect("it is JSON");
        entry["layers"] = blob.get_or_insert_with(|| entry["layers"].clone()).clone();
        let bytes = entry.to_string().into_bytes();
        let document = Document { digest: Digest::of(&bytes), media_type: found.media_type, bytes };
        let job = Job { documents: vec![document], tags: vec![tag], ..Job::default() };
        client.push(&cache.repository, &job, Rules::Move).expect("anybody may push here");
    }
}

fn forged(workshop: &Workshop) {
    let folder = workshop.make_folder("forged");
    let registry = Registry::start(&folder, "", "");
    // No other test gives an engine these layers: what it has by `diff_id` it does not fetch.
    let recipe = folder.join("forged.toml");
    let layer = |name: &str| format!("{{ content = \"forged {name}\", to = \"/srv/{name}\", layer = \"{name}\" }}");
    let text = format!("name = \"forged\"\nfiles = [{}, {}]\n", layer("one"), layer("two"));
    fs::write(&recipe, text).expect("the folder is there");
    let build = |place: &str, words: &[&str]| {
        let call = workshop.mkimage().arg("build").arg(&recipe);
        let call = call.args(["--compression", "gzip", "-o", &registry.name(place)]);
        let cache = folder.join(place.replace([':', '/'], "-"));
        call.args(words).arg("--cache-dir").arg(cache).ended()
    };
    let cache = registry.name("cache");
    let good = build("good:1", &["--cache-to", &cache]);
    assert!(good.success, "{}", good.report());
    forge(&registry, &folder.join("data"));
    let forged = build("forged:1", &["--cache-from", &cache, "-vv"]);
    assert!(forged.success && forged.stderr.contains(" from a registry ("), "{}", forged.report());
    assert_ne!(forged.stdout, good.stdout);
    // Where the bytes are seen, they are not believed.
    let fetched = workshop.mkimage().arg("build").arg(&recipe);
    let fetched = fetched.args(["--compression", "gzip", "--cache-from", &cache]).arg("-o");
    let fetched = fetched.arg(folder.join("fetched.oci")).arg("--cache-dir").arg(folder.join("fetched")).ended();
    assert_eq!(fetched.stdout, good.stdout, "{}", fetched.report());
    assert!(fetched.stderr.contains("E0501"), "{}", fetched.report());

    let place = |name: &str| registry.name(name).trim_start_matches("docker://").to_owned();
    // The forged one first: who has the layers of the other one by their `diff_id`s need not fetch any.
    for (name, is_good) in [("forged:1", false), ("good:1", true)] {
        let place = place(name);
        let docker = workshop.docker().call(["pull", "--quiet", &place]).ended();
        let containerd = workshop.dockerd().ctr().args(["images", "pull", "--plain-http", &place]).ended();
        let verified = workshop.mkimage().args(["verify", &registry.name(name)]).ended();
        for ended in [docker, containerd, verified] {
            assert_eq!(ended.success, is_good, "{}", ended.report());
        }
    }
}

/// The same in a registry of the specification's version 1.1.
fn crane(workshop: &Workshop) {
    let folder = workshop.make_folder("cache-in-crane");
    Call::new("bash").arg(VERIFIERS).arg(folder.join("verifiers")).arg("sid").text();
    let registry = Registry::crane(&folder.join("verifiers/bin/crane"));
    let proxy = Proxy::before(&registry.address);
    let cache = format!("{}/cache", proxy.address);
    let build = |place: &str| {
        let to = format!("docker://{}/{place}:1", proxy.address);
        let call = workshop.mkimage().args(["build", "hello.toml", "-vv", "-o", &to, "--cache-from", &cache]);
        let ended = call.args(["--cache-to", &cache, "--cache-dir"]).arg(folder.join(place)).ended();
        assert!(ended.success && !ended.stderr.contains("E0501"), "{}", ended.report());
        workshop.mkimage().args(["verify", &to]).text();
        ended
    };
    let first = build("first");
    assert!(first.stderr.contains("added to registries"), "{}", first.report());
    proxy.take();
    let second = build("second");
    assert_eq!(second.stdout, first.stdout);
    assert!(
        second.stderr.contains(" from a registry (") && second.stderr.contains(" 0 compressed"),
        "{}",
        second.report()
    );
    let sent: u64 =
        proxy.take().iter().filter(|asked| asked.target.contains("/blobs/uploads/")).map(|asked| asked.body).sum();
    assert!(sent < 10_000, "a configuration is sent, and no layer: {sent} bytes");
}
