//! What a registry says when it does not do what it is asked, as an error: what was asked of whom, as whom, and the
//! registry's own words.

use serde::Deserialize;

use super::authorization::Scope;
use super::client::{Ask, Client, MOST_SAID, Registry, is_passing};
use super::transport::Response;
use super::{NOT_FOUND, REFUSED, UNAUTHORIZED};
use crate::report::{Diagnostic, Error};

/// The form of errors (distribution specification, "Error Codes").
#[derive(Deserialize, Default)]
#[serde(default)]
struct Errors {
    #[serde(rename = "errors")]
    list: Vec<One>,
    /// What servers of tokens say instead.
    details: String,
    error_description: String,
    message: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct One {
    code: String,
    message: String,
}

/// The registry's own words, in one line; empty when it says nothing.
pub(super) fn message(response: Response) -> String {
    said(response).1
}

/// The codes of the errors that it names, and its words.
pub(super) fn said(response: Response) -> (Vec<String>, String) {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    // What is cut off still says something.
    let _ = response.into_reader(MOST_SAID).read_to_end(&mut bytes);
    let errors: Errors = crate::oci::read(&bytes).unwrap_or_default();
    let codes = errors.list.iter().map(|one| one.code.clone()).collect();
    let mut words: Vec<String> = errors
        .list
        .iter()
        .map(|one| match (one.code.as_str(), one.message.as_str()) {
            ("", text) | (text, "") => text.to_owned(),
            (code, text) if code.eq_ignore_ascii_case(text) => text.to_owned(),
            (code, text) => format!("{text} ({code})"),
        })
        .chain([errors.details, errors.error_description, errors.message])
        .filter(|text| !text.is_empty())
        .collect();
    let is_page = bytes.trim_ascii_start().starts_with(b"<") || bytes.trim_ascii_start().starts_with(b"{");
    if words.is_empty() && !is_page {
        words.push(String::from_utf8_lossy(&bytes).trim().to_owned());
    }
    words.dedup();
    let text: String = words.join("; ").chars().take(400).collect();
    (codes, crate::path::show(text.lines().next().unwrap_or_default().as_bytes()))
}

/// What to do about a login that is missing or wrong.
pub(super) fn log_in(host: &str) -> String {
    format!(
        "`docker login {host}` or `podman login {host}` writes a login where it is found; `--creds-file FILE` names one"
    )
}

impl Client {
    /// The error for an answer that is a refusal.
    pub(super) fn refused(&self, registry: &Registry, ask: &Ask<'_>, response: Response) -> Error {
        let status = response.status;
        let words = message(response);
        self.refused_with(registry, ask.what, ask.method, &ask.url.to_string(), ask.scope, status, &words)
    }

    #[expect(clippy::too_many_arguments, reason = "each is a fact that the user is told")]
    pub(super) fn refused_with(
        &self,
        registry: &Registry,
        what: &str,
        method: &str,
        url: &str,
        scope: &Scope,
        status: u16,
        words: &str,
    ) -> Error {
        let host = scope.repository.registry();
        let words = if words.is_empty() { name(status).to_owned() } else { words.to_owned() };
        let code = match status {
            401 | 403 => UNAUTHORIZED,
            404 | 410 => NOT_FOUND,
            _ => REFUSED,
        };
        let verb = if code == NOT_FOUND { "can't" } else { "refuses to" };
        let tries = if is_passing(status) { format!(", {} times", self.pace.tries) } else { String::new() };
        let mut error = Diagnostic::error(code, format!("`{host}` {verb} {what}: {words}"))
            .note(format!("asked: `{method} {url}`, answered with {status}{tries}"));
        if let Ok(found) = self.login(registry, &scope.repository) {
            error = error.note(format!("credentials: {}", found.source));
        }
        if code == UNAUTHORIZED { error.help(log_in(host)).into() } else { error.into() }
    }
}

fn name(status: u16) -> &'static str {
    match status {
        301..=308 => "it sends on to another address",
        400 => "bad request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not found",
        405 => "not allowed",
        413 => "too large",
        429 => "too many requests",
        500 => "an error of its own",
        502..=504 => "not available now",
        _ => "it gives no reason",
    }
}
