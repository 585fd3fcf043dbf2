//! The image's documents: their exact bytes.

use std::collections::BTreeMap;

use mkimage::image::{Facts, describe};
use mkimage::layer::{Effort, Layer};
use mkimage::oci::{DiffId, Digest, MediaType};
use mkimage::recipe::{Config, Healthcheck, Platform};

use crate::synthetic::{amd64, at, facts, spanned};

fn layer(name: &str, files: u64) -> Layer {
    Layer {
        name: name.to_owned(),
        media_type: MediaType::ImageLayerZstd,
        digest: Digest::of(name.as_bytes()),
        size: 1000 + files,
        diff_id: DiffId::new(Digest::of(&[name.as_bytes(), b"!"].concat())),
        unpacked: 4096,
        files,
        blob: "/nonexistent".into(),
        elsewhere: None,
        pieces: Vec::new(),
        content: None,
        lineage: None,
        hashes: Vec::new(),
        effort: Effort::default(),
    }
}

fn config_of(config: &Config, facts: &Facts) -> serde_json::Value {
    let image = describe(vec![layer("runtime", 3)], config, facts).unwrap();
    serde_json::from_slice(&image.config.bytes).unwrap()
}

#[test]
fn the_least_image() {
    let image = describe(vec![layer("runtime", 1), layer("application", 2)], &Config::default(), &facts(&amd64()));
    let image = image.unwrap();
    let labels = r#"{"org.opencontainers.image.created":"1970-01-01T00:00:00Z","org.opencontainers.image.title":"test","org.opencontainers.image.version":"1"}"#;
    let (a, b) = (&image.layers[0], &image.layers[1]);
    let config = format!(
        concat!(
            r#"{{"architecture":"amd64","config":{{"#,
            r#""Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Labels":{},"#,
            r#""User":"65532:65532","WorkingDir":"/"}},"created":"1970-01-01T00:00:00Z","history":["#,
            r#"{{"comment":"1 file, layer format 1","created":"1970-01-01T00:00:00Z","created_by":"mkimage: runtime"}},"#,
            r#"{{"comment":"2 files, layer format 1","created":"1970-01-01T00:00:00Z","created_by":"mkimage: application"}}],"#,
            r#""os":"linux","rootfs":{{"diff_ids":["{}","{}"],"type":"layers"}}}}"#,
        ),
        labels, a.diff_id, b.diff_id
    );
    assert_eq!(String::from_utf8(image.config.bytes.clone()).unwrap(), config);
    let manifest = format!(
        concat!(
            r#"{{"annotations":{},"config":{{"digest":"{}","mediaType":"application/vnd.oci.image.config.v1+json","size":{}}},"#,
            r#""layers":[{{"digest":"{}","mediaType":"application/vnd.oci.image.layer.v1.tar+zstd","size":1001}},"#,
            r#"{{"digest":"{}","mediaType":"application/vnd.oci.image.layer.v1.tar+zstd","size":1002}}],"#,
            r#""mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}}"#,
        ),
        labels,
        image.config.digest,
        config.len(),
        a.digest,
        b.digest
    );
    assert_eq!(String::from_utf8(image.manifest.bytes.clone()).unwrap(), manifest);
}

#[test]
fn all_that_a_recipe_can_say() {
    let words = |words: &[&str]| words.iter().map(|word| spanned((*word).to_owned())).collect::<Vec<_>>();
    let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<_, _> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), spanned((*value).to_owned()))).collect()
    };
    let config = Config {
        entrypoint: Some(words(&["/usr/sbin/nginx"])),
        cmd: Some(words(&["-g", "daemon off;"])),
        workdir: Some(spanned(at("/srv"))),
        env: pairs(&[("Z", "last"), ("LANG", "de_DE.UTF-8"), ("EMPTY", "")]),
        ports: words(&["8080/tcp", "53/udp"]),
        volumes: vec![spanned(at("/data"))],
        stop_signal: Some(spanned("SIGQUIT".to_owned())),
        healthcheck: Some(Healthcheck {
            test: vec!["/usr/bin/check".to_owned()],
            interval: Some(30_000_000_000),
            timeout: None,
            start_period: Some(1),
            retries: Some(3),
        }),
        labels: pairs(&[
            ("a", "b"),
            ("org.opencontainers.image.title", "own"),
            ("org.opencontainers.image.created", ""),
        ]),
        annotations: pairs(&[("c", "d")]),
    };
    let bundle = at("/etc/ssl/certs/ca-certificates.crt");
    let platform = Platform { variant: Some("v8".to_owned()), architecture: "arm64".to_owned(), ..amd64() };
    let facts = Facts { created: 1_700_000_000, ca_bundle: Some(&bundle), locale: Some("C.UTF-8"), ..facts(&platform) };
    let json = config_of(&config, &facts);
    let expected = serde_json::json!({
        "Cmd": ["-g", "daemon off;"],
        "Entrypoint": ["/usr/sbin/nginx"],
        "Env": [
            "EMPTY=",
            "LANG=de_DE.UTF-8",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
            "Z=last",
        ],
        "ExposedPorts": { "53/udp": {}, "8080/tcp": {} },
        "Healthcheck": { "Interval": 30_000_000_000u64, "Retries": 3, "StartPeriod": 1, "Test": ["CMD", "/usr/bin/check"] },
        "Labels": { "a": "b", "org.opencontainers.image.title": "own", "org.opencontainers.image.version": "1" },
        "StopSignal": "SIGQUIT",
        "User": "65532:65532",
        "Volumes": { "/data": {} },
        "WorkingDir": "/srv",
    });
    assert_eq!(json["config"], expected);
    assert_eq!((&json["created"], &json["variant"]), (&"2023-11-14T22:13:20Z".into(), &"v8".into()));
    let image = describe(Vec::new(), &config, &facts).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
    assert_eq!(manifest["annotations"]["c"], "d");
    assert_eq!(manifest["annotations"]["org.opencontainers.image.created"], "2023-11-14T22:13:20Z");
    assert_eq!(manifest["annotations"].get("a"), None);
}

#[test]
fn the_first_binary_is_the_entrypoint() {
    let path = at("/usr/bin/curl");
    let platform = amd64();
    let facts = Facts { entrypoint: Some(&path), ..facts(&platform) };
    assert_eq!(config_of(&Config::default(), &facts)["config"]["Entrypoint"], serde_json::json!(["/usr/bin/curl"]));
    let none = Config { entrypoint: Some(Vec::new()), ..Config::default() };
    assert_eq!(config_of(&none, &facts)["config"].get("Entrypoint"), None);
}

#[test]
fn compression_leaves_the_image_id_alone() {
    let platform = amd64();
    let image = |media_type: MediaType| {
        let layer = Layer { digest: Digest::of(media_type.as_ref().as_bytes()), media_type, ..layer("all", 1) };
        describe(vec![layer], &Config::default(), &facts(&platform)).unwrap()
    };
    let (zstd, gzip) = (image(MediaType::ImageLayerZstd), image(MediaType::ImageLayerGzip));
    assert_eq!(zstd.config, gzip.config);
    assert_ne!(zstd.manifest, gzip.manifest);
}

#[test]
fn what_json_cannot_hold_is_an_error() {
    let error = |config: Config, created| {
        let platform = amd64();
        describe(Vec::new(), &config, &Facts { created, ..facts(&platform) }).unwrap_err().0.remove(0).title
    };
    let workdir = Config { workdir: Some(spanned(at(b"/\xff"))), ..Config::default() };
    assert_eq!(error(workdir, 0), "`/\\xff` is not UTF-8, and an image's configuration is");
    let env = Config { env: BTreeMap::from([("A=B".to_owned(), spanned(String::new()))]), ..Config::default() };
    assert_eq!(error(env, 0), "`A=B` is no environment variable");
    let expected = "`253402300800` is no time of creation: it lies outside of the years 0 to 9999";
    assert_eq!(error(Config::default(), 253_402_300_800), expected);
}
