//! Diagnostics as rustc shows them.

use annotate_snippets::{AnnotationKind, Group, Level as L, Patch, Renderer, Snippet};

use super::{Diagnostic, Level, Texts};

/// Diagnostics as text, an empty line between two. Colour is ANSI.
pub fn render(diagnostics: &[Diagnostic], texts: &Texts, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    diagnostics.iter().map(|diagnostic| one(diagnostic, texts, &renderer)).collect::<Vec<_>>().join("\n\n") + "\n"
}

fn one(diagnostic: &Diagnostic, texts: &Texts, renderer: &Renderer) -> String {
    let level = match diagnostic.level {
        Level::Error => L::ERROR,
        Level::Warning => L::WARNING,
        Level::Note => L::NOTE,
    };
    let mut group =
        level.primary_title(diagnostic.title.as_str()).id(diagnostic.code.0).elements(snippets(diagnostic, texts));
    for note in &diagnostic.notes {
        group = group.element(L::NOTE.message(note.as_str()));
    }
    for help in &diagnostic.helps {
        group = group.element(L::HELP.message(help.as_str()));
    }
    let mut report = vec![group];
    for fix in &diagnostic.fixes {
        let title = L::HELP.secondary_title(fix.message.as_str());
        let Some((first, _)) = fix.edits.first() else {
            report.push(Group::with_title(title));
            continue;
        };
        let snippet = Snippet::source(texts.text(first.text))
            .path(texts.name(first.text))
            .patches(fix.edits.iter().map(|(span, text)| Patch::new(span.range(), text.as_str())));
        report.push(title.element(snippet));
    }
    renderer.render(&report)
}

/// A snippet for each text that the labels point into, that of the first label first.
fn snippets<'a>(diagnostic: &'a Diagnostic, texts: &'a Texts) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let mut seen = Vec::new();
    for label in &diagnostic.labels {
        if !seen.contains(&label.span.text) {
            seen.push(label.span.text);
        }
    }
    let snippet = |text| {
        let annotations = diagnostic.labels.iter().filter(|label| label.span.text == text).map(|label| {
            let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = kind.span(label.span.range());
            if label.text.is_empty() { annotation } else { annotation.label(label.text.as_str()) }
        });
        Snippet::source(texts.text(text)).path(texts.name(text)).annotations(annotations)
    };
    seen.into_iter().map(snippet).collect()
}
