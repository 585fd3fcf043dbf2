//! A recipe as text, one fact a line with the place that says it; what a recipe leaves to its default is left out.

use std::fmt::{self, Write as _};

use super::{
    Account, Binary, Compression, Config, Destination, Directory, Extra, File, FileSource, Id, Isa, Layers, Links,
    Mtime, Origin, Owner, Policy, Recipe, Root, Symlink, Verdict,
};
use crate::path::show;
use crate::report::{Span, Spanned, Texts};

/// The facts of a recipe.
pub fn describe(recipe: &Recipe, texts: &Texts) -> String {
    let mut facts = Facts { texts, lines: String::new() };
    facts.say("name", &recipe.name.value, recipe.name.span);
    facts.each("tag", &recipe.tags);
    if let Root::Folder(folder, span) = &recipe.root {
        facts.say_some("root", folder.display(), *span);
    }
    if let Some(platform) = &recipe.platform {
        facts.say("platform", &platform.value, platform.span);
    }
    match &recipe.isa {
        Isa::Baseline => {}
        Isa::Level(level) => facts.say_some("isa", level, None),
        Isa::All => facts.say_some("isa", "all", None),
    }
    recipe.binaries.iter().for_each(|binary| facts.binary(binary));
    for library in &recipe.libraries {
        facts.say("library", Inherited(&library.from.value, library.inherited), library.from.span);
    }
    facts.each("ignore-missing", &recipe.ignore_missing);
    facts.each("ignore-dangling", &recipe.ignore_dangling);
    recipe.files.iter().for_each(|file| facts.file(file));
    facts.each("package", &recipe.packages);
    recipe.dirs.iter().for_each(|dir| facts.directory(dir));
    facts.each("writable", &recipe.writable);
    facts.each("mount", &recipe.mounts);
    if let Some(span) = recipe.init {
        facts.say("init", "true", span);
    }
    recipe.symlinks.iter().for_each(|link| facts.symlink(link));
    for extra in &recipe.extras {
        facts.say("extra", extra, extra.name.span);
    }
    for origin in &recipe.certificates.add {
        facts.say("certificate", &origin.value, origin.span);
    }
    if recipe.certificates.only {
        facts.say_some("certificates", "only", None);
    }
    facts.accounts(recipe);
    facts.config(&recipe.config);
    facts.layers(&recipe.layers);
    if let Some(compression) = &recipe.compression {
        facts.say("compression", compression.value, compression.span);
    }
    for format in &recipe.sbom {
        facts.say_some("sbom", format.word(), None);
    }
    if recipe.provenance {
        facts.say_some("provenance", true, None);
    }
    for vex in &recipe.vex {
        let name = vex.file_name().unwrap_or_default().to_string_lossy().into_owned();
        facts.say("vex", name, vex.span);
    }
    facts.policy(&recipe.policy);
    facts.lines
}

struct Facts<'t> {
    texts: &'t Texts,
    lines: String,
}

impl Facts<'_> {
    fn say(&mut self, key: &str, value: impl fmt::Display, span: Span) {
        self.say_some(key, value, Some(span));
    }

    fn say_some(&mut self, key: &str, value: impl fmt::Display, span: Option<Span>) {
        let place = span.map(|span| format!("  {}", self.texts.place(span))).unwrap_or_default();
        let value = show(value.to_string().as_bytes());
        let _ = writeln!(self.lines, "{key} {value}{place}");
    }

    fn each<T: fmt::Display>(&mut self, key: &str, values: &[Spanned<T>]) {
        for value in values {
            self.say(key, &value.value, value.span);
        }
    }

    fn binary(&mut self, binary: &Binary) {
        let mut text = Inherited(&binary.from.value, binary.inherited).to_string();
        let caps = joined(&binary.caps);
        let dlopen = joined(&binary.dlopen);
        put(&mut text, "->", binary.to.as_ref().map(|to| &to.value));
        put(&mut text, "mode", binary.mode.as_ref().map(|mode| format!("{:04o}", mode.value)));
        put(&mut text, "owner", binary.owner.as_ref().map(|owner| &owner.value));
        put(&mut text, "caps", caps);
        put(&mut text, "dlopen", dlopen);
        put(&mut text, "layer", binary.layer.as_ref().map(|layer| &layer.value));
        self.say("binary", text, binary.span);
    }

    fn file(&mut self, file: &File) {
        let mut text = match &file.source {
            FileSource::Copied(from) => from.value.to_string(),
            FileSource::Text(text) => format!("{:?}", text.value),
        };
        put(&mut text, "depth", Some(file.depth).filter(|depth| *depth > 0));
        put(&mut text, "->", file.to.as_ref().map(|to| &to.value));
        put(&mut text, "exclude", joined(&file.exclude));
        put(&mut text, "mode", file.mode.as_ref().map(|mode| format!("{:04o}", mode.value)));
        put(&mut text, "dir-mode", file.dir_mode.as_ref().map(|mode| format!("{:04o}", mode.value)));
        put(&mut text, "owner", file.owner.as_ref().map(|owner| &owner.value));
        match file.mtime {
            Mtime::Constant => {}
            Mtime::Unix(seconds) => put(&mut text, "mtime", Some(seconds)),
            Mtime::Content => put(&mut text, "mtime", Some("content")),
        }
        put(&mut text, "links", Some("follow").filter(|_| file.links == Links::Follow));
        put(&mut text, "optional", Some(true).filter(|_| file.optional));
        put(&mut text, "libs", Some(false).filter(|_| !file.libs));
        put(&mut text, "capabilities", Some("keep").filter(|_| file.keep_capabilities.is_some()));
        put(&mut text, "layer", file.layer.as_ref().map(|layer| &layer.value));
        self.say("file", text, file.span);
    }

    fn directory(&mut self, dir: &Directory) {
        let mut text = Inherited(&dir.path.value, dir.inherited).to_string();
        put(&mut text, "mode", dir.mode.as_ref().map(|mode| format!("{:04o}", mode.value)));
        put(&mut text, "owner", dir.owner.as_ref().map(|owner| &owner.value));
        self.say("dir", text, dir.path.span);
    }

    fn symlink(&mut self, link: &Symlink) {
        let mut text = format!("{} -> {}", link.path.value, show(&link.target.value));
        put(&mut text, "depth", Some(link.depth).filter(|depth| *depth > 0));
        self.say("symlink", text, link.path.span);
    }

    fn accounts(&mut self, recipe: &Recipe) {
        if recipe.user.span.is_some() {
            let owner = Owner { user: recipe.user.user.clone(), group: recipe.user.group.clone() };
            self.say_some("user", owner, recipe.user.span);
        }
        for Account { name, uid, gid, home, shell, groups } in &recipe.users {
            let mut text = format!("{} uid {uid}", name.value);
            put(&mut text, "gid", *gid);
            put(&mut text, "home", home.as_ref());
            put(&mut text, "shell", shell.as_ref());
            put(&mut text, "groups", joined(groups));
            self.say("account", text, name.span);
        }
        for group in &recipe.groups {
            self.say("group", format!("{} gid {}", group.name.value, group.gid), group.name.span);
        }
    }

    fn config(&mut self, config: &Config) {
        for (key, words) in [("entrypoint", &config.entrypoint), ("cmd", &config.cmd)] {
            if let Some(words) = words {
                let list: Vec<_> = words.iter().map(|word| &word.value).collect();
                self.say_some(key, format!("{list:?}"), words.first().map(|word| word.span));
            }
        }
        if let Some(workdir) = &config.workdir {
            self.say("workdir", &workdir.value, workdir.span);
        }
        self.each("port", &config.ports);
        self.each("volume", &config.volumes);
        if let Some(signal) = &config.stop_signal {
            self.say("stop-signal", &signal.value, signal.span);
        }
        if let Some(check) = &config.healthcheck {
            let mut text = format!("{:?}", check.test);
            put(&mut text, "interval", check.interval);
            put(&mut text, "timeout", check.timeout);
            put(&mut text, "start-period", check.start_period);
            put(&mut text, "retries", check.retries);
            self.say_some("healthcheck", text, None);
        }
        for (key, values) in [("env", &config.env), ("label", &config.labels), ("annotation", &config.annotations)] {
            for (name, value) in values {
                self.say(key, format!("{name}={}", value.value), value.span);
            }
        }
    }

    fn layers(&mut self, layers: &Layers) {
        match layers {
            Layers::Auto => {}
            Layers::Single => self.say_some("layers", "single", None),
            Layers::Package => self.say_some("layers", "package", None),
            Layers::List(rules) => {
                for rule in rules {
                    let mut text = rule.name.value.clone();
                    put(&mut text, "packages", joined(&rule.packages));
                    put(&mut text, "paths", joined(&rule.paths));
                    self.say("layer", text, rule.name.span);
                }
            }
        }
    }

    fn policy(&mut self, policy: &Policy) {
        for (rule, verdict) in &policy.rules {
            self.say("policy", format!("{rule} {}", verdict.value), verdict.span);
        }
        for ignored in &policy.ignore_dlopen {
            self.say("ignore-dlopen", format!("{} {:?}", ignored.name.value, ignored.reason), ignored.name.span);
        }
        let limits =
            [("max-size", &policy.max_size), ("max-download", &policy.max_download), ("max-files", &policy.max_files)];
        for (key, limit) in limits {
            if let Some(limit) = limit {
                self.say(key, limit.value, limit.span);
            }
        }
        self.each("deny-file", &policy.deny_files);
        self.each("deny-package", &policy.deny_packages);
        if let Some(allowed) = &policy.allow_packages {
            self.say("allow-packages", joined(&allowed.value).unwrap_or_default(), allowed.span);
        }
        self.each("deny-license", &policy.deny_licenses);
        if let Some(allowed) = &policy.allow_licenses {
            self.say("allow-licenses", joined(&allowed.value).unwrap_or_default(), allowed.span);
        }
        for waiver in &policy.waivers {
            let mut text = waiver.rule.value.clone();
            put(&mut text, "path", waiver.path.as_ref().map(|path| &path.value));
            put(&mut text, "until", waiver.until.as_ref().map(|until| until.value));
            self.say("waive", format!("{text} {:?}", waiver.reason), waiver.span);
        }
    }
}

fn put(text: &mut String, key: &str, value: Option<impl fmt::Display>) {
    if let Some(value) = value {
        let _ = write!(text, " {key} {value}");
    }
}

fn joined(values: &[Spanned<String>]) -> Option<String> {
    (!values.is_empty()).then(|| values.iter().map(|value| value.value.as_str()).collect::<Vec<_>>().join(","))
}

/// A value, marked when it is inherited.
struct Inherited<'a, T>(&'a T, bool);

impl<T: fmt::Display> fmt::Display for Inherited<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, if self.1 { " inherited" } else { "" })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Root(path) => f.write_str(&show(path)),
            Origin::Beside { base, text } => write!(f, "{} in {}", show(text), base.display()),
            Origin::Name(name) => write!(f, "{name} by name"),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.path, if self.folder && !self.path.is_root() { "/" } else { "" })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Number(number) => number.fmt(f),
            Id::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.user.fmt(f)?;
        self.group.iter().try_for_each(|group| write!(f, ":{group}"))
    }
}

impl fmt::Display for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.removed { "!" } else { "" }, self.name.value)?;
        self.argument.iter().try_for_each(|argument| write!(f, ":{argument}"))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Allow => "allow",
            Verdict::Warn => "warn",
            Verdict::Deny => "deny",
        })
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compression::Zstd(level) => write!(f, "zstd:{level}"),
            Compression::Gzip(level) => write!(f, "gzip:{level}"),
            Compression::None => f.write_str("none"),
        }
    }
}
