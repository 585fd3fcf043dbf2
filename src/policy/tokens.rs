//! Tokens of services, known by how they begin and are made, and names of variables that can only hold a secret.

use memchr::memmem;

/// How a token is made: what it begins with, which characters follow, and how many.
struct Form {
    start: &'static str,
    body: fn(u8) -> bool,
    /// Fewest and most.
    length: (usize, usize),
    what: &'static str,
}

const fn form(start: &'static str, body: fn(u8) -> bool, length: (usize, usize), what: &'static str) -> Form {
    Form { start, body, length, what }
}

const ANY: usize = 1 << 10;

static FORMS: [Form; 22] = [
    form("AKIA", upper, (16, 16), "an AWS access key"),
    form("ASIA", upper, (16, 16), "an AWS access key"),
    form("ghp_", alphanumeric, (36, 36), "a GitHub token"),
    form("gho_", alphanumeric, (36, 36), "a GitHub token"),
    form("ghu_", alphanumeric, (36, 36), "a GitHub token"),
    form("ghs_", alphanumeric, (36, 36), "a GitHub token"),
    form("ghr_", alphanumeric, (36, 76), "a GitHub token"),
    form("github_pat_", word, (82, 82), "a GitHub token"),
    form("glpat-", dashed, (20, 64), "a GitLab token"),
    form("gldt-", dashed, (20, 64), "a GitLab token"),
    form("glrt-", dashed, (20, 64), "a GitLab token"),
    form("glptt-", dashed, (40, 64), "a GitLab token"),
    form("xoxb-", dashed, (24, ANY), "a Slack token"),
    form("xoxp-", dashed, (24, ANY), "a Slack token"),
    form("xoxa-", dashed, (24, ANY), "a Slack token"),
    form("xapp-", dashed, (24, ANY), "a Slack token"),
    form("hooks.slack.com/services/T", slashed, (30, 100), "a Slack webhook"),
    form("npm_", alphanumeric, (36, 36), "an npm token"),
    form("pypi-AgEI", dashed, (60, ANY), "a PyPI token"),
    form("sk_live_", alphanumeric, (24, 247), "a Stripe key"),
    form("AIza", dashed, (35, 35), "a Google API key"),
    form("dckr_pat_", dashed, (27, 27), "a Docker Hub token"),
];

fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn dashed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_".contains(&byte)
}

fn slashed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'/'
}

/// What token is in a text. Examples of documentation and patterns that match tokens are none: their characters repeat,
/// or they say so.
pub(super) fn find(text: &[u8]) -> Option<&'static str> {
    FORMS.iter().find(|form| memmem::find_iter(text, form.start).any(|at| form.fits(text, at))).map(|form| form.what)
}

impl Form {
    fn fits(&self, text: &[u8], at: usize) -> bool {
        let before = at.checked_sub(1).is_some_and(|before| dashed(text[before]));
        let rest = &text[at + self.start.len()..];
        let length = rest.iter().take(self.length.1 + 1).take_while(|byte| (self.body)(**byte)).count();
        let body = &rest[..length];
        let ends = rest.get(length).is_none_or(|byte| !word(*byte));
        !before && ends && (self.length.0..=self.length.1).contains(&length) && is_random(body)
    }
}

/// Whether a text looks drawn by lot: many different characters, digits among them, and not an example.
fn is_random(body: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in body {
        seen[usize::from(*byte)] = true;
    }
    let distinct = seen.iter().filter(|seen| **seen).count();
    let example = [b"EXAMPLE".as_slice(), b"example", b"xxxx", b"XXXX", b"1234567890"];
    let says_so = example.iter().any(|word| memmem::find(body, word).is_some());
    distinct >= 9 && body.iter().any(u8::is_ascii_digit) && !says_so
}

/// Whether a variable of the environment can only hold a secret, and has one: `API_TOKEN`, `DB_PASSWORD`. The path of a
/// file that holds it, and what stands for none, are no secrets.
pub(super) fn names_secret(name: &str, value: &str) -> bool {
    const ENDS: [&str; 8] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "APIKEY", "API_KEY", "SECRET_KEY", "PRIVATE_KEY"];
    let name = name.to_ascii_uppercase();
    let ends = |end: &&str| name.strip_suffix(*end).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'));
    let nothing = ["", "none", "null", "true", "false", "yes", "no", "0", "1", "changeme"];
    let is_path = value.starts_with('/') || value.contains("://");
    ENDS.iter().any(ends) && !is_path && !nothing.contains(&value.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Put together here: a text that holds one whole would itself be found by scanners.
    fn token(start: &str, length: usize) -> String {
        let body: String = "a7Xq9LmZ2RtB4vKc8WdY1sHnU6jPgE3oF5iT0".chars().cycle().take(length).collect();
        format!("key = \"{start}{body}\"\n")
    }

    #[test]
    fn tokens_are_known_by_their_form() {
        for (start, length, what) in [
            ("ghp_", 36, "a GitHub token"),
            ("github_pat_", 82, "a GitHub token"),
            ("glpat-", 20, "a GitLab token"),
            ("npm_", 36, "an npm token"),
            ("xoxb-", 40, "a Slack token"),
            ("AIza", 35, "a Google API key"),
        ] {
            assert_eq!(find(token(start, length).as_bytes()), Some(what), "{start}");
        }
        assert_eq!(find(token("AKIA", 16).to_uppercase().replace("KEY", "key").as_bytes()), Some("an AWS access key"));
    }

    #[test]
    fn what_only_looks_like_a_token_is_none() {
        for text in [
            token("ghp_", 35),
            token("ghp_", 37),
            token("xghp_", 36),
            format!("ghp_{}", "x".repeat(36)),
            format!("ghp_{}", "0123456789".repeat(4)),
            "AKIAIOSFODNN7EXAMPLE".to_owned(),
            "regex: ghp_[A-Za-z0-9]{36}".to_owned(),
            "npm_config_registry_and_other_variables_here".to_owned(),
            "xoxb-your-token-goes-here-please".to_owned(),
        ] {
            assert_eq!(find(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn names_of_variables() {
        for (name, value) in
            [("API_TOKEN", "abc"), ("password", "hunter2"), ("DB_PASSWORD", "x y"), ("X_SECRET_KEY", "k")]
        {
            assert!(names_secret(name, value), "{name}");
        }
        for (name, value) in [
            ("API_TOKEN_FILE", "x"),
            ("DB_PASSWORD", "/run/secrets/db"),
            ("DB_PASSWORD", ""),
            ("TOKENIZER", "bpe"),
            ("USE_TOKEN", "true"),
            ("AUTHTOKENS", "x"),
        ] {
            assert!(!names_secret(name, value), "{name}={value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(text: Vec<u8>, start in 0..22_usize) {
            let _ = find(&[FORMS[start].start.as_bytes(), &text].concat());
        }
    }
}
