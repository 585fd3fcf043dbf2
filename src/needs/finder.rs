//! The rounds: each rule of the table is tried, and what it brings is returned once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::asked::{self, Ask, Asked};
use super::certificates::{self, Company};
use super::evidence::Evidence;
use super::rules::{Argument, Builtin, Rule, TABLE};
use super::trigger::{right_libc, sets_locale, trigger};
use super::{Addition, Level, Needs, Request, Seen, Suggestion, Want, absent, bring, locale, variables};
use crate::path::ImagePath;
use crate::report::{Diagnostic, Error, Result, Span};
use crate::tree::{Cause, Reason};

/// Finds what an image needs, round by round.
pub struct Finder {
    asked: Asked,
    company: Company,
    /// What is given at run time.
    mounts: Vec<ImagePath>,
    /// The image's command line.
    command: Vec<String>,
    /// Number and group of the image's user.
    owner: (u32, u32),
    evidence: Evidence,
    /// What earlier rounds returned.
    handed: BTreeSet<(&'static str, Key)>,
    /// Rules that bring the same whatever else the image holds, with what stood after the colon: they are done.
    settled: BTreeSet<(&'static str, Option<String>)>,
    /// The rules of which a note told that they bring nothing, with what stood after the colon.
    noted: BTreeSet<(&'static str, Option<String>)>,
    /// What was told of configuration.
    told: BTreeSet<String>,
}

/// What tells two wants of a rule apart.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Path(ImagePath),
    Name(Vec<u8>),
}

/// What the recipe tells the rules.
pub(super) struct Told<'a> {
    pub(super) company: &'a Company,
    pub(super) owner: (u32, u32),
    pub(super) mounts: &'a [ImagePath],
    pub(super) command: &'a [String],
}

/// Why a rule applies.
pub(super) struct Why {
    /// What the recipe asks for, or would have to.
    pub(super) ask: Ask,
    /// What set it off; empty when the recipe asks.
    pub(super) trigger: String,
    /// How much it matters.
    pub(super) level: Level,
    /// The object that set it off, in whose context things are loaded.
    pub(super) object: Option<ImagePath>,
}

impl Finder {
    /// Checks the request against the table.
    ///
    /// # Errors
    /// Every extra that is not in the table or said wrongly, and every certificate file that can't be used.
    pub fn new(request: &Request<'_>) -> Result<Self> {
        let (asked, company) = match (asked::read(request), certificates::read(request)) {
            (Ok(asked), Ok(company)) => (asked, company),
            (Err(Error(mut faults)), Err(Error(more))) => {
                faults.extend(more);
                return Err(Error(faults));
            }
            (Err(faults), Ok(_)) | (Ok(_), Err(faults)) => return Err(faults),
        };
        let (evidence, handed, settled, noted, told) = Default::default();
        let (mounts, owner) = (request.mounts.to_vec(), request.owner);
        let command = request.command.to_vec();
        Ok(Self { asked, company, mounts, command, owner, evidence, handed, settled, noted, told })
    }

    /// What the image needs beyond what earlier calls returned. The caller adds it, closes over what it added, and
    /// calls again until nothing more comes.
    ///
    /// # Errors
    /// When the root lacks what the recipe asks for by name, or a file can't be read.
    pub fn find(&mut self, seen: &Seen<'_>) -> Result<Needs> {
        let mut needs = Needs::default();
        let mut faults = Vec::new();
        for rule in TABLE.iter() {
            for why in self.why(rule, seen)? {
                if let Err(Error(more)) = self.apply(rule, seen, &why, &mut needs) {
                    faults.extend(more);
                }
            }
        }
        if faults.is_empty() { Ok(needs) } else { Err(Error(faults)) }
    }

    /// Variables for the image's configuration, which the recipe's replace: `SSL_CERT_FILE`, `LANG`. For the finished
    /// image, whoever brought what they name.
    ///
    /// # Errors
    /// When the image can't be read.
    pub fn environment(&self, seen: &Seen<'_>) -> Result<BTreeMap<String, String>> {
        let mut variables = BTreeMap::new();
        for rule in TABLE.iter() {
            match rule.builtin {
                Some(Builtin::Certificates) => {
                    let bundle = certificates::environment(rule, seen.image)?;
                    if let Some(path) = bundle.as_ref().filter(|_| self.company.span.is_some()) {
                        variables.extend(certificates::of_runtimes(seen).map(|name| (name.to_owned(), path.clone())));
                    }
                    variables.extend(bundle.map(|path| ("SSL_CERT_FILE".to_owned(), path)));
                }
                Some(Builtin::Locale) if locale::has_usual(seen.image)? => {
                    variables.insert("LANG".to_owned(), locale::USUAL.to_owned());
                }
                _ => {}
            }
        }
        Ok(variables)
    }

    /// The optional rules that the finished image gives cause for, and the recipe neither asks for nor takes away.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn suggestions(&mut self, seen: &Seen<'_>) -> Result<Vec<Suggestion>> {
        let mut suggestions = Vec::new();
        for rule in TABLE.iter() {
            if self.asked.removes(rule) || !self.asked.of(rule).is_empty() {
                continue;
            }
            let trigger = trigger(rule, seen, &mut self.evidence, Level::Optional)?;
            if let Some(trigger) = trigger.filter(|trigger| trigger.level == Level::Optional) {
                let (extra, note) = (rule.name.clone(), rule.note.clone());
                suggestions.push(Suggestion { extra, trigger: trigger.text, note });
            }
        }
        Ok(suggestions)
    }

    /// The recipe's entries for a rule, or what sets it off.
    fn why(&mut self, rule: &Rule, seen: &Seen<'_>) -> Result<Vec<Why>> {
        if self.asked.removes(rule) {
            return Ok(Vec::new());
        }
        let asks = self.asked.of(rule);
        let asked = |ask: &Ask| Why { ask: ask.clone(), trigger: String::new(), level: rule.level, object: None };
        let mut whys: Vec<Why> = asks.iter().map(asked).collect();
        if rule.builtin == Some(Builtin::Locale) && right_libc(rule, seen) {
            whys.extend(named_locales(asks, seen, &mut self.evidence)?);
        }
        if !asks.is_empty() {
            return Ok(whys);
        }
        let trigger = trigger(rule, seen, &mut self.evidence, Level::Recommended)?;
        let argument = (rule.argument == Argument::Name).then(|| locale::USUAL.to_owned());
        let why = |ask| {
            trigger.map(|trigger| Why { ask, trigger: trigger.text, level: trigger.level, object: trigger.object })
        };
        whys.extend(why(Ask { argument, span: None }));
        Ok(whys)
    }

    fn apply(&mut self, rule: &'static Rule, seen: &Seen<'_>, why: &Why, needs: &mut Needs) -> Result<()> {
        if !right_libc(rule, seen) {
            let because = rule.only.as_ref().map_or("", |only| &only.because);
            self.note(rule, why, Some(absent::adds_nothing(rule, because, why)), needs);
            return Ok(());
        }
        let settled = (rule.name.as_str(), why.ask.argument.clone());
        if self.settled.contains(&settled) {
            return Ok(());
        }
        let by_trigger =
            |trigger: String| Reason::new(Cause::Rule { name: Arc::from(rule.name.as_str()), trigger }, why.ask.span);
        let reason = by_trigger(why.trigger.clone());
        let told = Told { company: &self.company, owner: self.owner, mounts: &self.mounts, command: &self.command };
        let mut found = bring::bring(rule, seen, why, &told, &mut self.evidence, &reason)?;
        needs
            .notes
            .extend(std::mem::take(&mut found.notes).into_iter().filter(|note| self.told.insert(note.title.clone())));
        let is_empty = found.wants.is_empty() && found.because.is_empty();
        if found.satisfied && is_empty {
            return Ok(());
        }
        if is_empty {
            let note = absent::nothing_found(rule, seen, why, &self.company, &found)?;
            self.note(rule, why, note, needs);
            return Ok(());
        }
        if rule.looks_at_the_root_alone() {
            self.settled.insert(settled);
        }
        let wants = found.wants.into_iter().map(|want| (want, reason.clone()));
        let because = found.because.into_iter().map(|(want, trigger)| (want, by_trigger(trigger)));
        for (want, reason) in wants.chain(because) {
            if self.handed.insert((rule.name.as_str(), Key::of(&want))) {
                let (required, by) = (why.level == Level::Required, why.object.clone());
                needs.additions.push(Addition { want, reason, required, by });
            }
        }
        Ok(())
    }

    /// Tells something about a rule, once.
    fn note(&mut self, rule: &'static Rule, why: &Why, note: Option<Diagnostic>, needs: &mut Needs) {
        if let Some(note) = note
            && self.noted.insert((rule.name.as_str(), why.ask.argument.clone()))
        {
            needs.notes.push(note);
        }
    }
}

/// The locales that the recipe's variables name, where something sets them, and the recipe does not ask for them.
fn named_locales(asks: &[Ask], seen: &Seen<'_>, evidence: &mut Evidence) -> Result<Vec<Why>> {
    let mut named = variables::locales(seen.env);
    named.retain(|(locale, ..)| {
        !asks.iter().filter_map(|ask| ask.argument.as_ref()).any(|known| locale::same(known, locale))
    });
    if named.is_empty() || !sets_locale(seen, evidence)? {
        return Ok(Vec::new());
    }
    let why = |(locale, name, span): (String, &str, Span)| Why {
        trigger: variables::sets(name, &locale),
        ask: Ask { argument: Some(locale), span: Some(span) },
        level: Level::Recommended,
        object: None,
    };
    Ok(named.into_iter().map(why).collect())
}

impl Key {
    fn of(want: &Want) -> Self {
        match want {
            Want::Copy(path) | Want::Folder { path, .. } | Want::Make(path, _) => Self::Path(path.clone()),
            Want::Load { name, .. } => Self::Name(name.clone()),
        }
    }
}
