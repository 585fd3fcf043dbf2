//! What a package's own record says of it beside its name: who maintains it, its home page, its licence.

use super::Package;

/// Whose format a package's record has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PackageFormat {
    /// dpkg's.
    Deb,
    /// apk's.
    Apk,
    /// rpm's.
    Rpm,
}

impl PackageFormat {
    /// The type that package URLs have.
    pub fn word(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Apk => "apk",
            Self::Rpm => "rpm",
        }
    }
}

impl Package {
    /// Who maintains it: a name, mostly with a mail address in angle brackets.
    pub fn maintainer(&self) -> Option<String> {
        self.field("Maintainer")
    }

    /// Its home page, when that is one.
    pub fn homepage(&self) -> Option<String> {
        let is_url = |text: &String| {
            let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            rest.is_some_and(|rest| {
                !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&byte))
            })
        };
        self.field("Homepage").filter(is_url)
    }

    /// Its licence, where the record has one; dpkg's has none.
    pub fn licence(&self) -> Option<String> {
        None
    }

    fn field(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(self.stanza().get(name)?).into_owned();
        (!text.is_empty() && !text.contains('\n')).then_some(text)
    }
}
