//! Words of fixed sets: compression, verdicts, signals, capabilities; and the names of accounts, labels, variables.

use std::str::FromStr;

use super::{Invalid, Parsed, number, tick};
use crate::recipe::{Compression, Id, Isa, Links, SbomFormat, Verdict};

impl FromStr for Compression {
    type Err = Invalid;

    /// `zstd[:1-19]`, `gzip[:1-12]` or `none`.
    fn from_str(text: &str) -> Parsed<Self> {
        let (codec, level) = text.split_once(':').map_or((text, None), |(codec, level)| (codec, Some(level)));
        let within = |most: i64| match level {
            None => Ok(3),
            Some(level) => {
                level.parse().ok().and_then(|level| number::<i32>(level, 1, most, "").ok()).ok_or_else(|| {
                    Invalid::new(
                        format!("{} is not a level of {codec}", tick(level)),
                        format!("a number from 1 to {most}"),
                    )
                })
            }
        };
        match (codec, level) {
            ("zstd", _) => within(19).map(Compression::Zstd),
            ("gzip", _) => within(12).map(Compression::Gzip),
            ("none", None) => Ok(Compression::None),
            _ => {
                let label = "`zstd`, `zstd:19`, `gzip`, `gzip:9` or `none`";
                let meant = match codec {
                    "zst" | "zstandard" => "zstd",
                    "gz" | "zlib" | "deflate" => "gzip",
                    "no" | "off" | "false" | "store" | "uncompressed" => "none",
                    other => other,
                };
                Err(Invalid::new(format!("{} is not a compression", tick(text)), label)
                    .or_similar(meant, ["zstd", "gzip", "none"].into_iter()))
            }
        }
    }
}

/// What a rule of the policy does.
pub(in crate::recipe) fn verdict(text: &str) -> Parsed<Verdict> {
    match text {
        "allow" => Ok(Verdict::Allow),
        "warn" => Ok(Verdict::Warn),
        "deny" => Ok(Verdict::Deny),
        _ => Err(Invalid::new(format!("{} is not a verdict", tick(text)), "`allow`, `warn` or `deny`")
            .or_similar(text, ["allow", "warn", "deny"].into_iter())),
    }
}

/// glibc-hwcaps variants.
pub(in crate::recipe) fn reason(text: &str) -> Parsed<String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Invalid::new("a reason is empty", "say why, for whoever reads this next"));
    }
    Ok(text.to_owned())
}

pub(in crate::recipe) fn isa(text: &str) -> Parsed<Isa> {
    const LEVELS: [&str; 9] = ["x86-64-v2", "x86-64-v3", "x86-64-v4", "power9", "power10", "z13", "z14", "z15", "z16"];
    match text {
        "baseline" | "none" => Ok(Isa::Baseline),
        "all" => Ok(Isa::All),
        level if LEVELS.contains(&level) => Ok(Isa::Level(level.to_owned())),
        "host" => {
            Err(Invalid::new("`host` is not an `isa` of a recipe", "an image must not depend on where it was built"))
        }
        _ => Err(Invalid::new(format!("{} is not an `isa`", tick(text)), "`baseline`, `x86-64-v2` and on, or `all`")
            .or_similar(text, ["baseline", "all"].into_iter())),
    }
}

/// A file beside the recipe.
pub(in crate::recipe) fn vex(text: &str) -> Parsed<String> {
    if text.is_empty() || text.starts_with('/') || text.ends_with('/') || text.contains('\0') {
        let label = "a path relative to this file, as `web.openvex.json`";
        return Err(Invalid::new(format!("{} is no file beside the recipe", tick(text)), label));
    }
    Ok(text.to_owned())
}

/// A form of a bill of materials.
pub(in crate::recipe) fn sbom(text: &str) -> Parsed<SbomFormat> {
    match text {
        "spdx" => Ok(SbomFormat::Spdx),
        "cyclonedx" => Ok(SbomFormat::CycloneDx),
        _ => {
            let meant = match text {
                "spdx-json" | "spdx23" | "spdx-2.3" => "spdx",
                "cyclonedx-json" | "cdx" | "cyclone-dx" | "bom" => "cyclonedx",
                other => other,
            };
            Err(Invalid::new(format!("{} is no form of an SBOM", tick(text)), "`spdx` or `cyclonedx`")
                .or_similar(meant, ["spdx", "cyclonedx"].into_iter()))
        }
    }
}

/// What links in a copied folder become.
pub(in crate::recipe) fn links(text: &str) -> Parsed<Links> {
    match text {
        "keep" => Ok(Links::Keep),
        "follow" => Ok(Links::Follow),
        _ => Err(Invalid::new(format!("{} is not a value of `links`", tick(text)), "`keep` or `follow`")
            .or_similar(text, ["keep", "follow"].into_iter())),
    }
}

/// The names of Linux's signals from 1 on.
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// A signal by name or number; as `SIGQUIT`.
pub(in crate::recipe) fn signal(text: &str) -> Parsed<String> {
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    if let Ok(number) = text.parse::<usize>()
        && let Some(name) = number.checked_sub(1).and_then(|at| SIGNALS.get(at))
    {
        return Ok((*name).to_owned());
    }
    let real_time = |base: &str, sign: char, most: u8| {
        let rest = name.strip_prefix(base)?;
        let number = rest.strip_prefix(sign).and_then(|number| number.parse::<u8>().ok());
        (rest.is_empty() || number.is_some_and(|number| number <= most)).then_some(())
    };
    if SIGNALS.contains(&name.as_str()) || real_time("SIGRTMIN", '+', 30).or(real_time("SIGRTMAX", '-', 30)).is_some() {
        return Ok(name);
    }
    Err(Invalid::new(format!("{} is not a signal", tick(text)), "a name as `SIGTERM`")
        .or_similar_after("SIG", &name, &SIGNALS))
}

/// Linux's capabilities.
const CAPABILITIES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];

/// A capability; `NET_RAW` and `CAP_NET_RAW` are `cap_net_raw`.
pub(in crate::recipe) fn capability(text: &str) -> Parsed<String> {
    let lower = text.to_ascii_lowercase();
    let name = if lower.starts_with("cap_") { lower } else { format!("cap_{lower}") };
    if CAPABILITIES.contains(&name.as_str()) {
        return Ok(name);
    }
    Err(Invalid::new(format!("{} is not a capability", tick(text)), "a name as `cap_net_bind_service`")
        .or_similar_after("cap_", &name, &CAPABILITIES))
}

/// `name|uid[:group|gid]`.
pub(in crate::recipe) fn id_pair(text: &str) -> Parsed<(Id, Option<Id>)> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let invalid = || {
        Invalid::new(
            format!("{} is not an owner", tick(text)),
            "a user's name or number, perhaps with `:` and a group's",
        )
    };
    let user = id(user).ok_or_else(invalid)?;
    Ok((user, group.map(|group| id(group).ok_or_else(invalid)).transpose()?))
}

/// The largest number is the kernel's "no such one".
fn id(text: &str) -> Option<Id> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse::<u32>().ok().filter(|number| *number != u32::MAX).map(Id::Number);
    }
    account(text).ok().map(Id::Name)
}

/// The name of a user or a group, as it may stand in `/etc/passwd`.
pub(in crate::recipe) fn account(text: &str) -> Parsed<String> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
    if text.len() <= 32 && text.starts_with(begins) && text.bytes().all(inner) {
        return Ok(text.to_owned());
    }
    let label = "letters, digits, `_`, `-` and `.`, at most 32, beginning with a letter or `_`";
    Err(Invalid::new(format!("{} is not an account's name", tick(text)), label))
}

/// The key of a label or an annotation.
pub(in crate::recipe) fn label_key(text: &str) -> Parsed<()> {
    if !text.is_empty() && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'=' && b != b'"') {
        return Ok(());
    }
    Err(Invalid::new(
        format!("{} is not a label's key", tick(text)),
        "letters, digits and punctuation, as `org.example.title`",
    ))
}

/// The name of an environment variable.
pub(in crate::recipe) fn variable_of_environment(text: &str) -> Parsed<()> {
    if !text.is_empty() && !text.contains(['=', '\0']) && !text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Ok(());
    }
    Err(Invalid::new(format!("{} is not an environment variable's name", tick(text)), "no `=`, no spaces"))
}

/// `keep`, the only thing to say of the capabilities of copied files.
pub(in crate::recipe) fn keep(text: &str) -> Parsed<()> {
    match text {
        "keep" => Ok(()),
        _ => Err(Invalid::new(format!("{} is not a value of `capabilities`", tick(text)), "`keep`, or no such line")
            .help("`caps` of a binary sets capabilities")),
    }
}

/// An extra, as `tzdata`, `locale:C.UTF-8` or `!gconv`: whether it is taken away, its name, its argument.
pub(in crate::recipe) fn extra(text: &str) -> Parsed<(bool, String, Option<String>)> {
    let (removed, rest) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
    let (name, argument) = rest.split_once(':').map_or((rest, None), |(name, argument)| (name, Some(argument)));
    let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') && !name.is_empty();
    let is_argument =
        argument.is_none_or(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/'));
    if is_name && is_argument {
        return Ok((removed, name.to_owned(), argument.map(str::to_owned)));
    }
    let invalid = Invalid::new(format!("{} is not an extra", tick(text)), "a name as `tzdata`, or `locale:C.UTF-8`");
    Err(invalid.help("`mkimage extras` lists them"))
}

/// A word that is no way to spread files over layers.
pub(in crate::recipe) fn no_layers(text: &str) -> Invalid {
    Invalid::new(
        format!("{} is not a value of `layers`", tick(text)),
        "`auto`, `single`, `package` or a list of tables",
    )
    .or_similar(text, ["auto", "single", "package"].into_iter())
}
