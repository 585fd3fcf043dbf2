//! How the programs and libraries of an image are hardened, one by one and as the processes that they make.

use std::path::Path;

use rayon::prelude::*;

use super::Assembled;
use crate::closure::{Hardened, Protected};
use crate::path::ImagePath;
use crate::report::{Error, Result};

impl Assembled {
    /// Every ELF file that a program of the image loads, and the programs, by path.
    ///
    /// # Errors
    /// When one can't be read.
    pub fn hardened(&self) -> Result<Vec<Hardened>> {
        let of_file = |path: &&ImagePath| {
            let Some(entry) = self.tree.get(path) else { return Ok(None) };
            let Some(content) = entry.content() else { return Ok(None) };
            let read = || Ok((self.headers.object(content)?, self.headers.hardening(content)?));
            let read = read().map_err(|error| Error::io("read", Path::new(&path.to_string()), &error))?;
            let (Some(object), Some(hardening)) = read else { return Ok(None) };
            Ok(Some(Hardened { path: (*path).clone(), object, hardening, privileges: entry.privileges() }))
        };
        let paths: Vec<&ImagePath> = self.closure.files().into_keys().collect();
        let all: Vec<Option<Hardened>> = paths.par_iter().map(of_file).collect::<Result<_>>()?;
        Ok(all.into_iter().flatten().collect())
    }

    /// What the processes of the image's programs are protected by. Scripts run in those of their interpreters.
    pub fn protected(&self) -> Vec<Protected> {
        self.closure.protected(&self.wanted)
    }
}
