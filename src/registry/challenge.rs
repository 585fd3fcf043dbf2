//! `WWW-Authenticate`: how a registry wants to be told who asks (RFC 9110, section 11.6.1).

/// A way of a registry's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token, which another address gives.
    Bearer {
        /// That address.
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

impl Challenge {
    /// The best of all ways that the values of the header name: a token before a password.
    pub(super) fn best<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let all: Vec<Self> = headers.flat_map(parse).collect();
        let bearer = all.iter().find(|challenge| matches!(challenge, Self::Bearer { .. }));
        bearer.or(all.first()).cloned()
    }
}

/// The challenges of one header that are known here.
fn parse(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = header.trim_start_matches([' ', ',']);
    while let Some((scheme, after)) = word(rest) {
        let mut parameters = Vec::new();
        rest = after;
        while let Some((name, value, after)) = parameter(rest) {
            parameters.push((name.to_ascii_lowercase(), value));
            rest = after;
        }
        let value = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        if scheme.eq_ignore_ascii_case("basic") {
            found.push(Challenge::Basic);
        } else if let Some(realm) = value("realm").filter(|_| scheme.eq_ignore_ascii_case("bearer")) {
            found.push(Challenge::Bearer { realm, service: value("service"), scope: value("scope") });
        }
        // What is neither a parameter nor a scheme is passed over, so that the loop ends.
        rest = rest.trim_start_matches(|c: char| c == ',' || c == ' ' || !(c.is_ascii_alphanumeric() || c == '-'));
    }
    found
}

fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// `name=value` or `name="value"`, after blanks and commas.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = word(text.trim_start_matches([' ', ',']))?;
    let rest = rest.strip_prefix('=')?;
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find([',', ' ']).unwrap_or(rest.len());
        return Some((name, rest[..end].to_owned(), &rest[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((name, value, &quoted[at + 1..])),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(header: &str) -> Option<Challenge> {
        Challenge::best(std::iter::once(header))
    }

    #[test]
    fn headers_of_registries() {
        let bearer = |scope: Option<&str>| Challenge::Bearer {
            realm: "https://auth.example/token".to_owned(),
            service: Some("registry.example".to_owned()),
            scope: scope.map(str::to_owned),
        };
        let header =
            r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a:pull,push""#;
        assert_eq!(best(header), Some(bearer(Some("repository:a:pull,push"))));
        let header =
            r#"Basic realm="x, Bearer y=z", bearer Realm="https://auth.example/token" , service=registry.example"#;
        assert_eq!(best(header), Some(bearer(None)));
        assert_eq!(best(r#"Basic realm="a \"b\"""#), Some(Challenge::Basic));
        assert_eq!(best("basic"), Some(Challenge::Basic));
        for bad in ["", "Bearer", "Bearer realm=\"unended", "Negotiate abc==", ",,,", "=\"", "Bearer service=\"x\""] {
            assert_eq!(best(bad), None, "{bad}");
        }
    }
}
