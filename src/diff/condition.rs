//! Conditions of `--fail-on`: what a difference must not be.

use std::fmt;
use std::str::FromStr;

use super::{Difference, change};
use crate::report::{counted, megabytes};

/// What a difference must not be. `Display` is as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A number of the newer image is too large.
    Above(Measure, Limit),
    /// Something is there that was not, or the other way round.
    Any(Event),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Size,
    Download,
    Pull,
    Files,
    Packages,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// This much in all.
    Total(u64),
    /// This much more than before.
    Growth(u64),
    /// This much more than before, in thousandths of a percent of that.
    Percent(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    NewPackage,
    GonePackage,
    ChangedPackage,
    NewFile,
    GoneFile,
    NewNeed,
    NewDlopen,
    NewSetuid,
    NewFinding,
    WeakerHardening,
    ChangedConfig,
    Any,
}

const MEASURES: [(&str, Measure); 5] = [
    ("size", Measure::Size),
    ("download", Measure::Download),
    ("pull", Measure::Pull),
    ("files", Measure::Files),
    ("packages", Measure::Packages),
];

const EVENTS: [(&str, Event); 12] = [
    ("new-package", Event::NewPackage),
    ("gone-package", Event::GonePackage),
    ("changed-package", Event::ChangedPackage),
    ("new-file", Event::NewFile),
    ("gone-file", Event::GoneFile),
    ("new-need", Event::NewNeed),
    ("new-dlopen", Event::NewDlopen),
    ("new-setuid", Event::NewSetuid),
    ("new-finding", Event::NewFinding),
    ("weaker-hardening", Event::WeakerHardening),
    ("changed-config", Event::ChangedConfig),
    ("any", Event::Any),
];

/// Units of bytes, the longest first.
const UNITS: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// Why a text is no condition. Completes "`TEXT` ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCondition {
    /// It names nothing.
    #[error("is no condition{}", near(.0))]
    Unknown(String),
    /// A number has no limit.
    #[error("says no limit: write `{0}>+5%`, `{0}>+2` or `{0}>100`, in bytes with kB, MB, GB, KiB, MiB or GiB")]
    NoLimit(&'static str),
    /// The limit is no number.
    #[error("has a limit that is no number, `{0}`")]
    BadLimit(String),
    /// A word that takes no limit has one.
    #[error("has a limit, and `{0}` takes none")]
    Unlimited(&'static str),
    /// Another sign than `>`.
    #[error("compares otherwise than by `>`")]
    Comparison,
    /// A percentage of nothing.
    #[error("has a percentage without `+`: it is of what was there before")]
    Percentage,
    /// Growth of what is of the newer image alone.
    #[error("has a growth, and `pull` is of the newer image alone: write `pull>5MB`")]
    PullGrows,
    /// A unit of bytes on a count.
    #[error("has a unit, and `{0}` is a count")]
    Unit(&'static str),
}

/// The known words that are like a text.
fn near(text: &str) -> String {
    let name = text.split(['>', '<', '=']).next().unwrap_or(text);
    let known = MEASURES.iter().map(|(name, _)| *name).chain(EVENTS.iter().map(|(name, _)| *name));
    let mut near: Vec<(f64, &str)> = known.map(|known| (strsim::jaro_winkler(known, name), known)).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    match near.first() {
        Some((likeness, known)) if *likeness > 0.8 => format!("; one is called `{known}`"),
        _ => {
            let mut all: Vec<String> = MEASURES.iter().map(|(name, _)| format!("{name}>N")).collect();
            all.extend(EVENTS.iter().map(|(name, _)| (*name).to_owned()));
            format!("; those are {}", all.join(", "))
        }
    }
}

impl FromStr for Condition {
    type Err = BadCondition;

    fn from_str(text: &str) -> Result<Self, BadCondition> {
        let text = text.trim();
        let end = text.find(['>', '<', '=']).unwrap_or(text.len());
        let (name, rest) = (text[..end].trim(), text[end..].trim());
        let event = EVENTS.iter().find(|(known, _)| *known == name);
        let measure = MEASURES.iter().find(|(known, _)| *known == name);
        let kind = match (event, measure) {
            (Some((_, event)), _) if rest.is_empty() => Kind::Any(*event),
            (Some((known, _)), _) => return Err(BadCondition::Unlimited(known)),
            (None, Some((known, _))) if rest.is_empty() => return Err(BadCondition::NoLimit(known)),
            (None, Some((known, measure))) => {
                let limit = rest.strip_prefix('>').filter(|rest| !rest.starts_with('='));
                Kind::Above(*measure, limit.ok_or(BadCondition::Comparison)?.trim().parse_for(known, *measure)?)
            }
            (None, None) => return Err(BadCondition::Unknown(text.to_owned())),
        };
        Ok(Self { text: text.to_owned(), kind })
    }
}

trait ParseFor {
    fn parse_for(&self, name: &'static str, measure: Measure) -> Result<Limit, BadCondition>;
}

impl ParseFor for str {
    /// A limit of a measure: `+5%`, `+2MB`, `100`.
    fn parse_for(&self, name: &'static str, measure: Measure) -> Result<Limit, BadCondition> {
        let bad = || BadCondition::BadLimit(self.to_owned());
        if self.is_empty() {
            return Err(BadCondition::NoLimit(name));
        }
        let (grows, number) = self.strip_prefix('+').map_or((false, self), |number| (true, number.trim_start()));
        if grows && measure == Measure::Pull {
            return Err(BadCondition::PullGrows);
        }
        if let Some(percent) = number.strip_suffix('%') {
            let percent = scaled(percent.trim_end(), 1000).ok_or_else(bad)?;
            return if grows { Ok(Limit::Percent(percent)) } else { Err(BadCondition::Percentage) };
        }
        let unit = UNITS.iter().find(|(unit, _)| number.ends_with(unit));
        let is_count = matches!(measure, Measure::Files | Measure::Packages);
        if is_count && unit.is_some() {
            return Err(BadCondition::Unit(name));
        }
        let (digits, factor) =
            unit.map_or((number, 1), |(unit, factor)| (&number[..number.len() - unit.len()], *factor));
        let limit = scaled(digits.trim_end(), factor).ok_or_else(bad)?;
        Ok(if grows { Limit::Growth(limit) } else { Limit::Total(limit) })
    }
}

/// A decimal number times a factor, rounded down.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let tens = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let fraction = u128::from(fraction.parse::<u64>().ok()?) * u128::from(factor) / u128::from(tens);
    whole.parse::<u64>().ok()?.checked_mul(factor)?.checked_add(u64::try_from(fraction).ok()?)
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Condition {
    /// What of a difference the condition is about, when it holds: completes "`CONDITION`: ...".
    pub fn holds(&self, difference: &Difference) -> Option<String> {
        match self.kind {
            Kind::Above(measure, limit) => above(difference, measure, limit),
            Kind::Any(event) => {
                let found = found(difference, event);
                let first = found.first()?;
                Some(match found.len() {
                    1 => first.clone(),
                    count => format!("{first} and {} more", count - 1),
                })
            }
        }
    }
}

fn above(difference: &Difference, measure: Measure, limit: Limit) -> Option<String> {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let [from, to] = match measure {
        Measure::Size => difference.sizes(),
        Measure::Download => difference.downloads(),
        Measure::Pull => [0, difference.layers.download()],
        Measure::Files => difference.sides.each_ref().map(|side| count(side.files)),
        Measure::Packages => difference.sides.each_ref().map(|side| count(side.packages)),
    };
    let show = |number: u64| match measure {
        Measure::Files => counted(usize::try_from(number).unwrap_or(usize::MAX), "file"),
        Measure::Packages => counted(usize::try_from(number).unwrap_or(usize::MAX), "package"),
        Measure::Size | Measure::Download | Measure::Pull => megabytes(number),
    };
    let grown = change([from, to]);
    let holds = match limit {
        Limit::Total(most) => to > most,
        Limit::Growth(most) => grown > i64::try_from(most).unwrap_or(i64::MAX),
        Limit::Percent(most) => i128::from(grown) * 100_000 > i128::from(most) * i128::from(from),
    };
    holds.then(|| match measure {
        Measure::Pull => format!("it is {}", show(to)),
        _ => format!("it was {} and is {}", show(from), show(to)),
    })
}

fn found(difference: &Difference, event: Event) -> Vec<String> {
    let packages = |wanted: fn(&[Option<String>; 2]) -> bool| -> Vec<String> {
        let changed = difference.packages.iter().filter(|package| wanted(&package.versions));
        changed.map(|package| package.name.clone()).collect()
    };
    match event {
        Event::NewPackage => packages(|versions| versions[0].is_none()),
        Event::GonePackage => packages(|versions| versions[1].is_none()),
        Event::ChangedPackage => packages(|versions| versions.iter().all(Option::is_some)),
        Event::NewFile => files(difference, super::FileChange::is_new),
        Event::GoneFile => files(difference, super::FileChange::is_gone),
        Event::NewNeed => {
            let new = difference.needs.iter().filter(|need| need.to[0].is_none());
            new.map(|need| format!("{} needs {}", need.by, need.name)).collect()
        }
        Event::NewDlopen => {
            let new = difference.dlopen.iter().filter(|(_, _, is_new)| *is_new);
            new.map(|(object, name, _)| format!("{object} names {name}")).collect()
        }
        Event::NewSetuid => {
            let rights = |file: &&super::FileChange| {
                let [from, to] = file.privileges();
                to.iter().any(|right| !from.contains(right))
            };
            difference.files.iter().filter(rights).map(|file| file.path.to_string()).collect()
        }
        Event::NewFinding => {
            let new = difference.policy.iter().filter(|finding| finding.is_new);
            new.map(|finding| format!("{}: {}", finding.rule, finding.what)).collect()
        }
        Event::WeakerHardening => {
            let weaker = difference.hardening.iter().filter(|change| change.is_weaker);
            weaker
                .map(|it| format!("{} of {} was {} and is {}", it.fact, it.path, it.values[0], it.values[1]))
                .collect()
        }
        Event::ChangedConfig => difference.settings.iter().map(|(name, _)| name.clone()).collect(),
        Event::Any if difference.is_empty() => Vec::new(),
        Event::Any => vec!["the images differ".to_owned()],
    }
}

fn files(difference: &Difference, wanted: fn(&super::FileChange) -> bool) -> Vec<String> {
    let wanted = difference.files.iter().filter(|file| !file.is_folder() && wanted(file));
    wanted.map(|file| file.path.to_string()).collect()
}
