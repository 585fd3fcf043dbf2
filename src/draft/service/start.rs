//! How a program is started, in the foreground and by whoever the image runs as.

use memchr::memmem;

use super::Finding;
use super::manual::Manual;
use super::unit::Unit;

impl Finding<'_> {
    /// What the unit says of the start.
    pub(super) fn started(&mut self, unit: &Unit) {
        let words: Vec<String> = unit.command.iter().skip(1).cloned().collect();
        let (mut words, changed) = foreground(self.without_accounts(words));
        if unit.forks && !changed {
            let manual = Manual::read(self.root, &self.program_name(), self.strings.first().map(Vec::as_slice));
            let (leaving, staying): (Vec<_>, Vec<_>) =
                words.into_iter().partition(|word| manual.sends_to_the_background(word));
            words = staying;
            let mut options = manual.foreground(&leaving);
            if options.is_empty() && leaving.is_empty() {
                options.extend(self.foreground_option());
            }
            // Before what has no name of its own.
            words.splice(0..0, options);
        }
        self.out.unit = Some(unit.name.clone());
        self.out.command = words;
        self.out.workdir = unit.workdir.clone().filter(|path| self.node(path).is_some());
        self.out.stop_signal.clone_from(&unit.stop_signal);
        self.out.env.clone_from(&unit.env);
        // Variables of a unit's files are often its scripts' alone; those of a script may be asked for anywhere.
        let asks: Vec<bool> = unit.env.keys().map(|name| self.interpreter().is_some() || self.says(name)).collect();
        let mut asks = asks.into_iter();
        let usual = |name: &str| matches!(name, "PATH" | "HOME" | "LANG" | "LC_ALL");
        self.out.env.retain(|name, _| asks.next() == Some(true) && !usual(name));
        self.out.writable.extend(unit.writable.iter().cloned());
        if let Some(user) = &unit.user {
            self.account(user);
        }
    }

    /// Arguments without options that name an account: the image has a user of its own, who can't become another.
    fn without_accounts(&self, words: Vec<String>) -> Vec<String> {
        let mut kept: Vec<String> = Vec::new();
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            let value = word.split_once('=').map(|(_, value)| value).filter(|_| word.starts_with("--"));
            // `user`, or `unix,user=user`.
            let names = |next: &String| {
                let value = next.rsplit_once("user=").map_or(next.as_str(), |(_, value)| value);
                !next.starts_with('-') && self.accounts.knows(value.split(',').next().unwrap_or(value))
            };
            let next_names = words.peek().is_some_and(names);
            if value.is_some_and(|value| self.accounts.knows(value)) {
                continue;
            }
            let may_name = word.starts_with('-') && !word.contains('=') && (word.starts_with("--") || word.len() == 2);
            if may_name && next_names {
                words.next();
                continue;
            }
            kept.push(word);
        }
        kept
    }

    /// The option by which a program stays in the foreground, as far as its own words tell.
    fn foreground_option(&self) -> Option<String> {
        const OPTIONS: [&str; 9] = [
            "foreground",
            "keep-in-foreground",
            "nodaemon",
            "no-daemon",
            "no-daemonize",
            "nofork",
            "no-fork",
            "no-detach",
            "nodetach",
        ];
        let bytes = self.strings.first()?;
        let option = OPTIONS.iter().find(|option| {
            let (alone, dashed) = (format!("\0{option}\0"), format!("--{option}"));
            memmem::find(bytes, alone.as_bytes()).is_some() || memmem::find(bytes, dashed.as_bytes()).is_some()
        });
        option.map(|option| format!("--{option}"))
    }
}

/// Arguments that let a program stay in the foreground, and whether any had to be changed.
fn foreground(words: Vec<String>) -> (Vec<String>, bool) {
    let (mut kept, mut changed, mut after_daemonize) = (Vec::new(), false, false);
    for word in words {
        let new = match word.as_str() {
            "--daemon" | "--daemonize" | "-daemon" | "--background" | "--fork" | "--detach" => {
                changed = true;
                after_daemonize = true;
                if word == "--daemonize" { Some(word.clone()) } else { None }
            }
            "--daemonize=yes" | "--daemonize=true" => Some("--daemonize=no".to_owned()),
            "yes" if after_daemonize => Some("no".to_owned()),
            other => Some(other.replace("daemon on", "daemon off")),
        };
        if word != "--daemonize" {
            after_daemonize = false;
        }
        changed |= new.as_ref() != Some(&word);
        kept.extend(new);
    }
    (kept, changed)
}
