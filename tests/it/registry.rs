//! The client of registries against a registry that goes wrong in every way: what it sends, to whom, and what it tells.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mkimage::oci::Digest;
use mkimage::output::{self, Push};
use mkimage::registry::{
    Blob, Client, Content, CredentialFile, Document, Job, Keychain, Options, Pace, Pushed, Remote, Rules, open,
};
use mkimage::report::{Error, Texts, render};
use serde_json::json;

use super::registry_server::{BASIC, Fault, LOST, Login, Server};
use super::sandbox::Sandbox;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Tries often, waits for next to nothing.
fn options(credentials: Option<PathBuf>) -> Options {
    let files = credentials.into_iter().map(|path| CredentialFile { path, named_by: Some("--creds-file") }).collect();
    Options {
        keychain: Keychain { files, search_path: std::ffi::OsString::new() },
        pace: Pace {
            tries: 5,
            pause: Duration::from_millis(1),
            longest: Duration::from_millis(40),
            idle: Duration::from_millis(400),
            spread: 100,
        },
        ..Options::default()
    }
}

/// A client that knows the server's login.
fn logged_in(server: &Server, auth: &str) -> (Client, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let text = json!({ "auths": { server.address.to_string(): { "auth": auth } } }).to_string();
    std::fs::write(&path, text).unwrap();
    (Client::new(options(Some(path))).unwrap(), folder)
}

fn anonymous() -> Client {
    Client::new(options(None)).unwrap()
}

/// An image of three layers, the last of them large enough to be cut.
struct Sample {
    blobs: Vec<Vec<u8>>,
    manifest: Document,
}

impl Sample {
    fn new(word: &str) -> Self {
        let config = json!({ "architecture": "amd64", "os": "linux", "word": word }).to_string().into_bytes();
        let large: Vec<u8> =
            (0..75_000_u32).flat_map(|n| (n ^ u32::try_from(word.len()).unwrap()).to_le_bytes()).collect();
        let blobs = vec![config, word.as_bytes().to_vec(), format!("{word} again").into_bytes(), large];
        let descriptor = |kind: &str, bytes: &Vec<u8>| json!({ "mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len() });
        let layers: Vec<_> =
            blobs[1..].iter().map(|blob| descriptor("application/vnd.oci.image.layer.v1.tar", blob)).collect();
        let config = descriptor("application/vnd.oci.image.config.v1+json", &blobs[0]);
        let bytes = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers })
            .to_string()
            .into_bytes();
        let manifest = Document { digest: Digest::of(&bytes), media_type: MANIFEST.to_owned(), bytes };
        Self { blobs, manifest }
    }

    fn job(&self, tags: &[&str]) -> Job<'_> {
        let blob = |bytes: &'_ Vec<u8>| (Digest::of(bytes), bytes.len() as u64);
        Job {
            blobs: self
                .blobs
                .iter()
                .map(|bytes| Blob { digest: blob(bytes).0, size: blob(bytes).1, content: Content::Bytes(bytes) })
                .collect(),
            documents: vec![self.manifest.clone()],
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            sources: Vec::new(),
        }
    }

    fn push(&self, client: &Client, server: &Server, repository: &str, tag: &str) -> Result<Pushed, Error> {
        let to = Remote::parse(&server.name(repository)).unwrap();
        client.push(&to.repository, &self.job(&[tag]), Rules::Move)
    }

    /// Whether the tag can be pulled, every blob of it.
    fn is_whole(&self, client: &Client, server: &Server, repository: &str, tag: &str) {
        let remote = Remote::parse(&server.name(&format!("{repository}:{tag}"))).unwrap();
        assert_eq!(client.manifest(&remote).unwrap().digest, self.manifest.digest);
        for blob in &self.blobs {
            let found = client.blob_bytes(&remote.repository, Digest::of(blob), blob.len() as u64).unwrap();
            assert!(found == *blob);
        }
    }
}

fn text(error: &Error) -> String {
    render(&error.0, &Texts::default(), false)
}

/// Pushes and pulls an image through a fault that must not be noticed.
#[track_caller]
fn survives(server: &Server) -> Pushed {
    let (client, _folder) = logged_in(server, "dXNlcjpzZWNyZXQ=");
    let sample = Sample::new("survives");
    let pushed = sample.push(&client, server, "team/app", "1").map_err(|error| panic!("{}", text(&error))).unwrap();
    sample.is_whole(&client, server, "team/app", "1");
    pushed
}

/// Pushes through a fault that must stop it: says so, and leaves no tag.
#[track_caller]
fn fails(server: &Server, words: &[&str]) -> String {
    let (client, _folder) = logged_in(server, "dXNlcjpzZWNyZXQ=");
    let error = Sample::new("fails").push(&client, server, "team/app", "1").unwrap_err();
    let text = text(&error);
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
    assert!(!text.contains("secret") && !text.contains("dXNlcjpz"), "{text}");
    assert_eq!(server.tag("team/app", "1"), None);
    text
}

#[test]
fn an_image_goes_there_and_comes_back() {
    let server = Server::new();
    let pushed = survives(&server);
    assert_eq!((pushed.sent.0, pushed.there, pushed.mounted), (4, 0, 0));
    assert_eq!(pushed.tags[0].before, None);
    let methods: Vec<String> = server.state().seen.iter().map(|seen| seen.method.clone()).collect();
    let first_manifest = methods.len() - 1 - methods.iter().rev().position(|method| method == "PUT").unwrap();
    assert!(server.state().seen[first_manifest].path.ends_with("/manifests/1"), "the tag is set last");
    // Again: nothing is sent.
    let before = server.seen("POST", "").len();
    let again = survives(&server);
    assert_eq!((again.sent, again.there, again.tags[0].before), ((0, 0), 4, Some(pushed.digest)));
    assert_eq!(server.seen("POST", "").len(), before);
}

#[test]
fn blobs_are_taken_over_from_other_repositories() {
    let server = Server::new();
    let client = anonymous();
    let sample = Sample::new("mount");
    sample.push(&client, &server, "one", "1").unwrap();
    let pushed = sample.push(&client, &server, "two", "1").unwrap();
    assert_eq!((pushed.sent, pushed.mounted), ((0, 0), 4));
    sample.is_whole(&client, &server, "two", "1");
    // A registry that does not: the upload that it begins instead is used.
    server.plan("POST", "from=", 4, Fault::Answer(405, Vec::new()));
    let pushed = sample.push(&client, &server, "three", "1").unwrap();
    assert_eq!((pushed.sent.0, pushed.mounted), (4, 0));
    let other = Server::new();
    let to = Remote::parse(&other.name("a")).unwrap();
    let mut job = sample.job(&["1"]);
    job.sources = vec![Remote::parse(&other.name("lacks/it")).unwrap().repository];
    let pushed = client.push(&to.repository, &job, Rules::Move).unwrap();
    assert_eq!((pushed.sent.0, pushed.mounted, other.seen("POST", "").len()), (4, 0, 4));
}

#[test]
fn logins_of_every_kind() {
    for login in [Login::Basic, Login::Bearer(1000)] {
        let server = Server::with_login(login);
        survives(&server);
    }
    // Nobody could push with a token that is good for three requests.
    let server = Server::with_login(Login::Bearer(3));
    survives(&server);
}

#[test]
fn refusals_are_told_with_their_reason() {
    let server = Server::with_login(Login::Basic);
    let (client, folder) = logged_in(&server, "dXNlcjp3cm9uZw==");
    let error = Sample::new("x").push(&client, &server, "team/app", "1").unwrap_err();
    let text = text(&error);
    for word in [
        "error[E0602]".to_owned(),
        "unauthorized".to_owned(),
        format!("asked: `HEAD http://{}/v2/team/app/manifests/1`, answered with 401", server.address),
        format!("credentials: from `{}`, entry `{}`", folder.path().join("config.json").display(), server.address),
        format!("docker login {}", server.address),
    ] {
        assert!(text.contains(&word), "{word:?} is not in:\n{text}");
    }
    assert!(server.state().seen.len() < 6, "401 is not asked for again and again");
    let server = Server::with_login(Login::Bearer(0));
    let told = fails(&server, &["E0602"]);
    assert!(server.state().seen.len() < 12, "{told}");
    let server = Server::with_login(Login::Bearer(9));
    let (client, _folder) = logged_in(&server, "dXNlcjp3cm9uZw==");
    let error = Sample::new("x").push(&client, &server, "team/app", "1").unwrap_err();
    let text = self::text(&error);
    assert!(text.contains("incorrect username or password"), "{text}");
    // With the port, without which the login would be for another registry.
    assert!(text.contains(&format!("no token for `{}` is to be had", server.address)), "{text}");
    assert!(text.contains(&format!("`docker login {}`", server.address)), "{text}");
}

#[test]
fn where_no_login_came_from_is_told() {
    let server = Server::with_login(Login::Basic);
    let sandbox = Sandbox::new();
    let name = server.name("app:1");
    let pull = |creds: &[&str], file: &str| {
        let arguments = [&["pull", &name, "x.oci"], creds].concat();
        let run = sandbox.run_with(&arguments, |command| {
            let path = format!("{}:/usr/bin:/bin", sandbox.at("bin").display());
            command.env("PATH", path).env("REGISTRY_AUTH_FILE", file);
        });
        assert_eq!(run.code, 1, "{}", run.stderr);
        run.stderr
    };
    let said = pull(&[], "none.json");
    assert!(
        said.starts_with("error[E0606]: `none.json`, which REGISTRY_AUTH_FILE names, can't be read: no such"),
        "{said}"
    );
    let said = pull(&["--creds-file", "other.json"], "");
    assert!(said.starts_with("error[E0606]: `other.json`, which --creds-file names, can't be read: no such"), "{said}");
    sandbox.file("login.json", "{\"credsStore\": \"test\"}");
    let keeper = |script: &str| {
        let program = "bin/docker-credential-test";
        sandbox.file(program, format!("#!/bin/sh\n{script}\n")).mode(program, 0o755);
        pull(&[], "login.json")
    };
    let said = keeper("echo credentials not found in keychain; echo the session of ann is over >&2; exit 1");
    let none = format!("none, as `login.json` has no entry for `{}`, and `docker-credential-test`", server.address);
    assert!(said.contains(&format!("{none} (which says: the session of ann is over) keeps none\n")), "{said}");
    let said = keeper("echo credentials not found; exit 1");
    assert!(said.contains(&format!("{none} keeps none\n")), "{said}");
    let said = keeper("echo a secret; echo no keyring here >&2; exit 3");
    assert!(said.contains("fails (exit status: 3): no keyring here\n") && !said.contains("a secret"), "{said}");
}

#[test]
fn passing_troubles_pass() {
    let wait = |header: &str| Fault::Answer(429, vec![("Retry-After", header.to_owned())]);
    for fault in [
        Fault::Answer(429, Vec::new()),
        wait("0"),
        wait("3600"),
        wait("Thu, 01 Jan 1970 00:00:00 GMT"),
        Fault::Answer(503, Vec::new()),
        Fault::Answer(500, Vec::new()),
        Fault::LoseAnswer,
        Fault::CutRequest(0),
    ] {
        for (method, path) in [
            ("GET", "/v2/"),
            ("HEAD", "/blobs/"),
            ("POST", "/blobs/uploads/"),
            ("PUT", "/blobs/uploads/"),
            ("PUT", "/manifests/sha256"),
            ("PUT", "/manifests/1"),
            ("GET", "/manifests/1"),
            ("GET", "/blobs/sha256"),
        ] {
            let server = Server::new();
            server.plan(method, path, 3, fault.clone());
            let started = Instant::now();
            survives(&server);
            assert!(started.elapsed() < Duration::from_secs(10), "{method} {path} {fault:?}");
        }
    }
}

#[test]
fn lasting_troubles_end() {
    for (fault, word) in [
        (Fault::Answer(429, vec![("Retry-After", "3600".to_owned())]), "too many requests"),
        (Fault::Answer(503, Vec::new()), "not available now"),
        (Fault::Body(500, b"the disk is full".to_vec()), "the disk is full"),
    ] {
        let server = Server::new();
        server.plan("PUT", "/manifests/", 1000, fault);
        fails(&server, &["E0604", word, "5 times"]);
    }
    let server = Server::new();
    server.plan("PUT", "/blobs/", 1000, Fault::CutRequest(0));
    fails(&server, &["E0601", "breaks the connection", "pushing again goes on"]);
}

#[test]
fn an_upload_goes_on_where_it_broke() {
    for cuts in [1, 3, 9] {
        let server = Server::new();
        server.plan("PUT", "/blobs/uploads/", 1, Fault::CutRequest(20_000));
        server.plan("PATCH", "/blobs/uploads/", cuts - 1, Fault::CutRequest(20_000));
        let (client, sample) = (anonymous(), Sample::new("resumed"));
        let to = Remote::parse(&server.name("a")).unwrap();
        let large = sample.blobs.last().unwrap();
        let blob = Blob { digest: Digest::of(large), size: large.len() as u64, content: Content::Bytes(large) };
        client.push_blob(&to.repository, &blob, None).unwrap();
        assert_eq!(server.seen("POST", "").len(), 1, "one upload");
        let received: usize = server.state().seen.iter().map(|seen| seen.received).sum();
        assert_eq!(received, large.len(), "no byte twice");
        assert_eq!(
            server.seen("PATCH", "").last().unwrap().range,
            Some(format!("{}-{}", 20_000 * cuts, large.len() - 1))
        );
    }
}

#[test]
fn an_upload_that_is_forgotten_begins_anew() {
    let server = Server::new();
    server.plan("PUT", "/blobs/uploads/", 1, Fault::CutRequest(20_000));
    server.plan("GET", "/blobs/uploads/", 1, Fault::Answer(404, Vec::new()));
    survives(&server);
    let server = Server::new();
    server.plan("PUT", "/blobs/uploads/", 1, Fault::CutRequest(20_000));
    server.plan("PATCH", "/blobs/uploads/", 1, Fault::Answer(416, Vec::new()));
    survives(&server);
}

#[test]
fn chunks_where_a_registry_wants_them() {
    let server = Server::new();
    server.plan("PUT", "/blobs/uploads/upload-1?", 1, Fault::Answer(413, Vec::new()));
    let (client, sample) = (anonymous(), Sample::new("chunks"));
    let to = Remote::parse(&server.name("a")).unwrap();
    let large = sample.blobs.last().unwrap();
    let blob = Blob { digest: Digest::of(large), size: large.len() as u64, content: Content::Bytes(large) };
    client.push_blob(&to.repository, &blob, None).unwrap();
    assert_eq!(server.seen("PATCH", "").len(), 1);
    assert!(client.has_blob(&to.repository, blob.digest).unwrap());
}

#[test]
fn a_download_goes_on_where_it_broke() {
    let server = Server::new();
    let (client, sample) = (anonymous(), Sample::new("down"));
    sample.push(&client, &server, "a", "1").unwrap();
    server.plan("GET", "/blobs/", 3, Fault::CutAnswer(30_000));
    let to = Remote::parse(&server.name("a")).unwrap();
    let large = sample.blobs.last().unwrap();
    let found = client.blob_bytes(&to.repository, Digest::of(large), large.len() as u64).unwrap();
    assert!(found == *large);
    let ranges: Vec<_> = server.seen("GET", "/blobs/").iter().map(|seen| seen.range.clone()).collect();
    assert_eq!(ranges.len(), 4);
    assert_eq!(ranges[3], Some("bytes=90000-".to_owned()));
}

#[test]
fn credentials_stay_with_their_registry() {
    let other = Server::new();
    let elsewhere = format!("http://{}", other.address);
    // An upload that another host takes: followed, with nothing of the login.
    let server = Server::with_login(Login::Basic);
    server.plan(
        "POST",
        "/blobs/uploads/",
        1000,
        Fault::Header("Location", format!("{elsewhere}/v2/a/blobs/uploads/upload-0?_state=a%3Db")),
    );
    fails(&server, &["forgets uploads"]);
    assert!(!other.state().seen.is_empty());
    assert_eq!(other.authorized(), 0);
    // Redirects of every kind.
    for (method, path) in [("GET", "/blobs/"), ("HEAD", "/blobs/"), ("PUT", "/manifests/"), ("POST", "/uploads/")] {
        let server = Server::with_login(Login::Bearer(1000));
        let (client, _folder) = logged_in(&server, "dXNlcjpzZWNyZXQ=");
        let sample = Sample::new("redirect");
        if method == "GET" {
            sample.push(&client, &server, "team/app", "1").unwrap();
        }
        server.plan(method, path, 1000, Fault::Answer(307, vec![("Location", format!("{elsewhere}/x"))]));
        let large = sample.blobs.last().unwrap();
        let remote = Remote::parse(&server.name("team/app:1")).unwrap();
        let _ = sample.push(&client, &server, "team/app", "1");
        let _ = client.blob_bytes(&remote.repository, Digest::of(large), large.len() as u64);
    }
    assert!(other.seen("GET", "/x").len() + other.seen("PUT", "/x").len() > 1);
    assert_eq!(other.authorized(), 0);
    // Tokens from another host without TLS: it is not asked at all.
    let server = Server::with_login(Login::BearerFrom(format!("{elsewhere}/token")));
    let before = other.state().seen.len();
    fails(&server, &["E0607", "another server, without TLS", "no credentials were sent"]);
    assert_eq!(other.state().seen.len(), before);
}

#[test]
fn answers_that_lie() {
    // The digest of what was taken.
    let server = Server::new();
    server.plan("PUT", "/manifests/sha256", 1, Fault::Header("Docker-Content-Digest", Digest::of(b"x").to_string()));
    fails(&server, &["E0605", "was taken as"]);
    let server = Server::new();
    server.plan("PUT", "/blobs/", 1, Fault::Header("Docker-Content-Digest", Digest::of(b"x").to_string()));
    fails(&server, &["E0605", "was taken as"]);
    // A blob that is gone after it was taken: once is mended, for ever is told.
    let server = Server::new();
    server.plan("PUT", "/blobs/uploads/", 1, Fault::Forget);
    survives(&server);
    let server = Server::new();
    server.plan("PUT", "/blobs/uploads/", 1000, Fault::Forget);
    fails(&server, &["MANIFEST_BLOB_UNKNOWN"]);
    // One that is not seen for a while, as another client sends it at the same time: by manifests, then by a tag.
    for path in ["/manifests/sha256", "/manifests/1"] {
        let server = Server::new();
        server.plan("PUT", path, 3, Fault::Body(400, LOST.to_vec()));
        survives(&server);
        assert!(server.seen("HEAD", "/blobs/").len() > 4, "it was made sure that they are there");
    }
    // Reading.
    let server = Server::new();
    let (client, sample) = (anonymous(), Sample::new("lie"));
    sample.push(&client, &server, "a", "1").unwrap();
    let remote = Remote::parse(&server.name("a:1")).unwrap();
    let large = sample.blobs.last().unwrap();
    let blob = |client: &Client| client.blob_bytes(&remote.repository, Digest::of(large), large.len() as u64);
    for (fault, word) in [
        (Fault::Flip, "has the digest"),
        (Fault::Header("Content-Length", "999999999999".to_owned()), "has 999999999999 bytes"),
        (Fault::Header("Content-Length", "100000".to_owned()), "has the digest"),
    ] {
        server.plan("GET", "/blobs/", 1, fault);
        let told = text(&blob(&client).unwrap_err());
        assert!(told.contains("E0605") && told.contains(word), "{told}");
    }
    for (fault, word) in [
        (Fault::Flip, "E0605"),
        (Fault::Body(200, b"{\"schemaVersion\":2,\"layers\":[".to_vec()), "no JSON"),
        (Fault::Body(200, b"[]".to_vec()), "no JSON object"),
        (Fault::Body(200, vec![b' '; 5 << 20]), "more than 4194304 bytes"),
        (Fault::Header("Content-Length", "300000000".to_owned()), "more than 4194304 bytes"),
    ] {
        server.plan("GET", "/manifests/", 1, fault);
        let told = text(&client.manifest(&remote).unwrap_err());
        assert!(told.contains(word), "{told}");
    }
    assert!(text(&client.manifest(&remote.at(Digest::of(b"no"))).unwrap_err()).contains("E0603"));
}

#[test]
fn silence_is_cut_and_slowness_is_not() {
    let server = Server::new();
    let (client, sample) = (anonymous(), Sample::new("slow"));
    sample.push(&client, &server, "a", "1").unwrap();
    let to = Remote::parse(&server.name("a")).unwrap();
    let small = &sample.blobs[2];
    server.plan("GET", "/blobs/", 1, Fault::Slow(2, Duration::from_millis(120)));
    let started = Instant::now();
    assert!(client.blob_bytes(&to.repository, Digest::of(small), 1000).unwrap() == *small);
    assert!(started.elapsed() > Duration::from_millis(500), "longer than the limit on silence");
    server.plan("GET", "/blobs/", 2, Fault::Hang(Duration::from_secs(20)));
    assert!(client.blob_bytes(&to.repository, Digest::of(small), 1000).unwrap() == *small);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn tags_that_may_not_move() {
    let server = Server::new();
    let client = anonymous();
    let (one, two) = (Sample::new("one"), Sample::new("two"));
    one.push(&client, &server, "a", "1").unwrap();
    let to = Remote::parse(&server.name("a")).unwrap();
    client.push(&to.repository, &one.job(&["1"]), Rules::Keep).unwrap();
    let before = server.seen("PUT", "").len();
    let told = text(&client.push(&to.repository, &two.job(&["2", "1"]), Rules::Keep).unwrap_err());
    assert!(told.contains("E0608") && told.contains(&one.manifest.digest.to_string()), "{told}");
    assert_eq!(server.seen("PUT", "").len(), before, "nothing was sent");
    let pushed = client.push(&to.repository, &two.job(&["1"]), Rules::Move).unwrap();
    assert_eq!(pushed.tags[0].before, Some(one.manifest.digest));
}

#[test]
fn one_token_for_all_who_wait() {
    let server = Server::with_login(Login::Bearer(100_000));
    let (client, _folder) = logged_in(&server, "dXNlcjpzZWNyZXQ=");
    let (client, sample) = (Arc::new(client), Arc::new(Sample::new("tokens")));
    let to = Remote::parse(&server.name("a")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| client.has_blob(&to.repository, sample.manifest.digest).unwrap());
        }
    });
    assert_eq!(server.seen("GET", "/token").len(), 1);
    assert_eq!(server.seen("GET", "/token")[0].authorization.as_deref(), Some(BASIC));
    assert!(server.seen("GET", "/token")[0].query.contains("scope=repository:a:pull"));
}

#[test]
fn warnings_are_kept() {
    let server = Server::new();
    server.plan("HEAD", "/blobs/", 9, Fault::Header("Warning", "299 - \"this tag goes away\"".to_owned()));
    let client = anonymous();
    Sample::new("w").push(&client, &server, "a", "1").unwrap();
    assert_eq!(client.warnings(), ["`127.0.0.1` warns: this tag goes away"]);
    assert!(client.warnings().is_empty());
}

#[test]
fn a_registry_that_is_not_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let remote = Remote::parse(&format!("docker://{address}/a:1")).unwrap();
    let told = text(&anonymous().manifest(&remote).unwrap_err());
    assert!(told.contains("E0601") && told.contains("refuses the connection"), "{told}");
}

/// A referrer of a subject: a manifest with an empty configuration and one blob.
fn referrer(subject: &Document, word: &str) -> (Vec<u8>, Vec<u8>) {
    let blob = word.as_bytes().to_vec();
    let empty = json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::of(b"{}"), "size": 2 });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": format!("application/vnd.test.{}", word.len()),
        "config": empty,
        "layers": [{ "mediaType": "text/plain", "digest": Digest::of(&blob), "size": blob.len() }],
        "subject": { "mediaType": MANIFEST, "digest": subject.digest, "size": subject.bytes.len() },
        "annotations": { "word": word },
    });
    (manifest.to_string().into_bytes(), blob)
}

fn push_referrer(client: &Client, to: &Remote, subject: &Document, word: &str) -> Digest {
    let (manifest, blob) = referrer(subject, word);
    let blobs = vec![
        Blob { digest: Digest::of(b"{}"), size: 2, content: Content::Bytes(b"{}") },
        Blob { digest: Digest::of(&blob), size: blob.len() as u64, content: Content::Bytes(&blob) },
    ];
    client.push_referrer(&to.repository, &manifest, blobs).map_err(|error| panic!("{}", text(&error))).unwrap()
}

#[test]
fn referrers_are_listed_by_registries_and_under_tags() {
    for by_registry in [true, false] {
        let server = Server::new();
        server.state().referrers = by_registry;
        let (client, sample) = (anonymous(), Sample::new("subject"));
        sample.push(&client, &server, "a", "1").unwrap();
        let to = Remote::parse(&server.name("a")).unwrap();
        let subject = sample.manifest.digest;
        assert_eq!(client.referrers(&to.repository, subject, None).unwrap(), []);
        // Another client sends the same at the same time: the first answers are that something lacks.
        server.plan("PUT", "/manifests/sha256", 3, Fault::Body(400, LOST.to_vec()));
        let mut pushed: Vec<Digest> =
            ["one", "two", "three"].iter().map(|word| push_referrer(&client, &to, &sample.manifest, word)).collect();
        // Again: it is listed once.
        push_referrer(&client, &to, &sample.manifest, "one");
        pushed.sort();
        let found = client.referrers(&to.repository, subject, None).unwrap();
        assert_eq!(found.iter().map(|one| one.digest).collect::<Vec<_>>(), pushed);
        let of_type = client.referrers(&to.repository, subject, Some("application/vnd.test.5")).unwrap();
        assert_eq!(of_type.len(), 1);
        let tag = server.tag("a", &format!("sha256-{}", subject.hex()));
        assert_eq!(tag.is_none(), by_registry, "the tag is there where the registry keeps no list");
    }
}

#[test]
fn referrers_of_several_writers_are_all_listed() {
    for conditions in [true, false] {
        let server = Server::new();
        (server.state().referrers, server.state().conditions) = (false, conditions);
        let sample = Sample::new("subject");
        sample.push(&anonymous(), &server, "a", "1").unwrap();
        let to = Remote::parse(&server.name("a")).unwrap();
        // Each with a client of its own, as on several machines.
        std::thread::scope(|scope| {
            for writer in 0..6 {
                let (to, sample) = (&to, &sample);
                scope.spawn(move || {
                    let pace = Pace {
                        pause: Duration::from_millis(100),
                        longest: Duration::from_secs(1),
                        ..options(None).pace
                    };
                    let client = Client::new(Options { pace, ..options(None) }).unwrap();
                    push_referrer(&client, to, &sample.manifest, &format!("writer {writer}"))
                });
            }
        });
        let found = anonymous().referrers(&to.repository, sample.manifest.digest, None).unwrap();
        assert_eq!(found.len(), 6, "conditions: {conditions}");
    }
}

#[test]
fn a_copy_within_a_registry_moves_no_blob() {
    let server = Server::new();
    let sample = Sample::new("copied");
    sample.push(&anonymous(), &server, "one", "1").unwrap();
    let client = Arc::new(anonymous());
    let (from, to) = (Remote::parse(&server.name("one:1")).unwrap(), Remote::parse(&server.name("two:1")).unwrap());
    let store = open(&client, &from, tempfile::tempdir().unwrap()).unwrap();
    let push = Push { client: &client, rules: Rules::Move };
    let tags = ["1".to_owned()];
    let pushed = output::push_store(push, &store, Some(&from.repository), &to, &tags, &|_| Ok(Vec::new())).unwrap().0;
    assert_eq!((pushed.sent, pushed.mounted), ((0, 0), 4));
    assert_eq!(server.seen("GET", "/blobs/").len(), 0);
    sample.is_whole(&client, &server, "two", "1");
    // Into another registry: what that lacks is fetched, once.
    let other = Server::new();
    let to = Remote::parse(&other.name("three:1")).unwrap();
    let pushed = output::push_store(push, &store, Some(&from.repository), &to, &tags, &|_| Ok(Vec::new())).unwrap().0;
    assert_eq!(pushed.sent.0, 4);
    sample.is_whole(&client, &other, "three", "1");
}
