//! Names: images and tags by the grammar of the OCI distribution specification, packages, libraries, layers.

use super::{Invalid, Parsed, tick};

/// An image's name without tag: `[domain[:port]/]component[/component]...`.
pub(in crate::recipe) fn image_name(text: &str) -> Parsed<String> {
    if let Some((_, rest)) = text.split_once("://") {
        return Err(
            Invalid::new(format!("{} is a URL, not an image's name", tick(text)), "a name has no scheme").write(rest)
        );
    }
    if let Some((name, _)) = text.split_once('@') {
        return Err(Invalid::new(format!("{} has a digest in it", tick(text)), "a name has none").write(name));
    }
    let last = text.rfind('/').map_or(0, |at| at + 1);
    if let Some((_, tag)) = text[last..].split_once(':') {
        let name = &text[..text.len() - tag.len() - 1];
        return Err(Invalid::new(format!("{} has a tag in it", tick(text)), "only the name stands here")
            .help(format!("the tag goes into `tags`: tags = [\"{tag}\"]"))
            .write(name));
    }
    let (domain, path) = match text.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
        _ => (None, text),
    };
    let invalid = |label: &str| Invalid::new(format!("{} is not an image's name", tick(text)), label);
    if text.len() > 255 {
        return Err(invalid("longer than 255 characters"));
    }
    if domain.is_some_and(|domain| !is_domain(domain)) {
        return Err(invalid("what stands before the first `/` is not a host"));
    }
    if path.split('/').all(is_component) {
        return Ok(text.to_owned());
    }
    let lower = format!("{}{}", &text[..text.len() - path.len()], path.to_lowercase());
    let invalid = invalid("lower case letters and digits, between them `.`, `_`, `__` or `-`, in parts divided by `/`");
    let repaired = lower != text && lower[text.len() - path.len()..].split('/').all(is_component);
    Err(if repaired { invalid.write(lower) } else { invalid })
}

/// `alpha-numeric [separator alpha-numeric]*`, the separators being `.`, `_`, `__` and any number of `-`.
fn is_component(part: &str) -> bool {
    let mut separator = String::new();
    for c in part.chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            separator.clear();
            continue;
        }
        separator.push(c);
        let begins = part.starts_with(&separator);
        let known = matches!(separator.as_str(), "." | "_" | "__") || separator.chars().all(|c| c == '-');
        if begins || !known {
            return false;
        }
    }
    separator.is_empty() && !part.is_empty()
}

/// A host's name or address, perhaps with a port.
fn is_domain(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_label = |part: &str| {
        let inner = part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        inner && !part.is_empty() && !part.starts_with('-') && !part.ends_with('-')
    };
    let is_address = |inner: &str| inner.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
    let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => !address.is_empty() && is_address(address),
        None => host.split('.').all(is_label),
    };
    host && port.is_none_or(|port| port.parse::<u16>().is_ok() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// A tag: at most 128 letters, digits, `_`, `.` and `-`, not beginning with one of the last two.
pub(in crate::recipe) fn tag(text: &str) -> Parsed<String> {
    let inner = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if inner && !text.is_empty() && text.len() <= 128 && !text.starts_with(['.', '-']) {
        return Ok(text.to_owned());
    }
    let repaired: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' }).collect();
    let label = "letters, digits, `_`, `.` and `-`, at most 128, beginning with a letter, a digit or `_`";
    let invalid = Invalid::new(format!("{} is not a tag", tick(text)), label);
    Err(if !inner && !repaired.starts_with(['.', '-']) && repaired.len() <= 128 {
        invalid.write(repaired)
    } else {
        invalid
    })
}

/// A package's name as Debian, Alpine and rpm have them.
pub(in crate::recipe) fn package(text: &str) -> Parsed<String> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_');
    if text.bytes().all(valid) && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.') {
        return Ok(text.to_owned());
    }
    let invalid =
        Invalid::new(format!("{} is not a package's name", tick(text)), "letters, digits, `+`, `-`, `.` and `_`");
    let name = text.split(['=', ':', '<', '>', '~']).next().unwrap_or_default();
    let invalid =
        if text.contains(['=', '<', '>']) { invalid.help("the version is the one that the root has") } else { invalid };
    Err(if name.bytes().all(valid) && !name.is_empty() { invalid.write(name) } else { invalid })
}

/// A library's name, as `libfoo.so.1`: one file name.
pub(in crate::recipe) fn soname(text: &str) -> Parsed<String> {
    if text.is_empty() || text.contains('/') || text.chars().any(char::is_control) {
        let name = text.rsplit('/').next().unwrap_or_default();
        let invalid =
            Invalid::new(format!("{} is not a library's name", tick(text)), "a name as `libfoo.so.1`, without folder");
        return Err(if name.is_empty() { invalid } else { invalid.write(name) });
    }
    Ok(text.to_owned())
}

/// A soname, or a path as a program writes it: `plugins/libx.so`, `/usr/lib/libx.so.1`.
pub(in crate::recipe) fn library_name(text: &str) -> Parsed<()> {
    let file = text.rsplit('/').next().unwrap_or(text);
    if file.is_empty() || file.chars().any(char::is_control) {
        return Err(Invalid::new(format!("`{}` names no library", crate::path::show(text.as_bytes())), "not a name"));
    }
    Ok(())
}

/// A layer's name.
pub(in crate::recipe) fn layer_name(text: &str) -> Parsed<String> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if text.bytes().all(valid) && !text.is_empty() && text.len() <= 64 {
        return Ok(text.to_owned());
    }
    Err(Invalid::new(format!("{} is not a layer's name", tick(text)), "letters, digits, `-`, `.` and `_`, at most 64"))
}

/// A variable's name.
pub(in crate::recipe) fn variable(text: &str) -> Parsed<()> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if text.bytes().all(valid) && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return Ok(());
    }
    Err(Invalid::new(
        format!("{} is not a variable's name", tick(text)),
        "letters, digits, `-` and `_`, beginning with a letter or `_`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_distribution_grammar() {
        for good in [
            "web",
            "localhost:5000/a/b",
            "registry.example/acme/base-cc",
            "a__b",
            "a--b",
            "[::1]:80/x",
            "Acme.example/x",
        ] {
            assert_eq!(image_name(good).as_deref(), Ok(good));
        }
        for bad in ["", "a_-b", "a___b", "-a", "a.", "a//b", "/a", "a/", "Web", "a..b", "x.example:p/y", "a b", "é"] {
            assert!(image_name(bad).is_err(), "{bad}");
        }
        let tagged = image_name("localhost:5000/web:1.0").unwrap_err();
        assert_eq!(tagged.write.as_deref(), Some("localhost:5000/web"));
        assert_eq!(
            image_name("registry.example/Acme/Web").unwrap_err().write.as_deref(),
            Some("registry.example/acme/web")
        );
        assert_eq!(tag("1.0+build").unwrap_err().write.as_deref(), Some("1.0-build"));
    }
}
