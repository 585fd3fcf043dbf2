//! `mkimage why`: everything there is to say of one path of an image.

use std::fmt::Write as _;
use std::process::ExitCode;

use mkimage::explain::{self, Because, Explanation};
use mkimage::inventory::Standing;
use mkimage::path::show;
use mkimage::recipe::Recipe;
use mkimage::report::{Result, Texts};
use mkimage::source::ownership::State;
use mkimage::tree::{Beginning, Cause, EntryKind, Reason};
use serde_json::{Value, json};

use super::assembled::{assemble, in_any};
use super::console::Console;
use super::format::{Format, place, print_json};
use super::recipes::RecipeArgs;
use super::summary::megabytes;

/// How many reasons and askers are told, unless more is asked for.
const MOST: usize = 8;

/// Show why a path is in the image: from the recipe's line to the path.
///
/// Also its package and layer, every further reason, and what of lower rank it replaced.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A path of the image, also one through links, or the name of one file.
    path: String,
    #[command(flatten)]
    recipes: RecipeArgs,
    /// How to print.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Format,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    match tell(args, console, &mut texts) {
        Ok(code) => code,
        Err(error) => console.fail(&error, &texts),
    }
}

fn tell(args: &Args, console: &Console, texts: &mut Texts) -> Result<ExitCode> {
    let images = assemble(&args.recipes, console, texts)?;
    let found = in_any(&images, |recipe, assembled| {
        explain::explain(recipe, assembled, &explain::find(&assembled.tree, &args.path)?)
    })?;
    if args.format == Format::Json {
        let documents = found.iter().map(|(recipe, _, explanation)| document(recipe, explanation, texts));
        return Ok(print_json(console, json!({ "paths": documents.collect::<Vec<_>>() })));
    }
    let most = if console.verbose > 0 { usize::MAX } else { MOST };
    let several = images.len() > 1;
    let told: Vec<String> = found
        .iter()
        .map(|(recipe, _, explanation)| {
            let title = if several { format!("{}: ", recipe.name.value) } else { String::new() };
            title + &Words { recipe, texts, most }.text(explanation)
        })
        .collect();
    Ok(console.print(&told.join("\n")))
}

/// An explanation as text.
struct Words<'a> {
    recipe: &'a Recipe,
    texts: &'a Texts,
    most: usize,
}

impl Words<'_> {
    fn text(&self, explanation: &Explanation<'_>) -> String {
        let mut text = format!("{}\n  {}\n", explanation.path, self.facts(explanation));
        let (replaced, reasons): (Vec<&Because>, Vec<&Because>) =
            explanation.reasons.iter().partition(|because| because.outranked);
        for because in reasons.iter().take(1) {
            let _ = write!(text, "\n{}", self.whole(because));
        }
        self.brief(&mut text, "\nalso\n", &reasons[reasons.len().min(1)..]);
        self.brief(&mut text, "\nin place of what this would put here\n", &replaced);
        if !explanation.also_needed_by.is_empty() {
            text.push_str("\nneeded by, too\n");
            for path in explanation.also_needed_by.iter().take(self.most) {
                let _ = writeln!(text, "  {path}");
            }
            self.rest(&mut text, explanation.also_needed_by.len());
        }
        text
    }

    fn facts(&self, explanation: &Explanation<'_>) -> String {
        let entry = explanation.entry;
        let mut facts = Vec::new();
        facts.push(match &entry.kind {
            EntryKind::File(content) => format!("file, {}", megabytes(content.size())),
            EntryKind::HardLink(target) => format!("hard link of {target}"),
            EntryKind::Directory => "folder".to_owned(),
            EntryKind::Symlink(target) => format!("link to {}", show(target)),
        });
        if let Some(real) = &explanation.leads_to {
            facts.push(format!("leads to {real}"));
        } else {
            facts.push(format!("{:04o} {}:{}", entry.mode, entry.uid, entry.gid));
        }
        facts.extend(explanation.standing.and_then(owner));
        facts.extend(explanation.layer.as_ref().map(|layer| format!("layer `{layer}`")));
        facts.join(", ")
    }

    /// A chain, a line for each step.
    fn whole(&self, because: &Because) -> String {
        let mut text = self.beginning(because) + "\n";
        for step in &because.chain.steps {
            if !step.because.is_empty() {
                let _ = writeln!(text, "    {}", step.because);
            }
            let _ = writeln!(text, "  {}", step.path);
        }
        text
    }

    /// Chains, a line for each.
    fn brief(&self, text: &mut String, title: &str, all: &[&Because]) {
        if all.is_empty() {
            return;
        }
        text.push_str(title);
        for because in all.iter().take(self.most) {
            let steps = &because.chain.steps;
            let steps = steps[..steps.len().saturating_sub(1)].iter().map(|step| format!(" -> {}", step.path));
            let _ = writeln!(text, "  {}{}", self.beginning(because), steps.collect::<String>());
        }
        self.rest(text, all.len());
    }

    fn rest(&self, text: &mut String, count: usize) {
        if count > self.most {
            let _ = writeln!(text, "  and {} more (-v shows all)", count - self.most);
        }
    }

    fn beginning(&self, because: &Because) -> String {
        match (because.chain.span, &because.chain.beginning) {
            (Some(span), Beginning::Entry(entry) | Beginning::Folder(entry)) => {
                format!("{}: {entry} = {}", self.texts.place(span), explain::words(self.recipe, self.texts, span))
            }
            (Some(span), beginning) => format!("{}: {beginning}", self.texts.place(span)),
            (None, beginning) => beginning.to_string(),
        }
    }
}

fn owner(standing: Standing<'_>) -> Option<String> {
    Some(match standing {
        Standing::NotOfRoot => return None,
        Standing::Unowned => "of no package".to_owned(),
        Standing::Changed(package) => format!("changed since {} {} was installed", package.name, package.version),
        Standing::Owned(package, State::Configuration) => {
            format!("configuration of {} {}", package.name, package.version)
        }
        Standing::Owned(package, _) => format!("package {} {}", package.name, package.version),
    })
}

fn document(recipe: &Recipe, explanation: &Explanation<'_>, texts: &Texts) -> Value {
    let entry = explanation.entry;
    let (kind, target) = match &entry.kind {
        EntryKind::File(_) => ("file", None),
        EntryKind::HardLink(target) => ("hard link", Some(target.to_string())),
        EntryKind::Directory => ("folder", None),
        EntryKind::Symlink(target) => ("link", Some(show(target))),
    };
    let package = match explanation.standing {
        Some(standing @ (Standing::Owned(package, _) | Standing::Changed(package))) => json!({
            "name": package.name,
            "version": package.version,
            "changed": matches!(standing, Standing::Changed(_)),
        }),
        _ => Value::Null,
    };
    json!({
        "image": recipe.name.value,
        "path": explanation.path.to_string(),
        "kind": kind,
        "target": target,
        "leads_to": explanation.leads_to.as_ref().map(ToString::to_string),
        "mode": format!("{:04o}", entry.mode),
        "uid": entry.uid,
        "gid": entry.gid,
        "size": entry.content().map(mkimage::source::Content::size),
        "package": package,
        "layer": explanation.layer,
        "reasons": explanation.reasons.iter().map(|because| chain(because, texts)).collect::<Vec<_>>(),
        "also_needed_by": explanation.also_needed_by.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn chain(because: &Because, texts: &Texts) -> Value {
    let steps =
        because.chain.steps.iter().map(|step| json!({ "path": step.path.to_string(), "because": step.because }));
    json!({
        "beginning": because.chain.beginning.to_string(),
        "place": place(texts, because.chain.span),
        "replaced": because.outranked,
        "steps": steps.collect::<Vec<_>>(),
    })
}

/// One reason alone, for JSON.
pub(super) fn reason(reason: &Reason, texts: &Texts) -> Value {
    let mut value = match &reason.cause {
        Cause::Key(key) => json!({ "cause": "entry", "key": key }),
        Cause::Folder(folder) => json!({ "cause": "folder", "folder": folder }),
        Cause::Package(name) => json!({ "cause": "package", "package": name }),
        Cause::Needed { by, name, via } => {
            json!({ "cause": "needed", "by": by.to_string(), "name": show(name), "via": via })
        }
        Cause::Interpreter { of } => json!({ "cause": "interpreter", "by": of.to_string() }),
        Cause::Link { from } => json!({ "cause": "link", "by": from.to_string() }),
        Cause::Rule { name, trigger } => json!({ "cause": "rule", "rule": name.to_string(), "trigger": trigger }),
        Cause::Generated(what) => json!({ "cause": "generated", "what": what }),
        Cause::Parent => json!({ "cause": "parent" }),
    };
    if let Some(fields) = value.as_object_mut() {
        fields.insert("place".to_owned(), place(texts, reason.span));
        fields.insert("replaced".to_owned(), reason.outranked.into());
    }
    value
}
