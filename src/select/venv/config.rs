//! `pyvenv.cfg`: the lines that Python reads, and the ones that only tell of the machine that made the environment.

/// The lines of a `pyvenv.cfg`.
pub(super) struct Config<'a> {
    text: &'a str,
}

impl<'a> Config<'a> {
    /// Reads a text; none when no Python would take it for an environment's.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let config = Self { text: std::str::from_utf8(text).ok()? };
        config.value("home").is_some().then_some(config)
    }

    /// The value of a key. As Python reads it: case does not matter, the first counts.
    pub(super) fn value(&self, key: &str) -> Option<&'a str> {
        self.pairs().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
    }

    fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.trim(), value.trim()))
    }

    /// The environment's folder where it was made, as `venv` notes since Python 3.11.
    pub(super) fn made_at(&self) -> Option<&'a str> {
        let (_, place) = self.value("command")?.split_once(" -m venv ")?;
        let start = place.rfind(" /").map_or(0, |at| at + 1);
        place.get(start..).filter(|place| place.starts_with('/'))
    }

    /// The text for an image: with another `home` where that moved, without the command that made it.
    pub(super) fn for_image(&self, home: Option<&str>) -> String {
        let mut text = String::new();
        for line in self.text.lines() {
            let key = line.split_once('=').map_or("", |(name, _)| name.trim());
            match (key, home) {
                ("command", _) | ("executable", Some(_)) => continue,
                ("home", Some(home)) => text.extend(["home = ", home]),
                _ => text.push_str(line),
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_where_an_environment_was_made() {
        let made_at = |command: &str| {
            let text = format!("home = /usr/bin\ncommand = /usr/bin/python3 -m venv {command}\n");
            Config::parse(text.as_bytes()).unwrap().made_at().map(str::to_owned)
        };
        assert_eq!(made_at("/build/venv").as_deref(), Some("/build/venv"));
        assert_eq!(made_at("--copies --prompt x /build/my venv").as_deref(), Some("/build/my venv"));
        assert_eq!(made_at("relative"), None);
    }
}
