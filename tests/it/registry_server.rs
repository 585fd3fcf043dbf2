//! A registry inside the test: it does what a registry does, and goes wrong where a test says so.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use mkimage::oci::Digest;
use serde_json::{Value, json};

/// What a test makes go wrong.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Answers with a status and headers, and does nothing.
    Answer(u16, Vec<(&'static str, String)>),
    /// Answers with a status and a body.
    Body(u16, Vec<u8>),
    /// Reads this much of the request's body and closes; what was read of an upload is kept.
    CutRequest(usize),
    /// Does what is asked, and closes without an answer.
    LoseAnswer,
    /// Sends this much of the answer's body and closes.
    CutAnswer(usize),
    /// Says nothing for so long.
    Hang(Duration),
    /// Sends the body in pieces, with a pause between them.
    Slow(usize, Duration),
    /// Does what is asked, with another value of a header.
    Header(&'static str, String),
    /// Takes a blob, and has it no more.
    Forget,
    /// Gives other bytes.
    Flip,
}

/// What a registry says that lacks a blob.
pub(crate) const LOST: &[u8] = br#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#;

/// When: a method, a part of the path and query, how often.
#[derive(Debug, Clone)]
struct Planned {
    method: &'static str,
    path: &'static str,
    times: u32,
    fault: Fault,
}

/// How it wants to be told who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Login {
    #[default]
    None,
    /// `user:secret`.
    Basic,
    /// A token from its own `/token`, which is good for so many requests.
    Bearer(u32),
    /// A token from another place.
    BearerFrom(String),
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) authorization: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) received: usize,
    pub(crate) status: u16,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) blobs: BTreeMap<(String, String), Vec<u8>>,
    pub(crate) manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    uploads: BTreeMap<String, Vec<u8>>,
    tokens: BTreeMap<String, u32>,
    planned: Vec<Planned>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) login: Login,
    pub(crate) referrers: bool,
    /// Whether it says the state of a tag, and heeds what is said of it.
    pub(crate) conditions: bool,
    /// The most bytes of a blob's part that it gives at once; `None`: it knows no parts.
    pub(crate) parts: Option<usize>,
    next: u64,
}

/// The server. It ends with its process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// user:secret.
pub(crate) const BASIC: &str = "Basic dXNlcjpzZWNyZXQ=";

impl Server {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new(Mutex::new(State {
                referrers: true,
                conditions: true,
                parts: Some(usize::MAX),
                ..State::default()
            })),
        };
        let (state, address) = (Arc::clone(&server.state), server.address);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                stream.set_nodelay(true).unwrap();
                let state = Arc::clone(&state);
                std::thread::spawn(move || Connection { state, address, stream }.serve());
            }
        });
        server
    }

    pub(crate) fn with_login(login: Login) -> Self {
        let server = Self::new();
        server.state().login = login;
        server
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Makes the next requests of a method, whose path or query holds a text, go wrong.
    pub(crate) fn plan(&self, method: &'static str, path: &'static str, times: u32, fault: Fault) {
        self.state().planned.push(Planned { method, path, times, fault });
    }

    pub(crate) fn name(&self, rest: &str) -> String {
        format!("docker://{}/{rest}", self.address)
    }

    pub(crate) fn seen(&self, method: &str, path: &str) -> Vec<Seen> {
        self.state().seen.iter().filter(|seen| seen.method == method && seen.path.contains(path)).cloned().collect()
    }

    /// The digest that a tag has.
    pub(crate) fn tag(&self, repository: &str, tag: &str) -> Option<Digest> {
        self.state().manifests.get(&(repository.to_owned(), tag.to_owned())).map(|(_, bytes)| Digest::of(bytes))
    }

    /// How many requests came with credentials.
    pub(crate) fn authorized(&self) -> usize {
        self.state().seen.iter().filter(|seen| seen.authorization.is_some()).count()
    }
}

struct Connection {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    stream: TcpStream,
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    fn error(status: u16, code: &str, message: &str) -> Self {
        let body = json!({ "errors": [{ "code": code, "message": message }] }).to_string().into_bytes();
        Self { body, ..Self::new(status) }.with("Content-Type", "application/json")
    }

    fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), format!("{value}")));
        self
    }
}

struct Asked {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Connection {
    fn serve(self) {
        let mut reader = BufReader::new(self.stream.try_clone().unwrap());
        while self.one(&mut reader).unwrap_or(false) {}
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Whether another request may follow.
    fn one(&self, reader: &mut BufReader<TcpStream>) -> std::io::Result<bool> {
        let mut line = Vec::new();
        if reader.by_ref().take(8192).read_until(b'\n', &mut line)? == 0 {
            return Ok(false);
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        let words: Vec<&str> = line.split_whitespace().collect();
        let [method, target, "HTTP/1.1"] = words.as_slice() else {
            // As Go's server does when a client begins TLS.
            (&self.stream).write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
            return Ok(false);
        };
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
                None => break,
            };
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.replace("%3A", ":").replace("%2F", "/")));
        let length: usize = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
        let fault = self.fault(method, target);
        let wanted = match fault {
            Some(Fault::CutRequest(most)) => most.min(length),
            _ => length,
        };
        let mut body = Vec::new();
        reader.by_ref().take(wanted as u64).read_to_end(&mut body)?;
        let mut seen = Seen {
            method: (*method).to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            authorization: headers.get("authorization").cloned(),
            range: headers.get("range").or(headers.get("content-range")).cloned(),
            received: body.len(),
            status: 0,
        };
        let asked =
            Asked { method: (*method).to_owned(), path: path.to_owned(), query: pairs.collect(), headers, body };
        let answer = match &fault {
            Some(Fault::Answer(status, headers)) => {
                headers.iter().fold(Answer::new(*status), |answer, (name, value)| answer.with(name, value))
            }
            Some(Fault::Body(status, body)) => Answer { body: body.clone(), ..Answer::new(*status) },
            Some(Fault::CutRequest(_)) => {
                self.keep_cut(&asked);
                Answer::new(0)
            }
            _ => self.answer(&asked),
        };
        seen.status = answer.status;
        self.state.lock().unwrap().seen.push(seen);
        self.send(&asked, answer, fault.as_ref())
    }

    fn fault(&self, method: &str, target: &str) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        let fits = |plan: &&mut Planned| {
            plan.times > 0 && (plan.method == "*" || plan.method == method) && target.contains(plan.path)
        };
        let plan = state.planned.iter_mut().find(fits)?;
        plan.times -= 1;
        Some(plan.fault.clone())
    }

    fn send(&self, asked: &Asked, mut answer: Answer, fault: Option<&Fault>) -> std::io::Result<bool> {
        match fault {
            Some(Fault::CutRequest(_) | Fault::LoseAnswer) => return Ok(false),
            Some(Fault::Hang(time)) => {
                std::thread::sleep(*time);
                return Ok(false);
            }
            Some(Fault::Header(name, value)) => answer = answer.with(name, value),
            Some(Fault::Forget) => self.state.lock().unwrap().blobs.clear(),
            Some(Fault::Flip) => {
                if let Some(byte) = answer.body.first_mut() {
                    *byte ^= 1;
                }
            }
            _ => {}
        }
        let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
        if !answer.headers.iter().any(|(name, _)| name == "Content-Length") {
            head.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
        }
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        (&self.stream).write_all(head.as_bytes())?;
        if asked.method == "HEAD" {
            return Ok(true);
        }
        match fault {
            Some(Fault::CutAnswer(most)) => {
                (&self.stream).write_all(&answer.body[..(*most).min(answer.body.len())])?;
                return Ok(false);
            }
            Some(Fault::Slow(count, pause)) => {
                for piece in answer.body.chunks(*count) {
                    std::thread::sleep(*pause);
                    (&self.stream).write_all(piece)?;
                }
            }
            _ => (&self.stream).write_all(&answer.body)?,
        }
        Ok(true)
    }

    /// What came of an upload before it was cut stays.
    fn keep_cut(&self, asked: &Asked) {
        let mut state = self.state.lock().unwrap();
        let id = asked.path.rsplit('/').next().unwrap_or_default();
        if let Some(upload) = state.uploads.get_mut(id) {
            upload.extend(&asked.body);
        }
    }

    /// `None`: let in.
    fn gate(&self, asked: &Asked) -> Option<Answer> {
        let mut state = self.state.lock().unwrap();
        let given = asked.headers.get("authorization").cloned().unwrap_or_default();
        let realm = match state.login.clone() {
            Login::None => return None,
            Login::Basic if given == BASIC => return None,
            Login::Basic => {
                let answer = Answer::error(401, "UNAUTHORIZED", "authentication required");
                return Some(answer.with("WWW-Authenticate", "Basic realm=\"test\""));
            }
            Login::Bearer(_) => format!("http://{}/token", self.address),
            Login::BearerFrom(realm) => realm,
        };
        let token = given.strip_prefix("Bearer ").unwrap_or_default();
        match state.tokens.get_mut(token) {
            Some(left) if *left > 0 => {
                *left -= 1;
                None
            }
            _ => {
                let challenge = format!("Bearer realm=\"{realm}\",service=\"test\"");
                Some(Answer::error(401, "UNAUTHORIZED", "authentication required").with("WWW-Authenticate", challenge))
            }
        }
    }

    fn answer(&self, asked: &Asked) -> Answer {
        if asked.path == "/token" {
            let mut state = self.state.lock().unwrap();
            let Login::Bearer(uses) = state.login else { return Answer::new(404) };
            if asked.headers.get("authorization").is_some_and(|given| given != BASIC) {
                return Answer {
                    body: b"{\"details\":\"incorrect username or password\"}".to_vec(),
                    ..Answer::new(401)
                };
            }
            state.next += 1;
            let token = format!("token-{}", state.next);
            state.tokens.insert(token.clone(), uses);
            return Answer { body: json!({ "token": token }).to_string().into_bytes(), ..Answer::new(200) };
        }
        if let Some(answer) = self.gate(asked) {
            return answer;
        }
        let Some(rest) = asked.path.strip_prefix("/v2/") else { return Answer::new(404) };
        if rest.is_empty() {
            return Answer { body: b"{}".to_vec(), ..Answer::new(200) };
        }
        if let Some((repository, rest)) = rest.split_once("/blobs/uploads/") {
            return self.upload(asked, repository, rest);
        }
        if let Some((repository, digest)) = rest.split_once("/blobs/") {
            return self.blob(asked, repository, digest);
        }
        if let Some((repository, name)) = rest.split_once("/manifests/") {
            return self.manifest(asked, repository, name);
        }
        if let Some((repository, digest)) = rest.split_once("/referrers/") {
            return self.referrers(repository, digest);
        }
        Answer::new(404)
    }

    fn blob(&self, asked: &Asked, repository: &str, digest: &str) -> Answer {
        let state = self.state.lock().unwrap();
        let Some(bytes) = state.blobs.get(&(repository.to_owned(), digest.to_owned())) else {
            return Answer::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
        };
        let asked_for = |range: &String| -> Option<(usize, usize)> {
            let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
            let end = if end.is_empty() { bytes.len() } else { end.parse::<usize>().ok()? + 1 };
            Some((start.parse().ok()?, end.min(bytes.len())))
        };
        match asked.headers.get("range").and_then(asked_for).zip(state.parts) {
            Some(((start, _), _)) if start >= bytes.len() => Answer::new(416),
            Some(((start, end), most)) => {
                let end = end.min(start.saturating_add(most));
                let range = format!("bytes {start}-{}/{}", end - 1, bytes.len());
                Answer { body: bytes[start..end].to_vec(), ..Answer::new(206) }.with("Content-Range", range)
            }
            None => {
                let answer = Answer::new(200).with("Docker-Content-Digest", digest).with("Content-Length", bytes.len());
                Answer { body: bytes.clone(), ..answer }
            }
        }
    }

    fn upload(&self, asked: &Asked, repository: &str, id: &str) -> Answer {
        let mut state = self.state.lock().unwrap();
        let location = |id: &str| format!("/v2/{repository}/blobs/uploads/{id}?_state=a%3Db");
        if asked.method == "POST" {
            if let (Some(digest), Some(from)) = (asked.query.get("mount"), asked.query.get("from"))
                && let Some(bytes) = state.blobs.get(&(from.clone(), digest.clone())).cloned()
            {
                state.blobs.insert((repository.to_owned(), digest.clone()), bytes);
                return Answer::new(201).with("Location", format!("/v2/{repository}/blobs/{digest}"));
            }
            state.next += 1;
            let id = format!("upload-{}", state.next);
            state.uploads.insert(id.clone(), Vec::new());
            return Answer::new(202).with("Location", location(&id)).with("Range", "0-0");
        }
        if asked.query.get("_state").map(String::as_str) != Some("a%3Db") {
            return Answer::error(400, "BLOB_UPLOAD_INVALID", "the state is lost");
        }
        let Some(upload) = state.uploads.get_mut(id) else {
            return Answer::error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
        };
        let end = |upload: &Vec<u8>| format!("0-{}", upload.len().saturating_sub(1));
        match asked.method.as_str() {
            "GET" => Answer::new(204).with("Location", location(id)).with("Range", end(upload)),
            "PATCH" => {
                let start = asked.headers.get("content-range").and_then(|range| range.split('-').next()?.parse().ok());
                if start.is_some_and(|start: usize| start != upload.len()) {
                    return Answer::new(416).with("Location", location(id)).with("Range", end(upload));
                }
                upload.extend(&asked.body);
                Answer::new(202).with("Location", location(id)).with("Range", end(upload))
            }
            "PUT" => {
                upload.extend(&asked.body);
                let bytes = state.uploads.remove(id).unwrap_or_default();
                let digest = Digest::of(&bytes).to_string();
                if asked.query.get("digest") != Some(&digest) {
                    return Answer::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
                }
                state.blobs.insert((repository.to_owned(), digest.clone()), bytes);
                Answer::new(201)
                    .with("Docker-Content-Digest", &digest)
                    .with("Location", format!("/v2/{repository}/blobs/{digest}"))
            }
            "DELETE" => {
                state.uploads.remove(id);
                Answer::new(204)
            }
            _ => Answer::new(405),
        }
    }

    fn manifest(&self, asked: &Asked, repository: &str, name: &str) -> Answer {
        let mut state = self.state.lock().unwrap();
        let key = (repository.to_owned(), name.to_owned());
        if asked.method == "PUT" {
            let Ok(document) = serde_json::from_slice::<Value>(&asked.body) else {
                return Answer::error(400, "MANIFEST_INVALID", "manifest invalid");
            };
            for (digest, is_manifest) in named(&document) {
                let key = (repository.to_owned(), digest);
                let is_there =
                    if is_manifest { state.manifests.contains_key(&key) } else { state.blobs.contains_key(&key) };
                if !is_there {
                    return Answer::error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
                }
            }
            let digest = Digest::of(&asked.body).to_string();
            if name.contains(':') && name != digest {
                return Answer::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
            }
            let previous = state.manifests.get(&key).map(|(_, bytes)| format!("\"{}\"", Digest::of(bytes)));
            if asked.headers.get("if-match").is_some_and(|wanted| Some(wanted) != previous.as_ref()) {
                return Answer::new(412);
            }
            let kind = asked.headers.get("content-type").cloned().unwrap_or_default();
            let value = (kind, asked.body.clone());
            state.manifests.insert(key, value.clone());
            state.manifests.insert((repository.to_owned(), digest.clone()), value);
            let answer = Answer::new(201).with("Docker-Content-Digest", digest);
            return match document["subject"]["digest"].as_str().filter(|_| state.referrers) {
                Some(subject) => answer.with("OCI-Subject", subject),
                None => answer,
            };
        }
        match state.manifests.get(&key) {
            Some((kind, bytes)) => {
                let digest = Digest::of(bytes);
                let answer = Answer::new(200).with("Content-Type", kind).with("Docker-Content-Digest", digest);
                let answer = if state.conditions { answer.with("ETag", format!("\"{digest}\"")) } else { answer };
                Answer { body: bytes.clone(), ..answer }.with("Content-Length", bytes.len())
            }
            None => Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
        }
    }

    fn referrers(&self, repository: &str, subject: &str) -> Answer {
        let state = self.state.lock().unwrap();
        if !state.referrers {
            return Answer::new(404);
        }
        let (mut entries, mut listed) = (Vec::new(), BTreeSet::new());
        for ((own, _), (kind, bytes)) in &state.manifests {
            let document: Value = serde_json::from_slice(bytes).unwrap();
            let digest = Digest::of(bytes).to_string();
            if own == repository && document["subject"]["digest"] == subject && listed.insert(digest.clone()) {
                let artifact = document.get("artifactType").unwrap_or(&document["config"]["mediaType"]);
                entries.push(
                    json!({ "mediaType": kind, "digest": digest, "size": bytes.len(), "artifactType": artifact }),
                );
            }
        }
        let body =
            json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries });
        Answer { body: body.to_string().into_bytes(), ..Answer::new(200) }
            .with("Content-Type", "application/vnd.oci.image.index.v1+json")
    }
}

/// The digests that a manifest names, and whether they are manifests.
fn named(document: &Value) -> Vec<(String, bool)> {
    let digest = |entry: &Value| entry["digest"].as_str().unwrap_or_default().to_owned();
    let list = |key: &str| document[key].as_array().cloned().unwrap_or_default();
    let blobs = document.get("config").into_iter().cloned().chain(list("layers"));
    blobs
        .map(|entry| (digest(&entry), false))
        .chain(list("manifests").iter().map(|entry| (digest(entry), true)))
        .collect()
}
