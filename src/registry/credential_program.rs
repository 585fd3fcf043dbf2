//! `docker-credential-NAME get`: a program that keeps logins, as Docker starts it. Its output is never shown, what it
//! says on standard error is.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde::Deserialize;

use crate::report::plain;

/// How long it may take: a person may have to unlock something.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long is waited for what it says of a failure, once it has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The most that it may answer.
const MOST_BYTES: u64 = 64 << 10;

/// What it says.
pub(super) enum Answer {
    /// It keeps nothing for the registry; and what it says beside that.
    None(String),
    /// Name and password; a name of `<token>` means an identity token.
    Login { user: String, secret: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks the program of that name for a registry. The error completes "`docker-credential-NAME` ...".
pub(super) fn ask(name: &str, server: &str, search_path: &OsStr) -> Result<Answer, String> {
    ask_within(PATIENCE, name, server, search_path)
}

fn ask_within(patience: Duration, name: &str, server: &str, search_path: &OsStr) -> Result<Answer, String> {
    // The name becomes a part of a path, and the server a line of what the program reads (CVE-2020-5260).
    let is_word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !is_word || name.starts_with('.') {
        return Err("has a name that is none of a program".to_owned());
    }
    if server.chars().any(char::is_control) {
        return Err("can't be asked: the registry's name has control characters".to_owned());
    }
    let program = find(name, search_path).ok_or("is not on PATH")?;
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("can't be started: {}", plain(&error)))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read ends in its own way.
        let _ = writeln!(stdin, "{server}");
    }
    let told = child.stderr.take().map(listen);
    let receiver = child.stdout.take().map(listen);
    let said = match receiver {
        Some(receiver) => receiver.recv_timeout(patience),
        None => Ok(Ok(Vec::new())),
    };
    if said.is_err() {
        // It may have ended by itself just now.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| format!("can't be waited for: {}", plain(&error)))?;
    let said = match said {
        Ok(Ok(said)) => said,
        Ok(Err(error)) => return Err(format!("can't be read: {}", plain(&error))),
        Err(_) => return Err(format!("does not answer within {} s", patience.as_secs())),
    };
    // What it leaves behind may keep its standard error open.
    let told = told.and_then(|told| told.recv_timeout(LAST_WORDS).ok()).and_then(Result::ok).unwrap_or_default();
    let told = first_line(&told);
    if !status.success() {
        let is_absent = |text: &[u8]| text.windows(21).any(|part| part == b"credentials not found");
        if is_absent(&said) {
            return Ok(Answer::None(told));
        }
        let told = if told.is_empty() { String::new() } else { format!(": {told}") };
        return Err(format!("fails ({status}){told}"));
    }
    let reply: Reply = crate::oci::read(&said).map_err(|_| "answers with something else than a login".to_owned())?;
    Ok(if reply.secret.is_empty() {
        Answer::None(told)
    } else {
        Answer::Login { user: reply.username, secret: reply.secret }
    })
}

/// Reads to the end, beside what else is done.
fn listen(stream: impl Read + Send + 'static) -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut said = Vec::new();
        let read = stream.take(MOST_BYTES + 1).read_to_end(&mut said);
        // Nobody waits any longer when the time is over.
        let _ = sender.send(read.map(|_| said));
    });
    receiver
}

/// The first line that says something, not too long.
fn first_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line: String =
        text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().chars().take(200).collect();
    crate::path::show(line.as_bytes())
}

fn find(name: &str, search_path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(search_path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(format!("docker-credential-{name}")))
        .find(|path| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn asked(script: &str, name: &str, patience: Duration) -> Result<Option<(String, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker-credential-test");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        match ask_within(patience, name, "registry.example", folder.path().as_os_str())? {
            Answer::None(said) => Ok(Some((String::new(), said)).filter(|(_, said)| !said.is_empty())),
            Answer::Login { user, secret } => Ok(Some((user, secret))),
        }
    }

    #[test]
    fn answers_and_failures() {
        let long = Duration::from_secs(30);
        let login = asked(
            r#"read server; echo "{\"ServerURL\":\"x\",\"Username\":\"$1\",\"Secret\":\"$server\"}""#,
            "test",
            long,
        );
        assert_eq!(login, Ok(Some(("get".to_owned(), "registry.example".to_owned()))));
        assert_eq!(asked("echo credentials not found in native keychain; exit 1", "test", long), Ok(None));
        let said = asked("echo credentials not found; echo >&2; echo no session of ann >&2; exit 1", "test", long);
        assert_eq!(said, Ok(Some((String::new(), "no session of ann".to_owned()))));
        for (script, name, why) in [
            ("echo the secret; echo no keyring >&2; exit 2", "test", "fails (exit status: 2): no keyring"),
            ("echo the secret; exit 2", "test", "fails (exit status: 2)"),
            ("echo the secret", "test", "answers with something else than a login"),
            ("exit 0", "../test", "has a name that is none of a program"),
            ("exit 0", "other", "is not on PATH"),
        ] {
            assert_eq!(asked(script, name, long), Err(why.to_owned()));
        }
        assert_eq!(
            asked("exec sleep 60", "test", Duration::from_millis(50)),
            Err("does not answer within 0 s".to_owned())
        );
    }
}
