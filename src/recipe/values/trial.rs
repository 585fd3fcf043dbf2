//! What the tests of a recipe say: one line, regular expressions, what HTTP sends.

use super::{Invalid, Parsed, tick};

/// A text of one line that is not empty.
pub(in crate::recipe) fn line(text: &str) -> Parsed<String> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err(Invalid::new(format!("{} says nothing in one line", tick(text)), "one line of text"));
    }
    Ok(text.to_owned())
}

/// A regular expression, checked.
pub(in crate::recipe) fn regular_expression(text: &str) -> Parsed<String> {
    match regex::RegexBuilder::new(text).multi_line(true).build() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let invalid = Invalid::new(format!("{} is not a regular expression", tick(text)), why);
            Err(if text.contains('\u{8}') {
                invalid.help("in double quotes TOML reads \\b itself: use single quotes")
            } else {
                invalid
            })
        }
    }
}

/// What stands after the host in a URL.
pub(in crate::recipe) fn request_path(text: &str) -> Parsed<String> {
    if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    let invalid = Invalid::new(format!("{} is not the path of a request", tick(text)), "as `/path?query`");
    let relative = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains("://");
    Err(if relative { invalid.write(format!("/{text}")) } else { invalid })
}

/// The name of a header field.
pub(in crate::recipe) fn header_name(text: &str) -> Parsed<()> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_token) {
        return Ok(());
    }
    Err(Invalid::new(format!("{} is not the name of a header field", tick(text)), "as `content-type`"))
}

pub(in crate::recipe) fn not_a_tcp_port(text: &str) -> Invalid {
    let invalid = Invalid::new(format!("{} is not a TCP port", tick(text)), "a number from 1 to 65535");
    match text.strip_suffix("/tcp") {
        Some(number) => invalid.write(number),
        None => invalid,
    }
}
