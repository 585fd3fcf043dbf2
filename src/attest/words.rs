//! What both forms of SBOM say of packages in the same words: package URLs, suppliers, source packages, paths.

use super::names::Purl;
use crate::needs::Distribution;
use crate::source::ownership::{Package, PackageFormat};

/// The words of one distribution.
pub(super) struct Words {
    /// Its ID, as `debian`.
    id: String,
    /// Its ID and version, as `debian-12`.
    distro: String,
    /// What a person calls it.
    name: String,
}

impl Words {
    pub(super) fn of(distribution: Option<&Distribution>) -> Self {
        let Some(distribution) = distribution else {
            return Self { id: "linux".to_owned(), distro: String::new(), name: "Linux".to_owned() };
        };
        let version = distribution.version_id.as_ref().map(|version| format!("-{version}")).unwrap_or_default();
        Self {
            id: distribution.id.clone(),
            distro: format!("{}{version}", distribution.id),
            name: distribution.name.clone(),
        }
    }

    /// The package URL, with the source package that advisories name.
    pub(super) fn purl(&self, package: &Package) -> String {
        let source = &package.source_package;
        let upstream = if package.format == PackageFormat::Rpm {
            format!("{}-{}.src.rpm", source.name, source.version)
        } else {
            Self::upstream(package)
        };
        let (epoch, version) = match (package.format, package.version.split_once(':')) {
            (PackageFormat::Rpm, Some((epoch, version))) => (epoch, version),
            _ => ("", package.version.as_str()),
        };
        let qualifiers = [
            ("arch", package.architecture.as_str()),
            ("distro", &self.distro),
            ("epoch", epoch),
            ("upstream", &upstream),
        ];
        let kind = package.format.word();
        Purl { kind, namespace: &self.id, name: &package.name, version, qualifiers: &qualifiers }.to_string()
    }

    /// The source package where it is called or counted otherwise.
    fn upstream(package: &Package) -> String {
        let source = &package.source_package;
        match (source.name == package.name, source.version == package.version) {
            (true, true) => String::new(),
            (false, true) => source.name.clone(),
            (_, false) => format!("{}@{}", source.name, source.version),
        }
    }

    /// Who supplies a package: its maintainer, or else the distribution.
    pub(super) fn publisher(&self, package: &Package) -> String {
        package.maintainer().unwrap_or_else(|| self.name.clone())
    }

    /// As [`Words::publisher`], in SPDX's form.
    pub(super) fn supplier(&self, package: &Package) -> String {
        supplier_words(&self.publisher(package))
    }
}

/// `Name <mail>` as `Organization: Name (mail)`. Parentheses would be read as those of a mail address.
pub(super) fn supplier_words(text: &str) -> String {
    let (name, mail) = text.split_once('<').map_or((text, None), |(name, rest)| (name, rest.split('>').next()));
    let name: String = name.chars().filter(|c| !"()".contains(*c) && !c.is_control()).collect();
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let name = if name.is_empty() { "unknown".to_owned() } else { name };
    match mail.map(str::trim).filter(|mail| mail.contains('@') && !mail.contains(['(', ')', ' '])) {
        Some(mail) => format!("Organization: {name} ({mail})"),
        None => format!("Organization: {name}"),
    }
}

/// The source package in the words of Trivy, which takes it from nowhere else.
pub(super) fn source_properties(package: &Package, distribution: Option<&Distribution>) -> Vec<(&'static str, String)> {
    let distro = distribution.map_or("linux", |distribution| distribution.id.as_str());
    let source = &package.source_package;
    let (epoch, version) = source.version.split_once(':').unwrap_or(("", &source.version));
    let (version, release) = match package.format {
        PackageFormat::Apk => (version, ""),
        PackageFormat::Deb | PackageFormat::Rpm => version.rsplit_once('-').unwrap_or((version, "")),
    };
    let all = [
        ("aquasecurity:trivy:PkgType", distro.to_owned()),
        ("aquasecurity:trivy:SrcName", source.name.clone()),
        ("aquasecurity:trivy:SrcVersion", version.to_owned()),
        ("aquasecurity:trivy:SrcRelease", release.to_owned()),
        ("aquasecurity:trivy:SrcEpoch", epoch.to_owned()),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}
