//! The command line of `env` in a script's first line: options, assignments, and the program that it starts.

/// A word of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// Text of the first line.
    Text(Vec<u8>),
    /// The path of the script, which the kernel adds.
    Script,
}

/// What `env` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// The word that it takes for the program.
    pub(super) program: Word,
    /// The PATH that it searches, when that is not the image's.
    pub(super) path: Option<Vec<u8>>,
    /// The folder into which it goes before it looks.
    pub(super) directory: Option<Vec<u8>>,
    /// The words that the program gets.
    pub(super) rest: Vec<Word>,
}

/// What `execvp` searches without a PATH.
const PATH_WITHOUT_ENVIRONMENT: &[u8] = b"/bin:/usr/bin";

/// Options of GNU env, with whether they take an argument of their own.
const LONG_OPTIONS: [(&str, Argument); 14] = [
    ("argv0", Argument::Needed),
    ("block-signal", Argument::Optional),
    ("chdir", Argument::Needed),
    ("debug", Argument::None),
    ("default-signal", Argument::Optional),
    ("help", Argument::Ends),
    ("ignore-environment", Argument::None),
    ("ignore-signal", Argument::Optional),
    ("list-signal-handling", Argument::None),
    ("null", Argument::Null),
    ("split-string", Argument::Needed),
    ("unset", Argument::Needed),
    ("version", Argument::Ends),
    ("verbose", Argument::None),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Argument {
    None,
    Optional,
    Needed,
    /// It does its own thing and starts nothing.
    Ends,
    /// It is for what is listed when nothing is started. GNU's refuses it beside a program.
    Null,
}

struct Parser {
    words: std::collections::VecDeque<Word>,
    path: Option<Vec<u8>>,
    directory: Option<Vec<u8>>,
    is_busybox: bool,
}

/// Reads the command line. The error is the word at fault.
pub(super) fn command(words: Vec<Word>, is_busybox: bool) -> Result<Command, Vec<u8>> {
    let mut parser = Parser { words: words.into(), path: None, directory: None, is_busybox };
    parser.options()?;
    while let Some(program) = parser.words.pop_front() {
        match &program {
            Word::Text(text) if text.starts_with(b"PATH=") => parser.path = Some(text[b"PATH=".len()..].to_vec()),
            Word::Text(text) if text.contains(&b'=') => {}
            _ => {
                let (path, directory, rest) = (parser.path, parser.directory, parser.words.into());
                return Ok(Command { program, path, directory, rest });
            }
        }
    }
    Err(Vec::new())
}

impl Parser {
    fn options(&mut self) -> Result<(), Vec<u8>> {
        while let Some(Word::Text(text)) = self.words.front().cloned() {
            match text.as_slice() {
                b"--" => {
                    self.words.pop_front();
                    break;
                }
                b"-" => self.path = Some(PATH_WITHOUT_ENVIRONMENT.to_vec()),
                [b'-', b'-', long @ ..] => {
                    self.words.pop_front();
                    self.long_option(&text, long)?;
                    continue;
                }
                [b'-', short @ ..] => {
                    self.words.pop_front();
                    self.short_options(&text, short)?;
                    continue;
                }
                _ => break,
            }
            self.words.pop_front();
        }
        Ok(())
    }

    fn long_option(&mut self, word: &[u8], option: &[u8]) -> Result<(), Vec<u8>> {
        let (name, value) = match memchr::memchr(b'=', option) {
            Some(equals) => (&option[..equals], Some(option[equals + 1..].to_vec())),
            None => (option, None),
        };
        let mut known = LONG_OPTIONS.iter().filter(|(known, _)| known.as_bytes().starts_with(name));
        let exact = LONG_OPTIONS.iter().find(|(known, _)| known.as_bytes() == name);
        let (Some((name, argument)), None) = exact.map_or_else(|| (known.next(), known.next()), |it| (Some(it), None))
        else {
            return Err(word.to_vec());
        };
        let value = match (argument, value) {
            (Argument::Ends, _) | (Argument::None | Argument::Null, Some(_)) => return Err(word.to_vec()),
            (Argument::Null, None) if !self.is_busybox => return Err(word.to_vec()),
            (Argument::Needed, None) => Some(self.next_text(word)?),
            (_, value) => value,
        };
        match *name {
            "chdir" => {
                self.directory = value;
                Ok(())
            }
            "split-string" => self.split(word, &value.unwrap_or_default()),
            "ignore-environment" => {
                self.path = Some(PATH_WITHOUT_ENVIRONMENT.to_vec());
                Ok(())
            }
            "unset" if value.as_deref() == Some(b"PATH") => {
                self.path = Some(PATH_WITHOUT_ENVIRONMENT.to_vec());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn short_options(&mut self, word: &[u8], options: &[u8]) -> Result<(), Vec<u8>> {
        for (index, option) in options.iter().enumerate() {
            let rest = &options[index + 1..];
            match option {
                b'i' => self.path = Some(PATH_WITHOUT_ENVIRONMENT.to_vec()),
                b'0' if !self.is_busybox => return Err(word.to_vec()),
                b'0' | b'v' => {}
                b'u' | b'C' | b'S' | b'a' => {
                    let value = if rest.is_empty() { self.next_text(word)? } else { rest.to_vec() };
                    if *option == b'S' {
                        return self.split(word, &value);
                    }
                    match option {
                        b'u' if value == b"PATH" => self.path = Some(PATH_WITHOUT_ENVIRONMENT.to_vec()),
                        b'C' => self.directory = Some(value),
                        _ => {}
                    }
                    return Ok(());
                }
                _ => return Err(word.to_vec()),
            }
        }
        Ok(())
    }

    fn next_text(&mut self, word: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        match self.words.pop_front() {
            Some(Word::Text(text)) => Ok(text),
            _ => Err(word.to_vec()),
        }
    }

    fn split(&mut self, word: &[u8], text: &[u8]) -> Result<(), Vec<u8>> {
        let split = if self.is_busybox { None } else { split(text) };
        for part in split.ok_or_else(|| word.to_vec())?.into_iter().rev() {
            self.words.push_front(Word::Text(part));
        }
        Ok(())
    }
}

/// `env -S`: words between blanks, with quotes, escapes and a comment. `${NAME}` is empty: what the image's environment
/// holds is not known here. None where `env` refuses the text.
fn split(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\'' | b'"' if quote == Some(byte) => quote = None,
            b'\'' | b'"' if quote.is_none() => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' if quote.is_none() => words.extend(word.take()),
            b'#' if quote.is_none() && word.is_none() => break,
            b'\\' if quote == Some(b'\'') => match bytes.next_if(|next| matches!(next, b'\\' | b'\'')) {
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => word.get_or_insert_default().push(b'\\'),
            },
            b'\\' => {
                let escaped = match bytes.next()? {
                    b'_' if quote.is_none() => {
                        words.extend(word.take());
                        continue;
                    }
                    b'_' => b' ',
                    b'c' if quote.is_none() => break,
                    b'f' => 0x0c,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 0x0b,
                    other @ (b'"' | b'#' | b'$' | b'\'' | b'\\') => other,
                    _ => return None,
                };
                word.get_or_insert_default().push(escaped);
            }
            b'$' if quote != Some(b'\'') => {
                bytes.next_if_eq(&b'{')?;
                let name: Vec<u8> = std::iter::from_fn(|| bytes.next_if(|next| *next != b'}')).collect();
                bytes.next()?;
                let first = name.first()?;
                let character = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
                if first.is_ascii_digit() || !name.iter().all(character) {
                    return None;
                }
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word.take());
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(argument: &str) -> Result<Word, Vec<u8>> {
        command(vec![Word::Text(argument.into()), Word::Script], false).map(|command| command.program)
    }

    #[test]
    fn finds_the_program() {
        let text = |text: &str| Ok(Word::Text(text.into()));
        assert_eq!(program("python3"), text("python3"));
        assert_eq!(program("python3 -u"), text("python3 -u"));
        assert_eq!(program("-S python3 -u \"a b\""), text("python3"));
        assert_eq!(program("-S A=1 B=2 perl -w"), text("perl"));
        assert_eq!(program("-iS python3 -E"), text("python3"));
        assert_eq!(program("-S -u LD_LIBRARY_PATH node --x"), text("node"));
        assert_eq!(program("--split-string=ruby -W0"), text("ruby"));
        assert_eq!(program("FOO=1 python3"), Ok(Word::Script));
        assert_eq!(program("-S"), Err(b"-S".to_vec()));
        assert_eq!(program("-x"), Err(b"-x".to_vec()));
        assert_eq!(program("-- python3"), Err(b"-- python3".to_vec()));
        assert_eq!(program("-S -0 python3"), Err(b"-0".to_vec()));
        assert_eq!(program("-S --null python3"), Err(b"--null".to_vec()));
        assert_eq!(program("-S -C /opt --chdir=/srv python3"), text("python3"));
    }

    #[test]
    fn splits_as_env_does() {
        let words = |text: &str| split(text.as_bytes()).map(|words| words.concat());
        assert_eq!(
            split(b"a 'b c' \"d\\_e\" f\\_g"),
            Some(vec![b"a".to_vec(), b"b c".to_vec(), b"d e".to_vec(), b"f".to_vec(), b"g".to_vec()])
        );
        assert_eq!(words("a # b"), Some(b"a".to_vec()));
        assert_eq!(words("a${X}b"), Some(b"ab".to_vec()));
        assert_eq!(words("$X"), None);
        assert_eq!(words("'a"), None);
        assert_eq!(words("a\\q"), None);
    }
}
