//! Platforms: OCI's words, other words for them, and what Debian and the kernel call their machines.

use std::fmt;
use std::str::FromStr;

use super::{Invalid, Parsed, tick};
use crate::recipe::Platform;

/// Go's GOARCH, other names for it, the kernel's name of the machine, Debian's multiarch tuple.
const ARCHITECTURES: [(&str, &[&str], &str, &str); 9] = [
    ("amd64", &["x86_64", "x86-64"], "x86_64", "x86_64-linux-gnu"),
    ("arm64", &["aarch64"], "aarch64", "aarch64-linux-gnu"),
    ("arm", &["armhf", "armel"], "armv7l", "arm-linux-gnueabihf"),
    ("386", &["i386", "i486", "i586", "i686", "x86"], "i686", "i386-linux-gnu"),
    ("ppc64le", &["ppc64el", "powerpc64le"], "ppc64le", "powerpc64le-linux-gnu"),
    ("riscv64", &["riscv64gc"], "riscv64", "riscv64-linux-gnu"),
    ("s390x", &[], "s390x", "s390x-linux-gnu"),
    ("mips64le", &["mips64el"], "mips64", "mips64el-linux-gnuabi64"),
    ("loong64", &["loongarch64"], "loongarch64", "loongarch64-linux-gnu"),
];

/// Variants that images are made for.
const VARIANTS: [(&str, &str); 10] = [
    ("amd64", "v2"),
    ("amd64", "v3"),
    ("amd64", "v4"),
    ("arm", "v5"),
    ("arm", "v6"),
    ("arm", "v7"),
    ("arm", "v8"),
    ("arm64", "v9"),
    ("arm64", "v8.1"),
    ("arm64", "v8.2"),
];

impl FromStr for Platform {
    type Err = Invalid;

    /// Normalises as containerd does: `linux/aarch64` and `linux/arm64/v8` are `linux/arm64`, `linux/arm` is v7.
    fn from_str(text: &str) -> Parsed<Self> {
        let label = "as `linux/amd64` or `linux/arm/v7`";
        let invalid = || Invalid::new(format!("{} is not a platform", tick(text)), label);
        let mut parts = text.split('/');
        let (os, architecture, variant) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let Some(written) = architecture else {
            return Err(if find(os).is_some() { invalid().write(format!("linux/{os}")) } else { invalid() });
        };
        if parts.next().is_some() {
            return Err(invalid());
        }
        if os != "linux" {
            return Err(Invalid::new(
                format!("{} is not a platform of this program", tick(text)),
                "images are for `linux`",
            ));
        }
        let names = ARCHITECTURES.iter().map(|entry| entry.0);
        let Some((architecture, _, _, _)) = find(written) else {
            let set = names.map(|name| format!("linux/{name}")).collect::<Vec<_>>();
            return Err(invalid().or_similar(text, set.iter().map(String::as_str)));
        };
        let variant = match (*architecture, variant.or(implied(written))) {
            ("arm", None) => Some("v7"),
            (_, None) | ("amd64", Some("v1")) | ("arm64", Some("v8")) => None,
            (name, Some(variant)) if VARIANTS.contains(&(name, variant)) => Some(variant),
            (name, Some(_)) => {
                return Err(Invalid::new(
                    format!("{} has an unknown variant", tick(text)),
                    format!("`linux/{name}` has no such one"),
                ));
            }
        };
        Ok(Self { os: os.to_owned(), architecture: (*architecture).to_owned(), variant: variant.map(str::to_owned) })
    }
}

/// The variant that Debian's name of an architecture means.
fn implied(written: &str) -> Option<&'static str> {
    (written == "armel").then_some("v5")
}

fn find(name: &str) -> Option<&'static (&'static str, &'static [&'static str], &'static str, &'static str)> {
    ARCHITECTURES.iter().find(|(architecture, others, _, _)| *architecture == name || others.contains(&name))
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl Platform {
    /// Whether what is for a platform of this name is for `other`, too: for the same one, or for every variant of it.
    pub(in crate::recipe) fn holds_for(&self, other: &Self) -> bool {
        let is_general = self.variant.is_none() && self.os == other.os && self.architecture == other.architecture;
        self == other || is_general
    }

    /// The level of x86-64 processors that its variant stands for, as `x86-64-v3`.
    pub fn isa(&self) -> Option<String> {
        let variant = self.variant.as_ref().filter(|_| self.architecture == "amd64")?;
        Some(format!("x86-64-{variant}"))
    }

    /// The platform of the machine that this program was built for.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "powerpc64" => "ppc64le",
            "mips64" => "mips64le",
            name => name,
        };
        let architecture = find(architecture).map_or(architecture, |entry| entry.0).to_owned();
        let variant = (architecture == "arm").then(|| String::from("v7"));
        Self { os: String::from("linux"), architecture, variant }
    }
}

/// What `uname -m` says there.
pub(in crate::recipe) fn machine(platform: &Platform) -> String {
    match (platform.architecture.as_str(), platform.variant.as_deref()) {
        ("arm", Some(variant @ ("v5" | "v6"))) => format!("arm{variant}l"),
        (name, _) => find(name).map_or(name, |entry| entry.2).to_owned(),
    }
}

/// Debian's multiarch tuple.
pub(in crate::recipe) fn multiarch(platform: &Platform) -> String {
    match (platform.architecture.as_str(), platform.variant.as_deref()) {
        ("arm", Some("v5" | "v6")) => String::from("arm-linux-gnueabi"),
        (name, _) => find(name).map_or_else(|| format!("{name}-linux-gnu"), |entry| entry.3.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_as_containerd() {
        let shown = |text: &str| text.parse::<Platform>().map(|platform| platform.to_string());
        for (written, normal) in [
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v5"),
            ("linux/i386", "linux/386"),
        ] {
            assert_eq!(shown(written).as_deref(), Ok(normal));
        }
        assert_eq!(shown("amd64").unwrap_err().write.as_deref(), Some("linux/amd64"));
        assert_eq!(shown("linux/amd46").unwrap_err().write.as_deref(), Some("linux/amd64"));
        assert!(
            ["", "linux", "linux/", "windows/amd64", "linux/amd64/v9", "linux/s390x/v1", "a/b/c/d"]
                .iter()
                .all(|text| shown(text).is_err())
        );
    }
}
