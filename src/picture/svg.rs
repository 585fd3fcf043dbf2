//! Words of SVG: what all pictures begin with, numbers, texts.

use std::fmt::Write as _;

pub(super) use crate::report::xml as escape;

/// Colours of pictures, in light and in dark surroundings.
const STYLE: &str = include_str!("picture.css");

/// The widths of letters differ; this is what one of the font takes in the middle, for its size.
pub(super) const LETTER: f64 = 0.6;

/// The beginning of a picture of a size, with what it is called.
pub(super) fn open(width: f64, height: f64, title: &str) -> String {
    let (width, height, title) = (number(width), number(height), escape(title));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n"
    )
}

/// A number with at most one digit behind the point.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A text of a class, at a place.
pub(super) fn text(out: &mut String, class: &str, (x, y): (f64, f64), words: &str) {
    let _ = writeln!(out, "<text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>", number(x), number(y), escape(words));
}

/// As much of a text as fits into a width, in letters of a size; nothing when that is next to nothing.
pub(super) fn fitting(text: &str, width: f64, size: f64) -> Option<String> {
    let room = (width / (size * LETTER)).floor();
    let count = text.chars().count();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of letters that fit")]
    let room = if room > 0.0 { room as usize } else { 0 };
    if count <= room {
        return Some(text.to_owned());
    }
    (room >= 6).then(|| text.chars().take(room - 1).chain(['…']).collect())
}
