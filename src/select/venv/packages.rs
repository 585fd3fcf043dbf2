//! What an environment's packages say of folders outside of it: editable installs and `.pth` files.

use super::{LARGEST, VENV, Venv};
use crate::path::{ImagePath, show};
use crate::report::Diagnostic;
use crate::select::Selector;
use crate::source::resolve;
use crate::tree::Entry;

impl Selector<'_> {
    /// Warns of folders that an environment adds to `sys.path`, and that the image does not have.
    pub(super) fn path_files(&mut self, venv: &Venv) {
        let mut missing: Vec<(ImagePath, String)> = Vec::new();
        let is_path_file = |path: &ImagePath| {
            path.name().ends_with(b".pth") && path.parent().is_some_and(|folder| folder.name() == b"site-packages")
        };
        for (path, entry) in self.out.tree.below(&venv.at).filter(|(path, _)| is_path_file(path)) {
            let Some(Ok(text)) = Entry::content(entry).map(|content| content.read(LARGEST)) else { continue };
            if path.name().starts_with(b"__editable__") && text.starts_with(b"import ") {
                missing.push((path.clone(), "is an editable install: its modules are elsewhere".to_owned()));
            }
            let folders = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
            for folder in folders.filter(|line| line.starts_with(b"/")) {
                if resolve(&self.out.tree, folder).is_err() {
                    missing.push((path.clone(), format!("adds `{}`, which the image does not have", show(folder))));
                }
            }
        }
        for (path, why) in missing {
            let warning = Diagnostic::warning(VENV, format!("`{path}` {why}")).at(venv.span, "copies the environment");
            self.out.notes.push(warning.help("install the package without `--editable` (`uv sync --no-editable`)"));
        }
    }
}
