//! The difference of two images as a page: figures first, the two treemaps side by side, then every section.

use std::fmt::Write as _;

use super::STYLE;
use crate::diff::{Difference, Growth, became, change, led, percent, signed};
use crate::path::ImagePath;
use crate::picture::{Shares, escape, treemap};
use crate::recipe::Verdict;
use crate::report::{counted, megabytes};
use crate::survey::{Layer, Survey};

/// What only this page needs of style.
const OWN_STYLE: &str = ".two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:14px}\
    .two svg{display:block;width:100%;height:auto;border-radius:6px}\n";
/// The size of a treemap.
const MAP: (f64, f64) = (600.0, 420.0);
/// A table with more rows is folded away.
const MOST_OPEN: usize = 60;

/// The page of some differences, and of the surveys that each is of.
pub fn difference(differences: &[Difference], surveys: &[[&Survey; 2]], title: &str) -> String {
    let title = escape(title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri \
         'none'; form-action 'none'\">\n<meta name=\"generator\" content=\"mkimage\">\n<title>{title}</title>\n\
         <style>\n{STYLE}{OWN_STYLE}</style>\n</head>\n<body>\n<header><h1>{title}</h1></header>\n<main>\n"
    );
    for (difference, surveys) in differences.iter().zip(surveys) {
        page.push_str(&section(difference, *surveys));
    }
    page.push_str("</main>\n<footer>Written by mkimage. Sizes are in bytes, kB = 1000 B.</footer>\n</body>\n</html>\n");
    page
}

fn section(difference: &Difference, surveys: [&Survey; 2]) -> String {
    let [from, to] = &difference.sides;
    let mut out =
        format!("<section>\n<h2>{} <span class=\"soft\">{}</span></h2>\n", escape(&to.name), escape(&to.platform));
    for (word, side) in [("before", from), ("after", to)] {
        let digest = side.digest.unwrap_or(side.id);
        let _ = writeln!(
            out,
            "<div class=\"soft\">{word}: <code>{}</code> <code>{digest}</code></div>",
            escape(&side.given)
        );
    }
    if difference.is_empty() {
        out.push_str("<div class=\"card\"><span class=\"tag good\">same</span> No difference.</div>\n</section>\n");
        return out;
    }
    figures(&mut out, difference);
    attention(&mut out, difference);
    out.push_str("<div class=\"card\"><h2>What would go without what</h2><div class=\"two\">\n");
    for (word, survey) in ["before", "after"].into_iter().zip(surveys) {
        out.push_str(&treemap(&Shares::of(survey), word, MAP.0, MAP.1));
    }
    out.push_str("</div></div>\n");
    sections(&mut out, difference);
    out.push_str("</section>\n");
    out
}

fn figures(out: &mut String, difference: &Difference) {
    out.push_str("<div class=\"figures\">\n");
    let mut figure = |value: String, name: &str, changed: i64| {
        let class = match changed {
            ..=-1 => " class=\"down\"",
            0 => "",
            1.. => " class=\"up\"",
        };
        let _ = writeln!(out, "<div class=\"figure\"><b{class}>{value}</b><span>{name}</span></div>");
    };
    for (name, sizes) in [("unpacked", difference.sizes()), ("to download", difference.downloads())] {
        let [_, now] = sizes.map(megabytes);
        let percent = percent(sizes);
        let percent = if percent.is_empty() { percent } else { format!(", {percent}") };
        figure(signed(change(sizes)), &format!("{name}: {now}{percent}"), change(sizes));
    }
    let [from, to] = &difference.sides;
    for (name, counts) in [("files", [from.files, to.files]), ("packages", [from.packages, to.packages])] {
        let changed = change(counts.map(|count| count as u64));
        let sign = if changed > 0 { "+" } else { "" };
        figure(format!("{sign}{changed}"), &format!("{name}: {}", counts[1]), 0);
    }
    figure(megabytes(difference.layers.download()), "to pull with the one before", 0);
    out.push_str("</div>\n");
}

/// What a reviewer must not overlook.
fn attention(out: &mut String, difference: &Difference) {
    let mut lines: Vec<String> = Vec::new();
    for file in &difference.files {
        let [from, to] = file.privileges();
        let new = to.iter().filter(|right| !from.contains(right));
        lines.extend(new.map(|right| format!("{} is {right}", path(&file.path))));
    }
    for it in difference.hardening.iter().filter(|it| it.is_weaker) {
        let [from, to] = it.values.each_ref().map(|value| escape(value));
        lines.push(format!("{}: {} was {from} and is {to}", path(&it.path), it.fact));
    }
    for it in difference.policy.iter().filter(|it| it.is_new) {
        lines.push(format!(
            "{} {} <span class=\"soft\">{}</span> {}",
            verdict(it.verdict),
            it.rule,
            it.code,
            escape(&it.what)
        ));
    }
    if lines.is_empty() {
        return;
    }
    out.push_str("<div class=\"card\"><h2>Worth a look</h2><ul>\n");
    for line in lines {
        let _ = writeln!(out, "<li>{line}</li>");
    }
    out.push_str("</ul></div>\n");
}

fn sections(out: &mut String, difference: &Difference) {
    let value = |value: &Option<String>| {
        value.as_deref().map_or_else(String::new, |value| format!("<code>{}</code>", escape(value)))
    };
    let both = |values: &[Option<String>; 2]| values.each_ref().map(value);
    table(
        out,
        "Packages",
        &["", "package", "before", "after", "source", "#size"],
        difference.packages.iter().map(|it| {
            let [from, to] = both(&it.versions);
            let source = it.sources.iter().flatten().next_back().map_or_else(String::new, |(name, _)| escape(name));
            vec![word(&it.versions), escape(&it.name), from, to, source, signed(change(it.sizes))]
        }),
    );
    table(
        out,
        "Files",
        &["", "path", "what", "package"],
        difference.files.iter().map(|it| {
            let package = it.package.as_deref().map_or_else(String::new, escape);
            vec![word(&it.sides), path(&it.path), escape(&became(it)), package]
        }),
    );
    table(
        out,
        "Needs",
        &["", "object", "needs", "before", "after"],
        difference.needs.iter().map(|it| {
            let [from, to] =
                it.to.each_ref().map(|to| to.as_ref().map_or_else(String::new, |to| escape(&led(Some(to)))));
            vec![word(&it.to), path(&it.by), escape(&it.name), from, to]
        }),
    );
    table(
        out,
        "Libraries named for loading",
        &["", "object", "names"],
        difference.dlopen.iter().map(|(object, name, is_new)| vec![mark(*is_new), path(object), escape(name)]),
    );
    table(
        out,
        "Hardening",
        &["path", "fact", "before", "after", ""],
        difference.hardening.iter().map(|it| {
            let [from, to] = it.values.each_ref().map(|value| escape(value));
            let weaker = if it.is_weaker { "<span class=\"tag warn\">weaker</span>" } else { "" };
            vec![path(&it.path), it.fact.to_owned(), from, to, weaker.to_owned()]
        }),
    );
    table(
        out,
        "Configuration",
        &["", "setting", "before", "after"],
        difference.settings.iter().map(|(name, values)| {
            let [from, to] = both(values);
            vec![word(values), escape(name), from, to]
        }),
    );
    table(
        out,
        "Policy",
        &["", "rule", "code", "verdict", "what"],
        difference.policy.iter().map(|it| {
            vec![mark(it.is_new), it.rule.to_owned(), it.code.clone(), verdict(it.verdict), escape(&it.what)]
        }),
    );
    growth(out, "Size by package", &difference.by_package);
    growth(out, "Size by reason", &difference.by_reason);
    let layers = &difference.layers;
    let row = |tag: String| {
        move |it: &Layer| {
            let digest = it.digest.map(|digest| format!("<code>{digest}</code>")).unwrap_or_default();
            vec![tag.clone(), escape(&it.name), megabytes(it.size), megabytes(it.unpacked), digest]
        }
    };
    let rows = layers.gone.iter().map(row(mark(false))).chain(layers.new.iter().map(row(mark(true))));
    let rows = rows.chain(layers.shared.iter().map(row("<span class=\"tag plain\">shared</span>".to_owned())));
    table(out, "Layers", &["", "layer", "#compressed", "#unpacked", "digest"], rows);
}

fn growth(out: &mut String, title: &str, all: &[Growth]) {
    table(
        out,
        title,
        &["", "#before", "#after", "#change"],
        all.iter().map(|it| {
            let [from, to] = it.bytes.map(megabytes);
            let class = if it.change() > 0 { "up" } else { "down" };
            vec![escape(&it.what), from, to, format!("<span class=\"{class}\">{}</span>", signed(it.change()))]
        }),
    );
}

/// A table with a title; a long one is folded away. `#` before the head of a column of numbers.
fn table(out: &mut String, title: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return;
    }
    let class = |name: &str| if name.starts_with('#') { " class=\"number\"" } else { "" };
    let is_long = rows.len() > MOST_OPEN;
    let _ = writeln!(out, "<div class=\"card\"><h2>{title} <span class=\"soft\">{}</span></h2>", rows.len());
    if is_long {
        let _ = writeln!(out, "<details><summary>{}</summary>", counted(rows.len(), "row"));
    }
    let _ =
        write!(out, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table>\n<thead><tr>");
    for name in head {
        let _ = write!(out, "<th scope=\"col\"{}>{}</th>", class(name), name.trim_start_matches('#'));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (cell, name) in row.iter().zip(head) {
            let _ = write!(out, "<td{}>{cell}</td>", class(name));
        }
        out.push_str("</tr>\n");
    }
    out.push_str(if is_long { "</tbody></table></div></details></div>\n" } else { "</tbody></table></div></div>\n" });
}

fn path(path: &ImagePath) -> String {
    format!("<span class=\"path\">{}</span>", escape(&path.to_string()))
}

fn mark(is_new: bool) -> String {
    let (class, word) = if is_new { ("good", "new") } else { ("bad", "gone") };
    format!("<span class=\"tag {class}\">{word}</span>")
}

fn word<T>(sides: &[Option<T>; 2]) -> String {
    match sides {
        [None, _] => mark(true),
        [_, None] => mark(false),
        _ => "<span class=\"tag plain\">changed</span>".to_owned(),
    }
}

fn verdict(verdict: Verdict) -> String {
    let class = match verdict {
        Verdict::Deny => "bad",
        Verdict::Warn => "warn",
        Verdict::Allow => "plain",
    };
    format!("<span class=\"tag {class}\">{verdict}</span>")
}
