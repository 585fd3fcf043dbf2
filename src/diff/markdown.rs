//! A difference as Markdown for a pull request: a short table first, details folded below it.

use std::fmt::Write as _;

use super::words::{became, led, percent, plain, short};
use super::{Difference, Growth, change, signed};
use crate::report::{counted, megabytes};

/// The most rows of a table: forges cut off what is too long.
const MOST_ROWS: usize = 200;

impl Difference {
    /// The difference as Markdown.
    pub fn markdown(&self) -> String {
        let [from, to] = &self.sides;
        let mut text = String::new();
        let _ = writeln!(text, "### {}", code(&to.name));
        if self.is_empty() {
            text.push_str("\nNo difference.\n");
            return text;
        }
        let from_digest = short(from.digest.unwrap_or(from.id));
        let to_digest = short(to.digest.unwrap_or(to.id));
        let _ = writeln!(
            text,
            "\n{} ({}) against {} ({}), {}\n",
            code(&to.given),
            code(&to_digest),
            code(&from.given),
            code(&from_digest),
            code(&to.platform)
        );
        text.push_str("| | before | after | change |\n| --- | ---: | ---: | ---: |\n");
        for (what, sizes) in [("size", self.sizes()), ("download", self.downloads())] {
            let [before, after] = sizes.map(megabytes);
            let percent = percent(sizes);
            let percent = if percent.is_empty() { percent } else { format!(" ({percent})") };
            let _ = writeln!(text, "| {what} | {before} | {after} | {}{percent} |", signed(change(sizes)));
        }
        let numbers = [("files", from.files, to.files), ("packages", from.packages, to.packages)];
        for (what, from, to) in numbers {
            let grown = change([from as u64, to as u64]);
            let sign = if grown > 0 { "+" } else { "" };
            let _ = writeln!(text, "| {what} | {from} | {to} | {sign}{grown} |");
        }
        let _ = writeln!(text, "| to pull, with the one before | | {} | |", self.pull());
        self.warnings(&mut text);
        self.details(&mut text);
        text
    }

    /// What a reviewer must not overlook.
    fn warnings(&self, text: &mut String) {
        let mut lines: Vec<String> = Vec::new();
        for file in &self.files {
            let [from, to] = file.privileges();
            for right in to.iter().filter(|right| !from.contains(right)) {
                lines.push(format!("{} is {right}", code(&file.path.to_string())));
            }
        }
        for it in self.hardening.iter().filter(|it| it.is_weaker) {
            let [from, to] = it.values.each_ref().map(|value| code(value));
            lines.push(format!("{}: {} was {from} and is {to}", code(&it.path.to_string()), it.fact));
        }
        for it in self.policy.iter().filter(|it| it.is_new) {
            lines.push(format!("policy {} ({}): {}", code(it.rule), it.code, code(&it.what)));
        }
        if !lines.is_empty() {
            text.push_str("\n> [!WARNING]\n");
        }
        for line in lines.iter().take(MOST_ROWS) {
            let _ = writeln!(text, "> - {line}");
        }
    }

    fn details(&self, text: &mut String) {
        let side = |value: &Option<String>| match value.as_deref() {
            None => String::new(),
            Some("") => "set".to_owned(),
            Some(value) => code(value),
        };
        let both = |sides: &[Option<String>; 2]| -> Vec<String> { sides.iter().map(side).collect() };
        fold(
            text,
            &counted(self.packages.len(), "package"),
            &["package", "before", "after", "size"],
            true,
            self.packages
                .iter()
                .map(|it| [vec![code(&it.name)], both(&it.versions), vec![signed(change(it.sizes))]].concat()),
        );
        let files: Vec<_> = self.files.iter().filter(|file| !file.is_folder() || !file.what.is_empty()).collect();
        fold(
            text,
            &counted(files.len(), "file"),
            &["", "path", "what", "package"],
            false,
            files.iter().map(|file| {
                let package = file.package.as_deref().map_or_else(String::new, code);
                vec![word(&file.sides), code(&file.path.to_string()), code(&became(file)), package]
            }),
        );
        fold(
            text,
            &counted(self.needs.len(), "need"),
            &["", "object", "needs", "before", "after"],
            false,
            self.needs.iter().map(|need| {
                let [from, to] =
                    need.to.each_ref().map(|to| to.as_ref().map_or_else(String::new, |to| code(&led(Some(to)))));
                vec![word(&need.to), code(&need.by.to_string()), code(&need.name), from, to]
            }),
        );
        fold(
            text,
            "libraries named for loading",
            &["", "object", "names"],
            false,
            self.dlopen.iter().map(|(object, name, is_new)| {
                vec![if *is_new { "added" } else { "removed" }.to_owned(), code(&object.to_string()), code(name)]
            }),
        );
        fold(
            text,
            "hardening",
            &["path", "fact", "before", "after"],
            false,
            self.hardening.iter().map(|it| {
                vec![code(&it.path.to_string()), it.fact.to_owned(), code(&it.values[0]), code(&it.values[1])]
            }),
        );
        fold(
            text,
            "configuration",
            &["setting", "before", "after"],
            false,
            self.settings.iter().map(|(name, values)| [vec![code(name)], both(values)].concat()),
        );
        fold(
            text,
            "policy",
            &["", "rule", "code", "verdict", "what"],
            false,
            self.policy.iter().map(|it| {
                let sign = if it.is_new { "new" } else { "gone" };
                vec![sign.to_owned(), code(it.rule), it.code.clone(), it.verdict.to_string(), code(&it.what)]
            }),
        );
        growth(text, "size by package", &self.by_package);
        growth(text, "size by reason", &self.by_reason);
        let layer = |word: &'static str| {
            move |layer: &crate::survey::Layer| vec![word.to_owned(), code(&layer.name), megabytes(layer.size)]
        };
        let (shared, gone, new) = (&self.layers.shared, &self.layers.gone, &self.layers.new);
        let rows = shared
            .iter()
            .map(layer("shared"))
            .chain(gone.iter().map(layer("gone")))
            .chain(new.iter().map(layer("new")));
        fold(text, "layers", &["", "layer", "compressed"], false, rows);
    }
}

fn growth(text: &mut String, title: &str, all: &[Growth]) {
    fold(
        text,
        title,
        &["", "before", "after", "change"],
        false,
        all.iter().map(|growth| {
            let [from, to] = growth.bytes.map(megabytes);
            vec![code(&growth.what), from, to, signed(growth.change())]
        }),
    );
}

/// `added`, `removed`, `changed`.
fn word<T>(sides: &[Option<T>; 2]) -> String {
    super::json::change(sides).to_owned()
}

/// A table that is folded away, but for its title.
fn fold(text: &mut String, title: &str, head: &[&str], is_open: bool, rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return;
    }
    let open = if is_open { " open" } else { "" };
    let _ = write!(text, "\n<details{open}><summary>{title}</summary>\n\n| {} |\n", head.join(" | "));
    let _ = writeln!(text, "|{}", " --- |".repeat(head.len()));
    for row in rows.iter().take(MOST_ROWS) {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    if rows.len() > MOST_ROWS {
        let _ = writeln!(text, "\nand {} more", rows.len() - MOST_ROWS);
    }
    text.push_str("\n</details>\n");
}

/// A text from an image as a code span: nothing in it is markup, and it ends no cell of a table.
fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let text = plain(text).replace('|', "\\|");
    let mut fence = "`".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}
