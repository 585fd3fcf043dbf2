//! The first line of a console script, in the forms that pip, uv and distlib write: which interpreter it names, and the
//! same script with another.

/// The head of a script.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The interpreter; without a folder where the script looks for it beside itself (`uv venv --relocatable`).
    pub(super) interpreter: Vec<u8>,
    /// What follows it on its line, with the blank before it.
    argument: Vec<u8>,
    /// How many bytes of the script it takes, its line's end too.
    length: usize,
}

/// `#!` of a script whose interpreter has a path that a kernel might not take: a shell starts it.
const BY_SHELL: &[u8] = b"#!/bin/sh\n'''exec' ";
/// How that ends.
const SHELL_ENDS: &[u8] = b"\n' '''\n";
/// What a script says that finds its own folder.
const OWN_FOLDER: &[u8] = b"\"$(dirname -- \"$(realpath -- \"$0\")\")\"/";

impl Head {
    /// Reads a script's head; none when it begins otherwise.
    pub(super) fn parse(script: &[u8]) -> Option<Self> {
        if let Some(rest) = script.strip_prefix(BY_SHELL) {
            let length = BY_SHELL.len() + memchr::memmem::find(rest, SHELL_ENDS)? + SHELL_ENDS.len();
            let line = rest.split(|&byte| byte == b'\n').next()?;
            let word = line.strip_suffix(b" \"$0\" \"$@\"")?;
            let word = word.strip_prefix(OWN_FOLDER).unwrap_or(word);
            let quoted = |quote: &[u8]| word.strip_prefix(quote)?.strip_suffix(quote);
            let interpreter = quoted(b"\"").or_else(|| quoted(b"'")).unwrap_or(word);
            return Some(Self { interpreter: interpreter.to_vec(), argument: Vec::new(), length });
        }
        let rest = script.strip_prefix(b"#!")?;
        let end = memchr::memchr(b'\n', rest)?;
        let line = rest.get(..end)?.trim_ascii_end();
        let start = line.iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
        let line = line.get(start..)?;
        let cut = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
        let (interpreter, argument) = line.split_at(cut);
        Some(Self { interpreter: interpreter.to_vec(), argument: argument.to_vec(), length: end + 3 })
    }

    /// The folder and the name of the interpreter.
    pub(super) fn place(&self) -> (Option<&[u8]>, &[u8]) {
        match self.interpreter.iter().rposition(|&byte| byte == b'/') {
            Some(cut) => (Some(&self.interpreter[..cut]), &self.interpreter[cut + 1..]),
            None => (None, &self.interpreter),
        }
    }

    /// The script with another interpreter.
    pub(super) fn replace(&self, script: &[u8], interpreter: &[u8]) -> Vec<u8> {
        let rest = script.get(self.length..).unwrap_or_default();
        [b"#!", interpreter, &self.argument, b"\n", rest].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_forms_that_installers_write() {
        let cases: [(&str, &str, &str); 5] = [
            ("#!/v/bin/python3\nimport x\n", "/v/bin/python3", "#!/new\nimport x\n"),
            ("#! /v/bin/python -I\r\nx", "/v/bin/python", "#!/new -I\nx"),
            ("#!/bin/sh\n'''exec' /a/b/python \"$0\" \"$@\"\n' '''\nimport x\n", "/a/b/python", "#!/new\nimport x\n"),
            ("#!/bin/sh\n'''exec' \"/a b/python\" \"$0\" \"$@\"\n' '''\nx", "/a b/python", "#!/new\nx"),
            (
                "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python3' \"$0\" \"$@\"\n' '''\nx",
                "python3",
                "#!/new\nx",
            ),
        ];
        for (script, interpreter, replaced) in cases {
            let head = Head::parse(script.as_bytes()).unwrap();
            assert_eq!(String::from_utf8_lossy(&head.interpreter), interpreter);
            assert_eq!(String::from_utf8_lossy(&head.replace(script.as_bytes(), b"/new")), replaced);
        }
        assert_eq!(Head::parse(b"import x\n"), None);
        assert_eq!(Head::parse(b"#!/no/end"), None);
    }
}
