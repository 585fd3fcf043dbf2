//! What options of a program mean, as its manual page and its own help have it: by which it stays in the foreground,
//! and by which it leaves it.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use crate::source::{Source, resolve};

/// A page is no longer than this.
const LIMIT: u64 = 1 << 21;

/// An option and what is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Described {
    /// As `-d debug-level` or `-n, --nodaemon`.
    tag: String,
    /// The first sentences.
    text: String,
}

/// What is known of a program's options.
#[derive(Debug, Default)]
pub(super) struct Manual(Vec<Described>);

impl Manual {
    /// Reads the manual page of a program, and the help in its bytes.
    pub(super) fn read(root: &dyn Source, program: &str, bytes: Option<&[u8]>) -> Self {
        let mut options = Vec::new();
        for section in ["8", "1"] {
            let plain = format!("/usr/share/man/man{section}/{program}.{section}");
            for (path, packed) in [(format!("{plain}.gz"), true), (plain, false)] {
                let Some(content) = resolve(root, path.as_bytes()).ok().and_then(|it| it.node.content().cloned())
                else {
                    continue;
                };
                let Ok(bytes) = content.read(LIMIT) else { continue };
                let text = if packed { unpacked(&bytes) } else { bytes };
                options.extend(page(&String::from_utf8_lossy(&text)));
            }
        }
        options.extend(bytes.into_iter().flat_map(help));
        Self(options)
    }

    /// The words by which the program stays in the foreground, in place of those by which it leaves it.
    pub(super) fn foreground(&self, leaving: &[String]) -> Vec<String> {
        let fits = |option: &&Described| {
            sentences(&option.text).any(|it| stays(&it))
                && !sentences(&option.text).next().is_some_and(|it| leaves(&it))
        };
        // An option for debugging does more than that.
        let debugs = |option: &&Described| option.text.to_lowercase().contains("debug");
        let all: Vec<&Described> = self.0.iter().filter(fits).collect();
        // As an option that it is likened to, but for this.
        let instead =
            |option: &&Described| option.text.split([' ', ',', '.']).any(|word| leaving.iter().any(|it| it == word));
        let found =
            all.iter().find(|option| instead(option)).or(all.iter().find(|option| !debugs(option))).or(all.first());
        found.map(|option| words(&option.tag)).unwrap_or_default()
    }

    /// Whether a word of the command line sends the program to the background.
    pub(super) fn sends_to_the_background(&self, word: &str) -> bool {
        let is_it = |option: &Described| {
            option.tag.split([' ', ',', '\t']).any(|name| name == word)
                && sentences(&option.text).next().is_some_and(|it| leaves(&it))
        };
        word.starts_with('-') && self.0.iter().any(is_it)
    }
}

/// The beginning of a gzip stream; as much as is whole.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let _ = MultiGzDecoder::new(bytes).take(LIMIT).read_to_end(&mut text);
    text
}

fn sentences(text: &str) -> impl Iterator<Item = String> {
    text.split(['.', ';']).take(3).map(str::to_lowercase).collect::<Vec<_>>().into_iter()
}

fn denies(sentence: &str) -> bool {
    ["not ", "n't ", "never ", "without", "instead of", "rather than", "disable"]
        .iter()
        .any(|word| sentence.contains(word))
}

/// Whether a sentence says that the program stays.
fn stays(sentence: &str) -> bool {
    const LEAVING: [&str; 8] = [
        "fork",
        "daemoni",
        "detach",
        "become a daemon",
        "becoming a daemon",
        "background",
        "disassociate",
        "disconnects from",
    ];
    let denied = denies(sentence) && LEAVING.iter().any(|word| sentence.contains(word));
    denied || sentence.contains("foreground") && !leaves(sentence)
}

/// Whether a sentence says that the program leaves the terminal that it is started from.
fn leaves(sentence: &str) -> bool {
    const GOING: [&str; 6] = [
        "in the background",
        "in background",
        "into the background",
        "into background",
        "as a daemon",
        "become a daemon",
    ];
    GOING.iter().any(|words| sentence.contains(words)) && !denies(sentence)
}

/// The first name of an option; with the value `0` where it wants a level.
fn words(tag: &str) -> Vec<String> {
    let mut parts = tag.split([' ', ',', '\t', '|']).filter(|part| !part.is_empty());
    let Some(name) = parts.next() else { return Vec::new() };
    let rest: Vec<&str> = parts.collect();
    let wants_value = rest.first().is_some_and(|word| !word.starts_with('-') && !word.starts_with('['));
    match wants_value {
        false => vec![name.split(['=', '[']).next().unwrap_or(name).to_owned()],
        true if rest[0].contains("level") => vec![name.to_owned(), "0".to_owned()],
        true => Vec::new(),
    }
}

/// The options of a manual page, whichever macros it is written with.
fn page(text: &str) -> Vec<Described> {
    let (mut options, mut tag, mut body) = (Vec::new(), String::new(), String::new());
    let mut wants_tag = false;
    for line in text.lines() {
        let line = line.split("\\\"").next().unwrap_or(line);
        let (name, rest) = match line.strip_prefix(['.', '\'']) {
            Some(call) => {
                let call = call.trim_start();
                call.split_once([' ', '\t']).unwrap_or((call, ""))
            }
            None => ("", line),
        };
        let begins =
            matches!(name, "TP" | "IP" | "HP" | "PP" | "P" | "LP" | "SH" | "SS" | "It" | "Sh" | "Ss" | "Pp" | "TQ");
        if begins {
            finish(&mut options, &mut tag, &mut body);
            wants_tag = matches!(name, "TP" | "TQ" | "PP" | "HP" | "P" | "LP");
            match name {
                "IP" => tag = arguments(rest).first().cloned().unwrap_or_default(),
                "It" => tag = mdoc(rest),
                _ => {}
            }
            continue;
        }
        let text = match name {
            "" => plain(rest),
            "B" | "I" | "SM" | "SB" => arguments(rest).join(" "),
            "BI" | "BR" | "IB" | "IR" | "RB" | "RI" => arguments(rest).concat(),
            "Fl" | "Ar" | "Nm" | "Pa" | "Xr" | "Ql" | "Em" | "Cm" => mdoc(&format!("{name} {rest}")),
            _ => continue,
        };
        if std::mem::take(&mut wants_tag) && tag.is_empty() && !text.trim().is_empty() {
            text.trim().clone_into(&mut tag);
        } else {
            body.push_str(text.trim());
            body.push(' ');
        }
    }
    finish(&mut options, &mut tag, &mut body);
    options
}

fn finish(options: &mut Vec<Described>, tag: &mut String, body: &mut String) {
    let (tag, text) = (std::mem::take(tag), std::mem::take(body).trim().to_owned());
    if tag.starts_with('-') && tag.len() > 1 {
        options.push(Described { tag, text });
    }
}

/// The arguments of a macro, quotes and escapes taken off.
fn arguments(text: &str) -> Vec<String> {
    let (mut all, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' => (quoted, begun) = (!quoted, true),
            '\\' => {
                word.push(c);
                word.extend(characters.next());
            }
            c if c.is_whitespace() && !quoted => {
                if begun || !word.is_empty() {
                    all.push(plain(&std::mem::take(&mut word)));
                }
                begun = false;
            }
            c => word.push(c),
        }
    }
    if begun || !word.is_empty() {
        all.push(plain(&word));
    }
    all
}

/// Words of mdoc: `Fl D Ar level` is `-D level`.
fn mdoc(text: &str) -> String {
    let (mut shown, mut flag) = (String::new(), false);
    for word in arguments(text) {
        match word.as_str() {
            "Fl" => flag = true,
            "Ar" | "Nm" | "Pa" | "Xr" | "Ql" | "Em" | "Cm" | "Op" | "Xo" | "Xc" | "Oo" | "Oc" | "Ns" => {}
            word => {
                if !shown.is_empty() {
                    shown.push(' ');
                }
                shown.push_str(if std::mem::take(&mut flag) { "-" } else { "" });
                shown.push_str(word);
            }
        }
    }
    shown
}

/// Text without troff's escapes.
fn plain(text: &str) -> String {
    let (mut shown, mut characters) = (String::new(), text.chars());
    while let Some(c) = characters.next() {
        if c != '\\' {
            shown.push(c);
            continue;
        }
        match characters.next() {
            Some('-') => shown.push('-'),
            Some('e') => shown.push('\\'),
            Some(' ' | '~' | '0') => shown.push(' '),
            // Fonts, sizes, strings and named characters: one letter, `(xx` or `[...]`.
            Some('f' | '*' | 's' | 'm') => match characters.next() {
                Some('(') => drop((characters.next(), characters.next())),
                Some('[') => drop(characters.by_ref().find(|c| *c == ']')),
                Some('-' | '+') => drop(characters.next()),
                _ => {}
            },
            Some('(') => {
                let name: String = characters.by_ref().take(2).collect();
                shown.push(match name.as_str() {
                    "hy" | "mi" | "em" | "en" => '-',
                    "aq" | "cq" | "oq" => '\'',
                    _ => ' ',
                });
            }
            _ => {}
        }
    }
    shown
}

/// The lines of a program's bytes that describe an option: `\t-b   Run in the background`.
fn help(bytes: &[u8]) -> Vec<Described> {
    const LONGEST: usize = 200;
    let mut options = Vec::new();
    for line in bytes.split(|byte| *byte == 0 || *byte == b'\n').filter(|line| line.len() < LONGEST) {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let line = line.trim();
        // Two blanks or a tab part the option from what is said of it.
        let parts = line.split_once("  ").or_else(|| line.split_once('\t')).or_else(|| line.split_once(": "));
        if let Some((tag, text)) = parts.filter(|_| line.starts_with('-') && line.len() > 2) {
            options.push(Described { tag: tag.trim().to_owned(), text: text.trim().to_owned() });
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Manual {
        Manual(page(text))
    }

    #[test]
    fn manual_pages_tell_how_to_stay_in_the_foreground() {
        let man = ".SH OPTIONS\n.TP\n.B \\-q\nNot here.\n.TP\n.BI \\-d \\ debug-level\nTurn on debugging.\nIf given,\n.B slapd\n\
            will not fork or disassociate from the terminal.\n.TP\n\\fB\\-b\\fR, \\fB\\-\\-back\\fR\nRun in the background.\n";
        assert_eq!(of(man).foreground(&[]), ["-d", "0"]);
        assert!(of(man).sends_to_the_background("--back") && !of(man).sends_to_the_background("-q"));
        let pod = ".IP \"\\fB\\-n\\fR, \\fB\\-\\-nodaemon\\fR\" 4\n.IX Item \"x\"\nDon't fork into the background.\n";
        assert_eq!(of(pod).foreground(&[]), ["-n"]);
        let docbook = ".PP\n\\-f\n.RS 4\nRun the server in the foreground (i\\&.e\\&. do not daemonize)\\&.\n.RE\n";
        assert_eq!(of(docbook).foreground(&[]), ["-f"]);
        let mdoc = ".It Fl D\nWhen this option is specified,\n.Nm\nwill not detach and does not become a daemon.\n.It Fl d\n\
            Debug mode. It will not fork.\n";
        assert_eq!(of(mdoc).foreground(&[]), ["-D"]);
        let never = ".TP\n\\-bd\nThis option runs it as a daemon.\n.TP\n\\-df\nThis delivers in the foreground.\n.TP\n\
            \\-bdf\nThis is the same as \\-bd, but it never disconnects from the terminal, even without debugging.\n";
        assert_eq!(of(never).foreground(&["-bd".to_owned()]), ["-bdf"]);
        assert_eq!(of(never).foreground(&[]), ["-df"]);
    }

    #[test]
    fn so_does_a_programs_own_help() {
        let bytes = b"\0usage: %s [-b]\n\t-b              Run icecast in the background\n\t-f  Stay in foreground\n\0";
        let manual = Manual(help(bytes));
        assert!(manual.sends_to_the_background("-b"));
        assert_eq!(manual.foreground(&[]), ["-f"]);
    }
}
