//! `docker-credential-NAME get`: a program that keeps logins, as Docker starts it. Its output is never shown.

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
/// The most that it may answer.
const MOST_BYTES: u64 = 64 << 10;

/// What it says.
pub(super) enum Answer {
    /// It keeps nothing for the registry.
    None,
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
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("can't be started: {}", plain(&error)))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read ends in its own way.
        let _ = writeln!(stdin, "{server}");
    }
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut said = Vec::new();
            let read = stdout.take(MOST_BYTES + 1).read_to_end(&mut said);
            // Nobody waits any longer when the time is over.
            let _ = sender.send(read.map(|_| said));
        });
    }
    let said = receiver.recv_timeout(patience);
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
    if !status.success() {
        let is_absent = said.windows(21).any(|part| part == b"credentials not found");
        return if is_absent { Ok(Answer::None) } else { Err(format!("fails ({status})")) };
    }
    let reply: Reply = crate::oci::read(&said).map_err(|_| "answers with something else than a login".to_owned())?;
    Ok(if reply.secret.is_empty() {
        Answer::None
    } else {
        Answer::Login { user: reply.username, secret: reply.secret }
    })
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
            Answer::None => Ok(None),
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
        for (script, name, why) in [
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
