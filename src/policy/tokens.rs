//! Tokens of services, known by how they begin and are made, passwords in addresses, and names of variables that can
//! only hold a secret.

use memchr::memmem;

/// How a token is made: what it begins with, which characters follow, and how many.
struct Form {
    start: &'static str,
    body: fn(u8) -> bool,
    /// Fewest and most.
    length: (usize, usize),
    /// Whether one has digits, but for one in so many that none is taken for a word.
    digits: bool,
    what: &'static str,
}

const fn form(start: &'static str, body: fn(u8) -> bool, length: (usize, usize), what: &'static str) -> Form {
    Form { start, body, length, digits: true, what }
}

/// One that may have no digit: of AWS's base 32, one in thirty has none.
const fn letters(start: &'static str, length: usize, what: &'static str) -> Form {
    Form { start, body: upper, length: (length, length), digits: false, what }
}

const ANY: usize = 1 << 10;

static FORMS: [Form; 22] = [
    letters("AKIA", 16, "an AWS access key"),
    letters("ASIA", 16, "an AWS access key"),
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
    let known = FORMS.iter().find(|form| memmem::find_iter(text, form.start).any(|at| form.fits(text, at)));
    known.map(|form| form.what).or_else(|| has_aws_secret(text).then_some("an AWS secret key"))
}

/// Whether a line of settings, in whatever form, gives AWS's secret key a value: forty characters of Base64.
fn has_aws_secret(text: &[u8]) -> bool {
    const LENGTH: usize = 40;
    let begins = |name: &'static str| memmem::find_iter(text, name).map(move |at| at + name.len());
    begins("aws_secret_access_key").chain(begins("AWS_SECRET_ACCESS_KEY")).any(|end| {
        let blank = |byte: &&u8| b" \t\"'".contains(byte);
        let rest = &text[end..];
        let rest = &rest[rest.iter().take_while(blank).count()..];
        let Some(rest) = rest.strip_prefix(b"=").or_else(|| rest.strip_prefix(b":")) else { return false };
        let rest = &rest[rest.iter().take_while(blank).count()..];
        let base64 = |byte: &&u8| byte.is_ascii_alphanumeric() || b"/+".contains(byte);
        let length = rest.iter().take(LENGTH + 1).take_while(base64).count();
        length == LENGTH && is_random(&rest[..length], true)
    })
}

impl Form {
    fn fits(&self, text: &[u8], at: usize) -> bool {
        let before = at.checked_sub(1).is_some_and(|before| dashed(text[before]));
        let rest = &text[at + self.start.len()..];
        let length = rest.iter().take(self.length.1 + 1).take_while(|byte| (self.body)(**byte)).count();
        let body = &rest[..length];
        let ends = rest.get(length).is_none_or(|byte| !word(*byte));
        !before && ends && (self.length.0..=self.length.1).contains(&length) && is_random(body, self.digits)
    }
}

/// Whether a text looks drawn by lot: many different characters, digits among them where it has some, and not an
/// example.
fn is_random(body: &[u8], digits: bool) -> bool {
    let mut seen = [false; 256];
    for byte in body {
        seen[usize::from(*byte)] = true;
    }
    let distinct = seen.iter().filter(|seen| **seen).count();
    let example = [b"EXAMPLE".as_slice(), b"example", b"xxxx", b"XXXX", b"1234567890"];
    let says_so = example.iter().any(|word| memmem::find(body, word).is_some());
    distinct >= 9 && (!digits || body.iter().any(u8::is_ascii_digit)) && !says_so
}

/// Whether a variable of the environment can only hold a secret, and has one: `API_TOKEN`, `DB_PASSWORD`. The path of a
/// file that holds it, and what stands for none, are no secrets.
pub(super) fn names_secret(name: &str, value: &str) -> bool {
    const ENDS: [&str; 11] = [
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "SECRET",
        "TOKEN",
        "APIKEY",
        "API_KEY",
        "ACCESS_KEY",
        "SECRET_KEY",
        "SECRET_KEY_BASE",
        "PRIVATE_KEY",
    ];
    /// Alone they are something else, as `PWD`.
    const BEHIND: [&str; 3] = ["_PASS", "_PWD", "_PAT"];
    let name = name.to_ascii_uppercase();
    let ends = |end: &&str| name.strip_suffix(*end).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'));
    let is_path = value.starts_with('/') || value.contains("://");
    (ENDS.iter().any(ends) || BEHIND.iter().any(|end| name.ends_with(end))) && !is_path && !stands_for_none(value)
}

/// Whether an address in a text holds a password: `scheme://user:password@host`.
pub(super) fn has_password_in_url(text: &str) -> bool {
    text.match_indices("://").any(|(at, separator)| {
        let named = text[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
        let rest = &text[at + separator.len()..];
        let ends = |c: char| matches!(c, '/' | '?' | '#' | '"' | '\'' | '\\') || c.is_whitespace();
        let authority = rest.split(ends).next().unwrap_or_default();
        let password = authority.rsplit_once('@').and_then(|(user, _)| Some(user.split_once(':')?.1));
        named && password.is_some_and(|password| !stands_for_none(password))
    })
}

/// Whether a value is no secret, but says that there is none, or where one belongs: `${PASSWORD}`, `<password>`, `***`.
fn stands_for_none(value: &str) -> bool {
    const NONE: [&str; 10] = ["", "none", "null", "true", "false", "yes", "no", "0", "1", "changeme"];
    const EXAMPLES: [&str; 6] = ["change-me", "change_me", "example", "placeholder", "your-", "your_"];
    let value = value.trim().to_ascii_lowercase();
    let mut bytes = value.bytes();
    let first = bytes.next();
    let second = bytes.next();
    let is_variable = match first {
        Some(b'$') => second.is_some_and(|byte| byte.is_ascii_alphabetic() || b"{(_$".contains(&byte)),
        // `%s` and `%(x)s`; `%40` is an `@`.
        Some(b'%') => second.is_some_and(|byte| !byte.is_ascii_hexdigit()) || value.len() > 2 && value.ends_with('%'),
        Some(b'{') => value.ends_with('}'),
        Some(b'<') => value.ends_with('>'),
        _ => false,
    };
    let is_one_byte = value.len() > 1 && value.bytes().all(|byte| Some(byte) == first);
    NONE.contains(&value.as_str()) || is_variable || is_one_byte || EXAMPLES.iter().any(|word| value.contains(word))
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
        assert_eq!(find(["AKIA", "QWZRTYPSDFGHJKLM"].concat().as_bytes()), Some("an AWS access key"));
        let value = token("", 40).split('"').nth(1).map(str::to_owned).unwrap_or_default();
        for line in [
            format!("aws_secret_access_key = {value}\n"),
            format!("[s3]\r\naws_secret_access_key={value}\r\n"),
            format!("export AWS_SECRET_ACCESS_KEY='{value}'"),
            format!("{{\"aws_secret_access_key\": \"{value}\"}}"),
        ] {
            assert_eq!(find(line.as_bytes()), Some("an AWS secret key"), "{line}");
        }
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
            "AKIAAAAAAAAAAAAAAAAA".to_owned(),
            "THEAKIASHIPOFTHELINEXY".to_owned(),
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            "aws_secret_access_key=os.environ['AWS_SECRET_ACCESS_KEY']".to_owned(),
            "aws_secret_access_key = ${AWS_SECRET_ACCESS_KEY}".to_owned(),
            "regex: ghp_[A-Za-z0-9]{36}".to_owned(),
            "npm_config_registry_and_other_variables_here".to_owned(),
            "xoxb-your-token-goes-here-please".to_owned(),
        ] {
            assert_eq!(find(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn names_of_variables() {
        for (name, value) in [
            ("API_TOKEN", "abc"),
            ("password", "hunter2"),
            ("DB_PASSWORD", "x y"),
            ("X_SECRET_KEY", "k"),
            ("AWS_SECRET_ACCESS_KEY", "abc"),
            ("SMTP_PASS", "abc"),
            ("DB_PWD", "a$b"),
            ("KEY_PASSPHRASE", "abc"),
            ("GITHUB_PAT", "abc"),
            ("SECRET_KEY_BASE", "abc"),
        ] {
            assert!(names_secret(name, value), "{name}");
        }
        for (name, value) in [
            ("API_TOKEN_FILE", "x"),
            ("DB_PASSWORD", "/run/secrets/db"),
            ("DB_PASSWORD", ""),
            ("TOKENIZER", "bpe"),
            ("USE_TOKEN", "true"),
            ("AUTHTOKENS", "x"),
            ("PWD", "here"),
            ("OLDPWD", "there"),
            ("PASS", "x"),
            ("BUILD_PWD", "/src"),
            ("COMPASS", "north"),
            ("AWS_ACCESS_KEY_ID", "x"),
            ("DB_PASSWORD", "${DB_PASSWORD}"),
            ("DB_PASSWORD", "$DB_PASSWORD"),
            ("DB_PASSWORD", "<password>"),
            ("DB_PASSWORD", "{{ password }}"),
            ("DB_PASSWORD", "****"),
            ("DB_PASSWORD", "your-password-here"),
        ] {
            assert!(!names_secret(name, value), "{name}={value}");
        }
    }

    #[test]
    fn passwords_in_addresses() {
        for text in [
            "postgres://app:hunter2@db:5432/app?sslmode=require",
            "--url=amqps://u:p%40ss@mq",
            "redis://:hunter2@cache/0",
            "a http://x.example b https://u:hunter2@y.example",
        ] {
            assert!(has_password_in_url(text), "{text}");
        }
        for text in [
            "postgres://app@db/app",
            "postgres://app:@db/app",
            "postgres://app:${DB_PASSWORD}@db/app",
            "postgres://app:$PASSWORD@db/app",
            "postgres://app:<password>@db/app",
            "postgres://%s:%s@%s/app",
            "postgres://{user}:{password}@{host}/app",
            "postgres://app:***@db",
            "http://x.example:8080/a@b",
            "http://[::1]:8080/",
            "https://x.example/?mail=a:b@c",
            "http://a https://b:80/c@d",
        ] {
            assert!(!has_password_in_url(text), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(text: Vec<u8>, start in 0..22_usize) {
            let _ = find(&[FORMS[start].start.as_bytes(), &text].concat());
        }
    }
}
