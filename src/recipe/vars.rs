//! `${name}` in a recipe's strings to what it stands for, keeping places: a mistake points at the variable itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::tables::{Mapping, Setting};
use super::{Context, Platform, VARIABLE, values, words};
use crate::report::{Diagnostic, Span, Spanned, Texts};

/// All that a recipe's strings may grow to: variables that double one another would fill the memory.
const MOST_BYTES: usize = 16 << 20;

/// How many variables may stand in one another.
const MOST_STEPS: usize = 32;

/// The variables of one recipe.
pub(super) struct Variables<'a> {
    settings: BTreeMap<&'a str, (&'a Spanned<String>, &'a Setting)>,
    context: &'a Context,
    texts: &'a Texts,
    platform: String,
    builtin: BTreeMap<&'static str, String>,
    /// Values that were asked for; `None` when there was a mistake, which is reported.
    known: BTreeMap<String, Option<String>>,
    /// The variables being worked out, for circles.
    open: Vec<String>,
    /// Bytes that may still be written.
    left: usize,
    pub(super) mistakes: Vec<Diagnostic>,
    /// Names that were asked for, for `--set`.
    pub(super) asked: BTreeSet<String>,
}

/// The names of the variables that are always there.
pub(super) const BUILT_IN: [&str; 5] = ["arch", "machine", "multiarch", "platform", "recipe"];

impl<'a> Variables<'a> {
    /// The variables of `[vars]` and the context's, and those that are always there once the platform is known.
    pub(super) fn new(settings: &'a Mapping<Setting>, context: &'a Context, texts: &'a Texts, recipe: &str) -> Self {
        let builtin = Some(("recipe", recipe.to_owned())).filter(|_| !recipe.is_empty()).into_iter().collect();
        let asked = settings.0.iter().map(|(name, _)| name.value.clone()).collect();
        Self {
            settings: settings.0.iter().map(|(name, setting)| (name.value.as_str(), (name, setting))).collect(),
            context,
            texts,
            platform: String::new(),
            builtin,
            known: BTreeMap::new(),
            open: Vec::new(),
            left: MOST_BYTES,
            mistakes: Vec::new(),
            asked,
        }
    }

    /// Sets what follows from the platform. Values asked for earlier stay as they are.
    pub(super) fn set_platform(&mut self, platform: &Platform) {
        self.platform = platform.to_string();
        self.builtin.insert("platform", self.platform.clone());
        self.builtin.insert("arch", platform.architecture.clone());
        self.builtin.insert("machine", values::machine(platform));
        self.builtin.insert("multiarch", values::multiarch(platform));
    }

    /// A string with its variables filled in; `None` when there was a mistake.
    pub(super) fn expand(&mut self, text: &Spanned<String>) -> Option<Spanned<String>> {
        let (mut written, mut at, mut whole) = (String::new(), 0, true);
        while let Some(found) = text.value[at..].find('$') {
            let dollar = at + found;
            written.push_str(&text.value[at..dollar]);
            let rest = &text.value[dollar + 1..];
            if rest.starts_with('$') {
                written.push('$');
                at = dollar + 2;
            } else if let Some(inner) = rest.strip_prefix('{') {
                let Some(end) = inner.find('}') else {
                    let place = self.inside(text, dollar..text.value.len());
                    let mistake = Diagnostic::error(VARIABLE, "`${` is not closed").at(place, "no `}` follows");
                    self.mistakes.push(mistake.help("`$$` is a dollar"));
                    return None;
                };
                let place = self.inside(text, dollar..dollar + end + 3);
                match self.value(&inner[..end], place) {
                    Some(value) => written.push_str(&value),
                    None => whole = false,
                }
                at = dollar + end + 3;
            } else {
                written.push('$');
                at = dollar + 1;
            }
            if written.len() > self.left {
                self.mistakes
                    .push(Diagnostic::error(VARIABLE, "the variables grow beyond 16 MiB").at(text.span, "here"));
                self.left = 0;
                return None;
            }
        }
        written.push_str(&text.value[at..]);
        self.left = self.left.saturating_sub(if at == 0 { 0 } else { written.len() });
        whole.then(|| Spanned::new(written, text.span))
    }

    fn value(&mut self, name: &str, place: Span) -> Option<String> {
        if let Err(invalid) = values::variable(name) {
            let mistake = Diagnostic::error(VARIABLE, invalid.title.clone()).at(place, invalid.label);
            let shell = name.contains(":-") || name.contains(":?");
            let help = if shell {
                "a default stands in [vars]: x = { env = \"X\", default = \"..\" }"
            } else {
                "`$$` is a dollar"
            };
            self.mistakes.push(mistake.help(help));
            return None;
        }
        if let Some(value) = self.builtin.get(name) {
            return Some(value.clone());
        }
        if BUILT_IN.contains(&name) {
            let mistake = Diagnostic::error(VARIABLE, format!("variable `{name}` has no value here"));
            let why = if name == "recipe" { "the recipe has no file" } else { "it depends on the platform itself" };
            self.mistakes.push(mistake.at(place, why));
            return None;
        }
        if self.open.iter().any(|open| open == name) {
            let circle = self.open.iter().chain([&name.to_owned()]).map(|name| format!("`{name}`")).collect::<Vec<_>>();
            let mistake = Diagnostic::error(VARIABLE, format!("variable `{name}` leads back to itself"));
            self.mistakes.push(mistake.at(place, "here").note(circle.join(" -> ")));
            return None;
        }
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        if self.open.len() == MOST_STEPS {
            let title = format!("more than {MOST_STEPS} variables stand in one another");
            self.mistakes.push(Diagnostic::error(VARIABLE, title).at(place, "here"));
            return None;
        }
        self.open.push(name.to_owned());
        let value = self.look_up(name, place);
        self.open.pop();
        self.known.insert(name.to_owned(), value.clone());
        value
    }

    fn look_up(&mut self, name: &str, place: Span) -> Option<String> {
        self.asked.insert(name.to_owned());
        if let Some((_, value)) = self.context.set.iter().rev().find(|(set, _)| set == name) {
            return Some(value.clone());
        }
        let Some((defined, setting)) = self.settings.get(name).copied() else {
            self.undefined(name, place);
            return None;
        };
        match setting {
            Setting::Broken => None,
            Setting::Text(text) => self.expand(text).map(|text| text.value),
            Setting::Environment { name: variable, default } => match ((self.context.env)(variable), default) {
                (Some(value), _) => Some(value),
                (None, Some(default)) => self.expand(default).map(|text| text.value),
                (None, None) => {
                    let mistake = Diagnostic::error(VARIABLE, format!("variable `{name}` has no value"))
                        .at(place, format!("`{}` is not set in the environment", variable.value))
                        .and_at(defined.span, "has no `default`");
                    self.mistakes.push(mistake.help(format!("set it, add a `default`, or build with --set {name}=..")));
                    None
                }
            },
            Setting::ByPlatform(by_platform) => {
                let own = self.platform.parse::<Platform>();
                let parsed = |key: &str| key.parse::<Platform>().ok().zip(own.as_ref().ok());
                let exact =
                    by_platform.iter().find(|(key, _)| parsed(&key.value).is_some_and(|(key, own)| key == *own));
                let holds = |key: &str| parsed(key).is_some_and(|(key, own)| key.holds_for(own));
                if let Some((_, text)) = exact.or_else(|| by_platform.iter().find(|(key, _)| holds(&key.value))) {
                    return self.expand(&text.0).map(|text| text.value);
                }
                let title = format!("variable `{name}` has no value for {}", self.platform);
                let mistake = Diagnostic::error(VARIABLE, title).at(place, "needed here");
                self.mistakes.push(mistake.and_at(defined.span, "has values for other platforms"));
                None
            }
        }
    }

    fn undefined(&mut self, name: &str, place: Span) {
        let mistake = Diagnostic::error(VARIABLE, format!("variable `{name}` is not set")).at(place, "not in [vars]");
        let names = self.settings.keys().copied().chain(BUILT_IN);
        self.mistakes.push(match words::similar(name, names) {
            Some(similar) => mistake.fix(format!("a variable with a similar name exists: `{similar}`"), Vec::new()),
            None => {
                mistake.fix(format!("set it under [vars], or write `$${{{name}}}` for the text itself"), Vec::new())
            }
        });
    }

    /// The place of a part of a string: exact where the text has no escapes before it, else the whole string.
    fn inside(&self, text: &Spanned<String>, part: Range<usize>) -> Span {
        let source = self.texts.text(text.span.text).get(text.span.range()).unwrap_or_default();
        let exact = source.find(&text.value).map(|start| start + part.start);
        let Some(start) = exact.or_else(|| source.find(&text.value[part.clone()])) else { return text.span };
        let offset = |at: usize| u32::try_from(at).unwrap_or(0) + text.span.start;
        Span { start: offset(start), end: offset(start + part.len()), ..text.span }
    }
}
