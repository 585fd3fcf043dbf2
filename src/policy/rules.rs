//! The rules: what each is called, what it does when the recipe does not say, and what it is about.

use super::finding::Below;
use crate::recipe::{Policy, Verdict};
use crate::report::{Code, Span, Spanned};

/// A key of `[policy]`.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The key.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// What happens when an image breaks it and the recipe does not set it; for a limit, once it is set.
    pub default: Verdict,
    /// The code of its findings.
    pub code: Code,
    /// What it is about, in one line.
    pub about: &'static str,
    nouns: [&'static str; 2],
}

/// What the value of a key of `[policy]` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `"allow"`, `"warn"` or `"deny"`.
    Verdict,
    /// A limit, which holds once it is set.
    Limit,
}

/// All rules, in the order in which findings are told.
pub fn rules() -> &'static [&'static Rule] {
    &RULES
}

/// What a recipe's policy says of a rule, and where; the default when it says nothing. A floor below it can only make
/// it stricter.
pub fn verdict(policy: &Policy, rule: &Rule) -> (Verdict, Option<Span>) {
    let own = policy.rules.get(rule.name).map_or((rule.default, None), |set| (set.value, Some(set.span)));
    match policy.floor.as_ref().and_then(|floor| floor.policy.rules.get(rule.name)) {
        Some(floor) if floor.value > own.0 || own.1.is_none() && floor.value == own.0 => {
            (floor.value, Some(floor.span))
        }
        _ => own,
    }
}

/// What a floor below the recipe says of a rule by which something was found.
pub(super) fn below(policy: &Policy, rule: &Rule, found: Verdict) -> Below {
    let Some(floor) = &policy.floor else { return Below::Nothing };
    match floor.policy.rules.get(rule.name).filter(|set| set.value >= found) {
        None => Below::Nothing,
        Some(_) if floor.no_waivers.iter().any(|known| known.value == rule.name) => Below::Unwaived,
        Some(_) => Below::Asked,
    }
}

/// Whether the recipe, or a floor below it, sets a rule.
pub(super) fn is_set(policy: &Policy, rule: &Rule) -> bool {
    let floor = policy.floor.as_ref().is_some_and(|floor| floor.policy.rules.contains_key(rule.name));
    floor || policy.rules.contains_key(rule.name)
}

/// The stricter of a recipe's limit and a floor's.
pub(super) fn lower(policy: &Policy, limit: impl Fn(&Policy) -> Option<&Spanned<u64>>) -> Option<Spanned<u64>> {
    let floor = policy.floor.as_ref().and_then(|floor| limit(&floor.policy)).cloned();
    limit(policy).cloned().into_iter().chain(floor).min_by_key(|limit| limit.value)
}

/// What a recipe's list and a floor's say together.
pub(super) fn all<T: Clone>(policy: &Policy, list: impl Fn(&Policy) -> &[T]) -> Vec<T> {
    let floor = policy.floor.as_ref().map_or(&[][..], |floor| list(&floor.policy));
    list(policy).iter().chain(floor).cloned().collect()
}

/// The lists of what alone is allowed: of the recipe, and of a floor. What is allowed is in each of them.
pub(super) fn only<'p, T>(
    policy: &'p Policy,
    list: impl Fn(&'p Policy) -> Option<&'p Spanned<Vec<T>>>,
) -> Vec<&'p Spanned<Vec<T>>> {
    list(policy).into_iter().chain(policy.floor.as_ref().and_then(|floor| list(&floor.policy))).collect()
}

const fn rule(name: &'static str, default: Verdict, code: &'static str, about: &'static str) -> Rule {
    Rule { name, kind: Kind::Verdict, default, code: Code(code), about, nouns: ["file", "files"] }
}

const fn limit(name: &'static str, code: &'static str, about: &'static str) -> Rule {
    Rule { name, kind: Kind::Limit, default: Verdict::Deny, code: Code(code), about, nouns: ["file", "files"] }
}

impl Rule {
    /// What one and what several of the things that break it are called.
    const fn on(mut self, one: &'static str, several: &'static str) -> Self {
        self.nouns = [one, several];
        self
    }

    /// What it forbids, as `a shell`.
    pub(super) fn forbids(&self) -> String {
        let article = if self.nouns[0].starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        format!("{article} {}", self.nouns[0])
    }

    /// What one that breaks it is called, as `shell`.
    pub(super) fn one(&self) -> &'static str {
        self.nouns[0]
    }

    /// `1 shell`, `2 shells`.
    pub(super) fn counted(&self, count: usize) -> String {
        format!("{count} {}", self.nouns[usize::from(count != 1)])
    }
}

use Verdict::{Allow, Deny, Warn};

pub(super) static SHELL: Rule = rule(
    "shell",
    Deny,
    "E0301",
    "a shell or a link to one: sh bash dash ash ksh mksh zsh csh tcsh fish busybox toybox",
)
.on("shell", "shells");
pub(super) static SETUID: Rule = rule("setuid", Deny, "E0302", "a file with the setuid or setgid bit")
    .on("setuid or setgid file", "setuid or setgid files");
pub(super) static ROOT_USER: Rule = rule("root-user", Deny, "E0303", "the image runs as uid 0");
pub(super) static WORLD_WRITABLE: Rule = rule(
    "world-writable",
    Deny,
    "E0304",
    "a file or folder that everyone may write; folders with the sticky bit may be",
)
.on("world-writable path", "world-writable paths");
pub(super) static SECRETS: Rule = rule(
    "secrets",
    Deny,
    "E0305",
    "a private key, a password file, a `.git` folder; files of packages are not looked at",
)
.on("secret", "paths that look like secrets");
pub(super) static CAPABILITIES: Rule = rule("capabilities", Deny, "E0306", "a file with capabilities")
    .on("file with capabilities", "files with capabilities");
pub(super) static NO_PIE: Rule = rule(
    "no-pie",
    Warn,
    "E0307",
    "a program that is not position-independent; Go programs count when the recipe sets it",
)
.on("program without PIE", "programs without PIE");
pub(super) static PARTIAL_RELRO: Rule = rule(
    "partial-relro",
    Warn,
    "E0308",
    "a program or library without full RELRO; Go programs count when the recipe sets it",
)
.on("file without full RELRO", "files without full RELRO");
pub(super) static EXEC_STACK: Rule =
    rule("exec-stack", Warn, "E0309", "a program or library that asks for an executable stack")
        .on("file with an executable stack", "files with an executable stack");
pub(super) static UNOWNED: Rule =
    rule("unowned", Warn, "E0310", "a file of the root that no package owns, or not as its package installed it")
        .on("file that is no package's", "files that are no package's");
pub(super) static HOST_ROOT: Rule =
    rule("host-root", Warn, "E0311", "the root is the machine that builds; told by default only when CI is set");
pub(super) static MAX_SIZE: Rule = limit("max-size", "E0312", "the most bytes of the image, unpacked");
pub(super) static MAX_FILES: Rule = limit("max-files", "E0313", "the most files and links of the image");
pub(super) static DENY_FILES: Rule = limit("deny-files", "E0314", "globs of paths that must not be in the image");
pub(super) static DENY_PACKAGES: Rule =
    limit("deny-packages", "E0315", "packages of which no file may be in the image");
pub(super) static ALLOW_PACKAGES: Rule =
    limit("allow-packages", "E0316", "the only packages whose files may be in the image");
/// The closure finds what breaks this one.
pub static SYMBOL_VERSIONS: Rule =
    rule("symbol-versions", Deny, "E0317", "a program whose libraries lack a symbol version that it needs");
/// The closure finds what breaks this one.
pub static FOREIGN_ELF: Rule =
    rule("foreign-elf", Warn, "E0318", "an ELF file for another machine or another libc inside a copied folder");
/// A rule about libraries that objects name and the image does not have.
pub static DLOPEN: Rule =
    rule("dlopen", Allow, "E0319", "a library that a program seems to load by name and the recipe does not explain")
        .on("library that is named and not there", "libraries that are named and not there");
pub(super) static TEXTREL: Rule = rule(
    "textrel",
    Warn,
    "E0320",
    "a program or library whose code can be written to: text relocations, or a segment that is writable and executable",
)
.on("file with writable code", "files with writable code");
pub(super) static UNSAFE_RPATH: Rule =
    rule("unsafe-rpath", Warn, "E0321", "a program or library that looks for libraries where others may write: RPATH is relative, below /tmp or a home, or leads to a folder open to everyone")
        .on("file with an unsafe RPATH", "files with an unsafe RPATH");
/// A rule about stack protection.
pub static NO_CANARY: Rule = rule(
    "no-canary",
    Allow,
    "E0322",
    "a program or library without stack protection, as C compilers give it; Rust and Go have none",
)
.on("file without stack protection", "files without stack protection");

/// Judged when layers are packed.
pub(super) static MAX_DOWNLOAD: Rule = limit(
    "max-download",
    "E0350",
    "the most bytes of all layers, compressed as they are written; judged when they are packed",
);

pub(super) static DENY_LICENSES: Rule =
    limit("deny-licenses", "E0324", "licences that packages of the image must not need");
pub(super) static ALLOW_LICENSES: Rule =
    limit("allow-licenses", "E0325", "the only licences that packages of the image may need");

static RULES: [&Rule; 25] = [
    &SHELL,
    &SETUID,
    &ROOT_USER,
    &WORLD_WRITABLE,
    &SECRETS,
    &CAPABILITIES,
    &NO_PIE,
    &PARTIAL_RELRO,
    &EXEC_STACK,
    &UNOWNED,
    &HOST_ROOT,
    &MAX_SIZE,
    &MAX_FILES,
    &DENY_FILES,
    &DENY_PACKAGES,
    &ALLOW_PACKAGES,
    &SYMBOL_VERSIONS,
    &FOREIGN_ELF,
    &DLOPEN,
    &TEXTREL,
    &UNSAFE_RPATH,
    &NO_CANARY,
    &DENY_LICENSES,
    &ALLOW_LICENSES,
    &MAX_DOWNLOAD,
];
