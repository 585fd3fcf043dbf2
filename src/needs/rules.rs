//! The table of rules: the files of `rules/` in, typed rules out.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::bringing::{Add, Around, Directory, Follow};
use super::template::{Pattern, Template};
use super::{Family, Level};

/// The rules, in the order in which they apply.
pub(super) static TABLE: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let files = FILES.iter().map(|text| toml::from_str::<Table>(text).expect("a test reads every file of the table"));
    files.flat_map(|table| table.rule).collect()
});

/// The table's files, in their order.
const FILES: [&str; 5] = [
    include_str!("rules/system.toml"),
    include_str!("rules/plugins.toml"),
    include_str!("rules/languages.toml"),
    include_str!("rules/services.toml"),
    include_str!("rules/desktop.toml"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    rule: Vec<Rule>,
}

/// One rule, which is one extra.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Rule {
    /// The extra's name.
    pub(super) name: String,
    /// Other words for it that people write.
    #[serde(default)]
    pub(super) also: Vec<String>,
    /// How much it matters, unless the trigger says otherwise.
    pub(super) level: Level,
    /// What it brings, in one line.
    pub(super) about: String,
    /// What goes wrong without it.
    pub(super) note: String,
    /// What may stand after the extra's name and a colon.
    #[serde(default)]
    pub(super) argument: Argument,
    /// The package to install when the root has nothing, by family.
    #[serde(default)]
    pub(super) packages: BTreeMap<Family, String>,
    /// What it brings beyond [`Rule::add`].
    pub(super) builtin: Option<Builtin>,
    /// The only C library that it is for, and why the other does without.
    pub(super) only: Option<Only>,
    /// Objects that make it superfluous.
    #[serde(default)]
    pub(super) unless_soname: Vec<Pattern>,
    /// Why it may bring nothing though the recipe asks; without it that is an error.
    pub(super) nothing: Option<String>,
    /// Conditions: any of them sets it off.
    #[serde(default)]
    pub(super) when: Vec<When>,
    /// Folders whose names are compiled into an object.
    #[serde(default)]
    pub(super) directory: Vec<Directory>,
    /// What it brings.
    #[serde(default)]
    pub(super) add: Vec<Add>,
    /// Configuration that names more.
    #[serde(default)]
    pub(super) follow: Vec<Follow>,
}

/// What may stand after an extra's name and a colon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Argument {
    /// Nothing.
    #[default]
    None,
    /// `full`, or nothing.
    Full,
    /// A name, always.
    Name,
}

/// What a rule does that is no list of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Builtin {
    /// One CA bundle and the links that lead to it. The paths of `add` are the names by which programs know the bundle.
    Certificates,
    /// Locales by name.
    Locale,
    /// The modules that the image's nsswitch.conf names.
    Nsswitch,
    /// The services of PAM that programs ask for, and the modules that those name.
    Pam,
    /// The keystore of the Java runtime in `{home}`.
    Keystore,
    /// What libraries inside of the image's jars need.
    Jars,
    /// What the image has of FIPS modules is named.
    Fips,
    /// The first program of `add`, with links by the names of its applets.
    Busybox,
    /// The first program of `add` as ldconfig, and the libraries that Python code looks for.
    #[serde(rename = "find-library")]
    FindLibrary,
}

/// The only C library that a rule is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Only {
    /// The library.
    pub(super) libc: LibcName,
    /// Why the other does without.
    pub(super) because: String,
}

/// A C library by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LibcName {
    /// glibc.
    Glibc,
    /// musl.
    Musl,
}

/// One condition: `subject` and whatever else it says must hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct When {
    /// How much the rule matters then.
    pub(super) level: Option<Level>,
    /// An object is asked for by such a name, or has it as its soname.
    #[serde(default)]
    pub(super) soname: Vec<Pattern>,
    /// An object imports one of these symbols.
    #[serde(default)]
    pub(super) imports: Vec<String>,
    /// With `imports`: and one of these too.
    #[serde(default)]
    pub(super) and_imports: Vec<String>,
    /// With `imports`: which objects count.
    #[serde(default, rename = "in")]
    pub(super) within: Within,
    /// With `imports`: objects that do not count, by soname.
    #[serde(default)]
    pub(super) except: Vec<Pattern>,
    /// A program or library of the image has such a path.
    #[serde(default)]
    pub(super) program: Vec<Pattern>,
    /// A script is run by such a program.
    #[serde(default)]
    pub(super) interpreter: Vec<Pattern>,
    /// A program holds this text.
    #[serde(default)]
    pub(super) string: Vec<Around>,
    /// The image has this file.
    #[serde(default)]
    pub(super) file: Vec<Template>,
    /// With any of them: unless the image has one of these.
    #[serde(default)]
    pub(super) unless_file: Vec<Template>,
    /// The recipe's `TZ` names a time zone.
    #[serde(default)]
    pub(super) zone: bool,
    /// A Python file of the recipe looks for libraries by `ctypes.util.find_library`.
    #[serde(default)]
    pub(super) find_library: bool,
    /// The image's C library is glibc and older than this.
    pub(super) glibc_before: Option<Version>,
}

/// Which objects count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Within {
    /// All.
    #[default]
    Objects,
    /// Programs, not the libraries that they load.
    Programs,
}

/// A version of glibc, as `2.34`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Version(pub(super) u32, pub(super) u32);

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        parts.map(|(major, minor)| Self(major, minor)).ok_or_else(|| format!("`{text}` is no version"))
    }
}

impl Rule {
    /// Whether what it brings is the same whatever the image holds.
    pub(super) fn looks_at_the_root_alone(&self) -> bool {
        self.directory.is_empty()
            && self.follow.is_empty()
            && !matches!(self.builtin, Some(Builtin::Nsswitch | Builtin::Pam))
            && self.add.iter().all(Add::looks_at_the_root_alone)
    }
}

impl When {
    /// The condition in words, with its level where that is not the rule's.
    pub(super) fn describe(&self, usual: Level) -> String {
        let patterns = |patterns: &[Pattern]| patterns.iter().map(Pattern::text).collect::<Vec<_>>().join(", ");
        let mut parts = Vec::new();
        for (verb, list) in [
            ("links", patterns(&self.soname)),
            ("imports", self.imports.join(", ")),
            ("and one of", self.and_imports.join(", ")),
            ("the image has", patterns(&self.program)),
            ("a script is run by", patterns(&self.interpreter)),
            ("a program names", self.string.iter().map(Around::shown).collect::<Vec<_>>().join(", ")),
            ("the image has", self.file.iter().map(Template::text).collect::<Vec<_>>().join(", ")),
        ] {
            if !list.is_empty() {
                parts.push(format!("{verb} {list}"));
            }
        }
        if !self.unless_file.is_empty() {
            let files: Vec<&str> = self.unless_file.iter().map(Template::text).collect();
            parts.push(format!("and the image has no {}", files.join(", ")));
        }
        if self.zone {
            parts.push("the recipe's TZ names a time zone".to_owned());
        }
        if self.find_library {
            parts.push("Python code of the recipe calls find_library".to_owned());
        }
        if let Some(Version(major, minor)) = self.glibc_before {
            parts.push(format!("with glibc before {major}.{minor}"));
        }
        match self.level.filter(|level| *level != usual) {
            Some(level) => format!("{} ({level})", parts.join(" ")),
            None => parts.join(" "),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_sound() {
        let mut names = BTreeSet::new();
        for rule in TABLE.iter() {
            assert!(names.insert(rule.name.as_str()), "two rules `{}`", rule.name);
            assert!(rule.level == Level::Optional || !rule.when.is_empty(), "`{}` never applies", rule.name);
            for directory in &rule.directory {
                assert_eq!(directory.ways(), 1, "{}: {{{}}}", rule.name, directory.name);
            }
            for when in &rule.when {
                let subjects = [
                    !when.soname.is_empty(),
                    !when.imports.is_empty(),
                    !when.program.is_empty(),
                    !when.interpreter.is_empty(),
                    !when.string.is_empty(),
                    !when.file.is_empty(),
                    when.find_library,
                    when.zone,
                ];
                assert_eq!(subjects.iter().filter(|&&has| has).count(), 1, "`{}` wants one subject", rule.name);
            }
            let known: BTreeSet<_> = rule.directory.iter().map(|directory| directory.name.as_str()).collect();
            let templates = |add: &Add| [add.copy.clone(), add.load.clone()].concat();
            for template in rule.add.iter().flat_map(templates) {
                for folder in template.folders() {
                    assert!(folder == "libdir" || known.contains(folder), "{}: {{{folder}}}", rule.name);
                }
            }
        }
    }
}
