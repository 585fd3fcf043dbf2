//! What a package's own record says of it beside its name: who maintains it, its home page, its licence.

use super::Package;
use crate::{apk, rpm};

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
        self.field("Maintainer", b'm', |header| header.vendor().map(str::to_owned))
    }

    /// Its home page, when that is one.
    pub fn homepage(&self) -> Option<String> {
        let is_url = |text: &String| {
            let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&byte);
            rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_plain))
        };
        self.field("Homepage", b'U', |header| header.url().map(str::to_owned)).filter(is_url)
    }

    /// Its licence, where the record has one; dpkg's has none.
    pub fn licence(&self) -> Option<String> {
        self.field("License", b'L', |header| header.licence().map(str::to_owned))
    }

    fn field(&self, deb: &str, apk: u8, rpm: fn(rpm::Header<'_>) -> Option<String>) -> Option<String> {
        let text = match self.format {
            PackageFormat::Deb => String::from_utf8_lossy(self.stanza().get(deb)?).into_owned(),
            PackageFormat::Apk => apk::Package(self.record()).field(apk)?.to_owned(),
            PackageFormat::Rpm => rpm(rpm::Header::parse(self.record())?)?,
        };
        (!text.is_empty() && !text.contains('\n')).then_some(text)
    }
}
