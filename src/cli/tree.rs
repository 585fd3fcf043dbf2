//! `mkimage tree`: who brings what, as `cargo tree` shows it.

use std::process::ExitCode;

use mkimage::build::Assembled;
use mkimage::explain::{self, Asker, Graph, Line, Listing, Reach, What};
use mkimage::recipe::Recipe;
use mkimage::report::{Result, Texts};
use serde_json::{Value, json};

use super::assembled::{assemble, in_any};
use super::console::Console;
use super::draw::{Row, draw};
use super::format::{Format, place, print_json};
use super::recipes::RecipeArgs;
use super::summary::{files, megabytes, size};

/// Show what each entry of a recipe brings, and why.
///
/// A file that several others need stands where it comes first, with all that it needs in turn, and with `(*)`
/// elsewhere. Entries that bring many files are summed; -v lists each, and each library under all that need it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    recipes: RecipeArgs,
    /// Show who needs this path or name, up to the recipe.
    #[arg(short, long, value_name = "PATH")]
    invert: Option<String>,
    /// Show no more than this many levels.
    #[arg(long, value_name = "N")]
    depth: Option<usize>,
    /// How to print.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Format,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    match show(args, console, &mut texts) {
        Ok(code) => code,
        Err(error) => console.fail(&error, &texts),
    }
}

fn show(args: &Args, console: &Console, texts: &mut Texts) -> Result<ExitCode> {
    let images = assemble(&args.recipes, console, texts)?;
    if args.format == Format::Json {
        let documents: Vec<Value> =
            images.iter().map(|(recipe, assembled)| document(recipe, assembled, texts)).collect();
        return Ok(print_json(console, json!({ "images": documents })));
    }
    let mut trees = Vec::new();
    if let Some(path) = &args.invert {
        let found = in_any(&images, |_, assembled| explain::find(&assembled.tree, path))?;
        for (recipe, assembled, path) in found {
            let lines = Graph::of(&assembled.tree, &assembled.closure, Reach::Everything).needers(&path);
            trees.push((recipe, assembled, lines));
        }
    } else {
        let (reach, listing) = match console.verbose {
            0 => (Reach::Reasons, Listing::Summed),
            _ => (Reach::Everything, Listing::Whole),
        };
        for (recipe, assembled) in &images {
            trees.push((recipe, assembled, Graph::of(&assembled.tree, &assembled.closure, reach).outline(listing)));
        }
    }
    let several = images.len() > 1 && args.invert.is_some();
    let texts: Vec<String> = trees
        .into_iter()
        .map(|(recipe, assembled, lines)| {
            let words = Words { recipe, assembled, texts, links: console.verbose > 0 };
            let title = if several { format!("{}\n", words.image()) } else { String::new() };
            let shown = lines.iter().filter(|line| args.depth.is_none_or(|depth| line.depth <= depth));
            title + &draw(&shown.map(|line| words.row(line)).collect::<Vec<_>>())
        })
        .collect();
    Ok(console.print(&texts.join("\n")))
}

/// Lines as text.
struct Words<'a> {
    recipe: &'a Recipe,
    assembled: &'a Assembled,
    texts: &'a Texts,
    /// Whether links that lead to files are shown.
    links: bool,
}

impl Words<'_> {
    fn row(&self, line: &Line) -> Row {
        let own = match &line.what {
            What::Image => size(&self.assembled.tree),
            What::Asker(..) => line.total,
            What::File { .. } => line.own,
        };
        let cells = [own, line.total].map(|bytes| if bytes == 0 { String::new() } else { megabytes(bytes) });
        let [own, total] = if line.repeated { [String::new(), String::new()] } else { cells };
        let total = if total == own { String::new() } else { total };
        Row { depth: line.depth, text: self.text(line), cells: vec![own, total] }
    }

    fn text(&self, line: &Line) -> String {
        match &line.what {
            What::Image => self.image(),
            What::Asker(asker, 0) => self.asker(asker),
            What::Asker(asker, summed) => format!("{} ({summed} files)", self.asker(asker)),
            What::File { bond, asker } => {
                let mut text = bond.path.to_string();
                if self.assembled.tree.get(&bond.path).is_some_and(mkimage::tree::Entry::is_directory) {
                    text.push('/');
                }
                if let Some(asker) = asker {
                    let asker = self.asker(asker).replace(&format!(" \"{text}\""), "");
                    text = format!("{text}  {asker}");
                }
                if !bond.note.is_empty() {
                    text = format!("{text} ({})", bond.note);
                }
                if self.links && !bond.links.is_empty() && !line.repeated {
                    let links: Vec<String> = bond.links.iter().map(ToString::to_string).collect();
                    text = format!("{text} <- {}", links.join(", "));
                }
                if line.repeated { text + " (*)" } else { text }
            }
        }
    }

    fn image(&self) -> String {
        let (name, tag) = (&self.recipe.name.value, self.recipe.tags.first());
        let tag = tag.map_or_else(String::new, |tag| format!(":{}", tag.value));
        format!("{name}{tag} ({}), {} files", self.assembled.platform, files(&self.assembled.tree))
    }

    fn asker(&self, asker: &Asker) -> String {
        let called = explain::called(self.recipe, self.texts, asker);
        match asker {
            Asker::Entry { span, .. } | Asker::Rule { span: Some(span), .. } => {
                format!("{called} {}", self.texts.place(*span))
            }
            _ => called,
        }
    }
}

/// An image as a graph: every file and link with all its reasons.
fn document(recipe: &Recipe, assembled: &Assembled, texts: &Texts) -> Value {
    let entries = assembled.tree.iter().filter(|(_, entry)| !entry.is_directory());
    let entries: Vec<Value> = entries
        .map(|(path, entry)| {
            json!({
                "path": path.to_string(),
                "size": entry.content().map(mkimage::source::Content::size),
                "package": assembled.package_of(path),
                "reasons": entry.reasons.iter().map(|reason| super::why::reason(reason, texts)).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "name": recipe.name.value,
        "platform": assembled.platform.to_string(),
        "recipe": place(texts, Some(recipe.span)),
        "files": entries,
    })
}
