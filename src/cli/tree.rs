//! `mkimage tree`: who brings what, as `cargo tree` shows it.

use std::process::ExitCode;

use mkimage::build::Assembled;
use mkimage::elf::Shape;
use mkimage::explain::{self, Asker, Graph, Line, Listing, Reach, What};
use mkimage::path::ImagePath;
use mkimage::picture::{self, About, Role, Shares, treemap};
use mkimage::recipe::Recipe;
use mkimage::report::{Result, Texts};
use mkimage::source::Content;
use mkimage::survey::Web;
use mkimage::tree::Entry;
use serde_json::{Value, json};

use super::assembled::{assemble, in_any};
use super::console::Console;
use super::draw::{Row, draw};
use super::format::{place, print_json};
use super::recipes::{RecipeArgs, usage};
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
    format: Form,
}

/// In which form a tree is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Form {
    /// Text for people.
    #[default]
    Text,
    /// One JSON document with a `version`: every file and link with all its reasons.
    Json,
    /// Programs and libraries as a graph, for a browser.
    Svg,
    /// The graph in the language of Graphviz.
    Dot,
    /// The graph in the language of Mermaid, for Markdown.
    Mermaid,
    /// What would go without what, as areas, in SVG.
    Treemap,
}

/// The size of a treemap.
const MAP: (f64, f64) = (960.0, 480.0);

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    match show(args, console, &mut texts) {
        Ok(code) => code,
        Err(error) => console.fail(&error, &texts),
    }
}

fn show(args: &Args, console: &Console, texts: &mut Texts) -> Result<ExitCode> {
    let images = assemble(&args.recipes, console, texts)?;
    if args.format == Form::Json {
        let documents: Vec<Value> =
            images.iter().map(|(recipe, assembled)| document(recipe, assembled, texts)).collect();
        return Ok(print_json(console, json!({ "images": documents })));
    }
    if args.format != Form::Text {
        return picture(args.format, &images, console, texts);
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

/// One image as a picture.
fn picture(form: Form, images: &[(Recipe, Assembled)], console: &Console, texts: &Texts) -> Result<ExitCode> {
    let [(recipe, assembled)] = images else {
        return Err(usage("a picture is of one image: name one recipe".to_owned()));
    };
    let reasons = Graph::of(&assembled.tree, &assembled.closure, Reach::Everything);
    let web = Web::told(&reasons, recipe, texts);
    let size = |path: &ImagePath| assembled.tree.get(path).and_then(Entry::content).map_or(0, Content::size);
    let objects = assembled.closure.files();
    let about = |path: &ImagePath| {
        let role = match objects.get(path) {
            Some(object) if object.interp.is_some() && object.shape() != Shape::Library => Role::Program,
            Some(object) if matches!(object.shape(), Shape::Static | Shape::StaticPie) => Role::Program,
            Some(_) => Role::Library,
            None => Role::Other,
        };
        About { size: size(path), role }
    };
    let name = format!("{}:{}", recipe.name.value, recipe.tags.first().map_or("latest", |tag| tag.value.as_str()));
    if form == Form::Treemap {
        let files = assembled.tree.iter().filter(|(_, entry)| !entry.is_directory());
        let shares = Shares::among(&name, &web, files.map(|(path, _)| (path, size(path))));
        return Ok(console.print(&treemap(&shares, &name, MAP.0, MAP.1)));
    }
    let graph = picture::Graph::of(&web, &about);
    Ok(console.print(&match form {
        Form::Dot => graph.dot(&name),
        Form::Mermaid => graph.mermaid(),
        _ => graph.svg(&name),
    }))
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
                if self.assembled.tree.get(&bond.path).is_some_and(Entry::is_directory) {
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
                "size": entry.content().map(Content::size),
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
