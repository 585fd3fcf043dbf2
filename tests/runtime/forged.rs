//! Signatures that are not what they seem, in every program that verifies ours: each takes the good ones, and refuses
//! changed bytes, another key and what was signed for another image.

use std::fs;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use mkimage::oci::Digest;
use serde_json::{Value, json};

use crate::attest::{
    NODE, Registry, VERIFIERS, attached, attested, cosign_call, keys, read, skopeo_call, text, verifies,
};
use crate::call::Ended;
use crate::runner::{Test, print};
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] =
    &[Test { name: "forged_signatures_are_refused", needs: &["docker-registry", "node", NODE], run: forged }];

/// What is done to all that is attached to an image, each under digests that are right again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forgery {
    /// Nothing: who refuses the others takes this.
    None,
    /// A bit of what was signed is another one.
    Payload,
    /// A bit of each signature is another one.
    Signature,
    /// It hangs on this image with a bit of its manifest changed.
    Manifest,
    /// It hangs on another image.
    Another,
}

const FORGERIES: [Forgery; 5] =
    [Forgery::None, Forgery::Payload, Forgery::Signature, Forgery::Manifest, Forgery::Another];

/// A signature under a tag has its signature in this annotation.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// A layout with what is beside it.
struct Layout(PathBuf);

impl Layout {
    /// The folder of what is attached.
    fn beside(&self) -> PathBuf {
        self.0.with_extension("oci.att")
    }

    /// The descriptor of the image's manifest.
    fn image(&self) -> Value {
        index(&self.0)["manifests"][0].clone()
    }

    fn digest(&self) -> String {
        text(&self.image()["digest"])
    }

    fn hex(&self) -> String {
        self.digest().replace("sha256:", "")
    }
}

fn index(layout: &Path) -> Value {
    parse(&read(&layout.join("index.json")))
}

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
}

fn blob(layout: &Path, descriptor: &Value) -> Vec<u8> {
    read(&layout.join("blobs").join(text(&descriptor["digest"]).replace(':', "/")))
}

/// Puts other bytes in the place of those that a descriptor names.
fn put(layout: &Path, descriptor: &mut Value, bytes: &[u8]) {
    let digest = Digest::of(bytes).to_string();
    fs::write(layout.join("blobs").join(digest.replace(':', "/")), bytes).expect("the folder is ours");
    descriptor["digest"] = digest.into();
    descriptor["size"] = bytes.len().into();
}

/// A copy without links to the first one's files, which are the cache's, too.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder is ours");
    for entry in fs::read_dir(from).expect("it is there").flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::write(to, read(&entry.path())).expect("the folder is ours");
        }
    }
}

/// The same text in base64 but for one bit of what it says.
fn flipped(encoded: &str, at: usize) -> String {
    let mut bytes = BASE64_STANDARD.decode(encoded).expect("it is base64");
    bytes[at] ^= 1;
    BASE64_STANDARD.encode(&bytes)
}

/// An image with one bit of a manifest changed, in the value of an annotation: still a manifest.
fn with_other_manifest(from: &Layout, to: PathBuf) -> Layout {
    copy(&from.0, &to);
    let mut all = index(&to);
    let descriptor = &mut all["manifests"][0];
    let mut manifest = blob(&to, descriptor);
    let mark = b"\"org.opencontainers.image.title\":\"";
    let at = manifest.windows(mark.len()).position(|part| part == mark).expect("it has a title") + mark.len();
    manifest[at] ^= 1;
    put(&to, descriptor, &manifest);
    fs::write(to.join("index.json"), all.to_string()).expect("the folder is ours");
    Layout(to)
}

/// Attaches to `image` what is attached to `own`, forged.
fn attach(own: &Layout, image: &Layout, forgery: Forgery) {
    let folder = image.beside();
    copy(&own.beside(), &folder);
    let mut all = index(&folder);
    for entry in all["manifests"].as_array_mut().expect("an index lists manifests") {
        let mut manifest = parse(&blob(&folder, entry));
        if manifest.get("subject").is_some() {
            for key in ["digest", "size"] {
                manifest["subject"][key] = image.image()[key].clone();
            }
        }
        if let Some(tag) = entry["annotations"]["org.opencontainers.image.ref.name"].as_str() {
            entry["annotations"]["org.opencontainers.image.ref.name"] = tag.replace(&own.hex(), &image.hex()).into();
        }
        let before = text(&manifest["layers"][0]["digest"]);
        let mut document = blob(&folder, &manifest["layers"][0]);
        match forgery {
            Forgery::None | Forgery::Manifest | Forgery::Another => {}
            Forgery::Payload => document = with_other_payload(&document),
            Forgery::Signature => {
                let signature = manifest["layers"][0]["annotations"][SIGNATURE].as_str();
                match signature.map(|signature| flipped(signature, 12)) {
                    Some(signature) => manifest["layers"][0]["annotations"][SIGNATURE] = signature.into(),
                    None => document = with_other_signature(&document),
                }
            }
        }
        put(&folder, &mut manifest["layers"][0], &document);
        // The configuration of a signature under a tag names what was signed, too.
        let config = String::from_utf8(blob(&folder, &manifest["config"])).expect("it is JSON");
        let config = config.replace(&before, &text(&manifest["layers"][0]["digest"]));
        put(&folder, &mut manifest["config"], config.as_bytes());
        put(&folder, entry, manifest.to_string().as_bytes());
    }
    fs::write(folder.join("index.json"), all.to_string()).expect("the folder is ours");
}

/// A payload or a bundle with another bit in what was signed: `optional` is `optionam`, which changes no meaning, or
/// the type of a statement is another one.
fn with_other_payload(document: &[u8]) -> Vec<u8> {
    let mut bundle = parse(document);
    let Some(payload) = bundle["dsseEnvelope"]["payload"].as_str() else {
        return String::from_utf8_lossy(document).replace("\"optional\"", "\"optionam\"").into_bytes();
    };
    bundle["dsseEnvelope"]["payload"] = flipped(payload, 12).into();
    bundle.to_string().into_bytes()
}

/// A bundle with another bit in its signature; an SBOM without one as it is.
fn with_other_signature(document: &[u8]) -> Vec<u8> {
    let mut bundle = parse(document);
    let Some(signature) = bundle["dsseEnvelope"]["signatures"][0]["sig"].as_str() else { return document.to_vec() };
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = flipped(signature, 12).into();
    bundle.to_string().into_bytes()
}

/// Who verifies: by the repository, the image's digest and a key.
type Verifier<'a> = (String, Box<dyn Fn(&str, &str, &Path) -> Ended + 'a>);

fn forged(workshop: &Workshop) {
    let (own_key, own, other) = keys(workshop, "forging-keys");
    let registry = Registry::start(workshop, "forged-registry");
    let name = format!("{}/company/forged", registry.host);
    let build = |recipe: &str, extends: &str, more: &[&str]| {
        let words = format!("extends = \"{extends}\"\nname = \"{name}\"\nsbom = [\"spdx\"]\nprovenance = true\n");
        workshop.write(&format!("{recipe}.toml"), &words);
        let layout = workshop.path(&format!("{recipe}.oci"));
        workshop.mkimage().args(["build", &format!("{recipe}.toml"), "-o"]).arg(&layout).args(more).text();
        Layout(layout)
    };
    let signed = build("forged", "hello.toml", &["--sign-key", &own_key.to_string_lossy()]);
    let another = build("not-signed", "memcached.toml", &[]);

    let cases: Vec<(Forgery, String, Layout)> = FORGERIES
        .into_iter()
        .map(|forgery| {
            let case = format!("{forgery:?}").to_lowercase();
            let folder = workshop.path(&format!("forged-{case}.oci"));
            let image = match forgery {
                Forgery::None | Forgery::Payload | Forgery::Signature => {
                    copy(&signed.0, &folder);
                    Layout(folder)
                }
                Forgery::Manifest => with_other_manifest(&signed, folder),
                Forgery::Another => {
                    copy(&another.0, &folder);
                    Layout(folder)
                }
            };
            attach(&signed, &image, forgery);
            let repository = format!("{}/company/forged-{case}", registry.host);
            workshop.mkimage().arg("push").arg(&image.0).arg(format!("docker://{repository}:1")).text();
            (forgery, repository, image)
        })
        .collect();

    let mut verifiers: Vec<Verifier<'_>> = vec![(
        "mkimage".to_owned(),
        Box::new(|repository, digest, key| {
            workshop.mkimage().args(["verify", &format!("docker://{repository}@{digest}"), "--key"]).arg(key).ended()
        }),
    )];
    if Path::new(VERIFIERS).join("skopeo").exists() {
        for release in ["trixie", "sid"] {
            verifiers.push((
                format!("cosign of {release}"),
                Box::new(move |repository, digest, key| {
                    cosign_call(release, &["verify"], key).arg(format!("{repository}@{digest}")).ended()
                }),
            ));
            for kind in ["spdxjson", "slsaprovenance1"] {
                verifiers.push((
                    format!("cosign of {release}, {kind}"),
                    Box::new(move |repository, digest, key| {
                        attested(release, kind, key, &format!("{repository}@{digest}"))
                    }),
                ));
            }
        }
        // Whatever name it is pulled by, the one that was signed is asked for.
        let identity = json!({ "type": "exactRepository", "dockerRepository": name });
        let folder = workshop.make_folder("forged-policy");
        let host = &registry.host;
        verifiers.push((
            "skopeo".to_owned(),
            Box::new(move |repository, digest, key| {
                let to = folder.join(format!("pulled-{}", fs::read_dir(&folder).expect("it is ours").count()));
                skopeo_call(&folder, host, &identity, key, &format!("{repository}@{digest}"), &to)
            }),
        ));
    } else {
        print("    cosign and skopeo of other releases are not there: skipped\n");
    }
    for (verifier, verify) in &verifiers {
        for (forgery, repository, image) in &cases {
            let ended = verify(repository, &image.digest(), &own);
            assert_eq!(ended.success, *forgery == Forgery::None, "{verifier}, {forgery:?}: {}", ended.report());
            let ended = verify(repository, &image.digest(), &other);
            assert!(!ended.success, "{verifier} takes another key, {forgery:?}: {}", ended.report());
        }
    }
    for (forgery, _, image) in &cases {
        bundles(workshop, *forgery, image, &own, &other);
    }
}

/// What is attached to an image, in the library of Node.js.
fn bundles(workshop: &Workshop, forgery: Forgery, image: &Layout, own: &Path, other: &Path) {
    let all: Vec<_> = attached(&image.0).into_iter().filter(|(kind, ..)| kind.contains("sigstore")).collect();
    assert_eq!(all.len(), 3, "the image, its SBOM and its provenance");
    for (_, _, bytes) in all {
        let ended = verifies(workshop, own, &image.digest(), &bytes);
        assert_eq!(ended.success, forgery == Forgery::None, "{forgery:?}: {}", ended.report());
        assert!(!verifies(workshop, other, &image.digest(), &bytes).success, "{forgery:?}: another key");
    }
}
