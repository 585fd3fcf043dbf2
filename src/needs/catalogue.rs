//! The table of rules as a person reads it.

use super::Level;
use super::rules::{Argument, Builtin, Rule, TABLE};

/// One extra, for `mkimage extras`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Its name, with what may stand after a colon: `locale:NAME`, `gconv[:full]`.
    pub name: String,
    /// Whether it applies by itself.
    pub level: Level,
    /// What it brings, in one line.
    pub about: String,
    /// What goes wrong without it.
    pub note: String,
    /// What sets it off, one condition each.
    pub triggers: Vec<String>,
    /// The paths and libraries that it brings, as the table has them.
    pub adds: Vec<String>,
}

/// All extras, in the order in which they are tried.
pub fn catalogue() -> Vec<Listing> {
    TABLE.iter().map(listing).collect()
}

fn listing(rule: &Rule) -> Listing {
    let name = match rule.argument {
        Argument::None => rule.name.clone(),
        Argument::Full => format!("{}[:full]", rule.name),
        Argument::Name => format!("{}:NAME", rule.name),
    };
    let adds = rule.add.iter().flat_map(|add| {
        let folders = add.folder.iter().map(|part| &part.path);
        add.copy.iter().chain(folders).chain(&add.load).map(|template| template.text().to_owned())
    });
    let locale = (rule.builtin == Some(Builtin::Locale)).then(|| "/usr/lib/locale/NAME".to_owned());
    Listing {
        name,
        level: rule.level,
        about: rule.about.clone(),
        note: rule.note.clone(),
        triggers: rule.when.iter().map(|when| when.describe(rule.level)).collect(),
        adds: adds.chain(locale).collect(),
    }
}
