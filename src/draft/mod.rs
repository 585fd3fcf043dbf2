//! First recipes: from the names of programs to the text of a recipe that passes its own check.
//!
//! The text is checked as any recipe is, so that what mkimage would add by itself, what it would add if asked and what
//! the policy would forbid can be written down beside it. Writes nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::build::{self, Assembled, Options, Progress};
use crate::path::ImagePath;
use crate::policy::{self, Kind, SYMBOL_VERSIONS};
use crate::recipe::{self, Context, Input};
use crate::report::{Error, Level as Severity, Result, Texts};
use crate::select;
use crate::source::Folder;
use crate::source::resolve;

mod service;
mod wording;

use service::Service;
use wording::{by_itself, distinct, file, image_name, list, on_request, quoted};

/// What a recipe is to be written for.
#[derive(Debug, Clone)]
pub struct Request {
    /// What goes under `binaries`, as a recipe in `folder` would say it. The first names the image.
    pub programs: Vec<String>,
    /// The folder that the recipe will be in.
    pub folder: PathBuf,
    /// What a person calls the recipe, for errors in it.
    pub title: String,
    /// The root that it will name; none for this machine.
    pub root: Option<String>,
}

/// Writes a recipe. `texts` keeps it, also when it does not pass, so that errors can show its lines.
///
/// # Errors
/// When no recipe of these programs alone passes: what `check` would say of it.
pub fn draft(request: &Request, options: &Options, progress: &dyn Progress, texts: &mut Texts) -> Result<String> {
    let mut draft = Draft { request, allowed: BTreeSet::new(), service: Service::default() };
    draft.service = draft.look();
    loop {
        let mut tried = Texts::default();
        let outcome = draft.check(options, progress, &mut tried);
        match outcome {
            Ok(assembled) => return Ok(draft.finished(&assembled)),
            Err(error) => {
                let forbidden = may_allow(&error);
                if forbidden.is_empty() && draft.service != Service::default() {
                    // What the root says beyond the programs may not go; what is at fault stays out, or else all of it.
                    let at_fault = draft.lines_at_fault(&error);
                    if !draft.service.leave_out(&named(&error)) && !draft.service.without(&at_fault) {
                        draft.service = Service::default();
                    }
                    continue;
                }
                if forbidden.is_empty() || forbidden.is_subset(&draft.allowed) {
                    *texts = tried;
                    return Err(error);
                }
                draft.allowed.extend(forbidden);
            }
        }
    }
}

/// The rules whose breaking is all that is wrong, when an image may be meant to break them.
fn may_allow(error: &Error) -> BTreeSet<&'static str> {
    let rule_of = |code| policy::rules().iter().find(|rule| rule.code == code && rule.kind == Kind::Verdict);
    let errors = error.0.iter().filter(|diagnostic| diagnostic.level == Severity::Error);
    let rules: Option<BTreeSet<&'static str>> =
        errors.map(|diagnostic| rule_of(diagnostic.code).map(|rule| rule.name)).collect();
    // A program that lacks a symbol version does not start, whatever is allowed.
    rules.filter(|rules| !rules.contains(SYMBOL_VERSIONS.name)).unwrap_or_default()
}

/// The files that errors name: those that something is wrong with, and those which need what is not there.
fn named(error: &Error) -> BTreeSet<String> {
    let errors = || error.0.iter().filter(|diagnostic| diagnostic.level == Severity::Error);
    let in_titles = errors().flat_map(|diagnostic| diagnostic.title.split('`').skip(1).step_by(2));
    let notes = errors().flat_map(|diagnostic| &diagnostic.notes);
    let in_notes = notes.filter_map(|note| note.strip_prefix("needed by ")?.split([',', ' ']).next());
    in_titles.chain(in_notes).filter(|text| text.starts_with('/')).map(str::to_owned).collect()
}

struct Draft<'a> {
    request: &'a Request,
    /// Rules of the policy without which nothing passes.
    allowed: BTreeSet<&'static str>,
    /// What the root says of the programs beyond their libraries.
    service: Service,
}

impl Draft<'_> {
    fn check(&self, options: &Options, progress: &dyn Progress, texts: &mut Texts) -> Result<Assembled> {
        let input = Input::Text {
            name: self.request.title.clone(),
            text: self.text().into_bytes(),
            folder: self.request.folder.clone(),
        };
        let loaded = recipe::load(&input, &Context { workspace: false, ..Context::default() }, texts)?;
        let Some(recipe) = loaded.recipes.into_iter().next() else {
            return Err(Error::internal("a recipe with a name gave none"));
        };
        build::assemble(&recipe, &Options { suggestions: true, ..options.clone() }, progress)
    }

    /// The text that is checked.
    fn text(&self) -> String {
        self.keys() + &self.service_keys() + &self.tables() + &self.policy()
    }

    /// The lines of the text at which errors point.
    fn lines_at_fault(&self, error: &Error) -> String {
        let text = self.text();
        let mut lines = String::new();
        let errors = error.0.iter().filter(|diagnostic| diagnostic.level == Severity::Error);
        for span in errors.flat_map(|diagnostic| diagnostic.labels.iter().map(|label| label.span)) {
            let (start, end) = (span.start as usize, span.end as usize);
            let (Some(before), Some(after)) = (text.get(..start), text.get(end..)) else { continue };
            let start = before.rfind('\n').map_or(0, |at| at + 1);
            let end = after.find('\n').map_or(text.len(), |at| end + at);
            lines.push_str(text.get(start..end).unwrap_or_default());
            lines.push('\n');
        }
        lines
    }

    /// The keys that the image is made from.
    fn keys(&self) -> String {
        let own = self.request.programs.iter();
        let named = self.service.programs.iter().filter(|program| !self.request.programs.contains(program));
        let programs: Vec<String> = own.chain(named).map(|program| quoted(program)).collect();
        let list = match programs.as_slice() {
            [one] => format!("[{one}]"),
            several => several.iter().fold("[\n".to_owned(), |text, program| text + "  " + program + ",\n") + "]",
        };
        let name = image_name(self.request.programs.first().map_or("", String::as_str));
        let mut text = format!("name     = {}\n", quoted(&name));
        if let Some(root) = &self.request.root {
            let _ = writeln!(text, "root     = {}", quoted(root));
        }
        let _ = writeln!(text, "binaries = {list}");
        text
    }

    fn policy(&self) -> String {
        if self.allowed.is_empty() {
            return String::new();
        }
        let about =
            |rule: &str| policy::rules().iter().find(|known| known.name == rule).map_or("", |known| known.about);
        let lines = self.allowed.iter().map(|rule| format!("{rule} = \"allow\"  # {}\n", about(rule)));
        format!("\n# These programs do not go without:\n[policy]\n{}", lines.collect::<String>())
    }

    /// The recipe with what its check had to say.
    fn finished(&self, assembled: &Assembled) -> String {
        let mut text =
            "# The first of `binaries` is the program that the image starts; libraries come along.\n".to_owned();
        text.push_str(&self.keys());
        for (script, _) in build::shell_scripts(&assembled.wanted, &assembled.closure) {
            let _ = writeln!(
                text,
                "# {script} is a shell script: what it starts is not looked for; `mkimage trace` finds it."
            );
        }
        if self.service.command.is_empty() {
            text.push_str("# cmd    = [\"--help\"]\n");
        }
        text.push_str(&self.service_keys());
        text.push_str(&by_itself(assembled));
        text.push_str(&on_request(assembled, !self.service.extras.is_empty()));
        text.push_str(&self.tables());
        text.push_str(&self.policy());
        text
    }

    /// What the root says of the programs.
    fn look(&self) -> Service {
        let root = match &self.request.root {
            Some(root) => self.request.folder.join(root),
            None => PathBuf::from("/"),
        };
        let Ok(root) = Folder::open(root) else { return Service::default() };
        let path = |program: &String| {
            if program.starts_with('/') {
                return ImagePath::new(program).ok();
            }
            let on_path = select::PATH.iter().filter_map(|folder| ImagePath::new(format!("{folder}/{program}")).ok());
            on_path.filter(|_| !program.contains('/')).find(|path| resolve(&root, path.as_bytes()).is_ok())
        };
        let programs = self.request.programs.iter();
        let services = programs.map(|it| path(it).map(|it| service::of(&it, &root)).unwrap_or_default());
        // How the image starts is the first one's word; what is there, everyone's.
        services.reduce(Service::with).unwrap_or_default()
    }

    /// The keys of a service, above any table.
    fn service_keys(&self) -> String {
        let service = &self.service;
        let mut text = String::new();
        if !service.command.is_empty() {
            let unit = service.unit.as_deref().unwrap_or_default();
            let _ = writeln!(text, "cmd      = {}  # as {unit} starts it, in the foreground", list(&service.command));
        }
        if let Some(workdir) = &service.workdir {
            let _ = writeln!(text, "workdir  = {}", quoted(workdir));
        }
        if let Some(signal) = &service.stop_signal {
            let _ = writeln!(text, "stop-signal = {}", quoted(signal));
        }
        if !service.extras.is_empty() {
            let names: Vec<String> = service.extras.iter().cloned().collect();
            let _ = write!(text, "\n# What its packages depend on is among it:\nextras   = {}\n", list(&names));
        }
        if !service.files.is_empty() {
            let entries: Vec<String> = service.files.iter().map(|(path, why)| file(path, why.as_ref())).collect();
            let entries = match entries.as_slice() {
                [one] => format!("[{one}]"),
                several => several.iter().fold("[\n".to_owned(), |text, entry| text + "  " + entry + ",\n") + "]",
            };
            let _ = write!(text, "\n# Configuration and data:\nfiles    = {entries}\n");
        }
        let writable: Vec<String> = distinct(&service.writable);
        if !writable.is_empty() {
            let _ =
                write!(text, "\n# Where it keeps its state; volumes belong here:\nwritable = {}\n", list(&writable));
        }
        text
    }

    /// The tables of a service.
    fn tables(&self) -> String {
        let mut text = String::new();
        if !self.service.users.is_empty() {
            text.push_str("\n# Its configuration names these; it runs as `nonroot` all the same:\n[users]\n");
            self.service.users.iter().for_each(|(name, uid)| {
                let _ = writeln!(text, "{name} = {uid}");
            });
        }
        if !self.service.groups.is_empty() {
            text.push_str("\n# Its configuration gives files to these:\n[groups]\n");
            self.service.groups.iter().for_each(|(name, gid)| {
                let _ = writeln!(text, "{name} = {gid}");
            });
        }
        if !self.service.env.is_empty() {
            text.push_str("\n[env]\n");
            self.service.env.iter().for_each(|(name, value)| {
                let _ = writeln!(text, "{name} = {}", quoted(value));
            });
        }
        text
    }
}
