//! Limits on what the image holds: bytes, files, paths.

use globset::{Glob, GlobBuilder, GlobMatcher};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::rules::{DENY_FILES, MAX_DOWNLOAD, MAX_FILES, MAX_SIZE, Rule, all, lower};
use super::{Finding, Judge};
use crate::path::ImagePath;
use crate::recipe::Policy;
use crate::report::{Diagnostic, Result, Span, Spanned};
use crate::tree::Entry;

/// A finding about a limit: what is wrong, and the limit's place.
pub(super) fn broken(rule: &'static Rule, set_at: Span, summary: String) -> Finding {
    Finding { set_at: Some(set_at), ..Finding::new(rule, rule.default, summary) }
}

/// A glob of the policy, over a whole path: `*` and `?` stay within a component, `**` does not.
pub(super) fn glob(rule: &Rule, text: &Spanned<String>) -> Result<GlobMatcher> {
    let glob: Result<Glob, _> = GlobBuilder::new(text).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| {
        let title = format!("`{}` in `{}` is no glob", text.value, rule.name);
        Diagnostic::error(rule.code, title).at(text.span, error.kind().to_string()).into()
    })
}

/// The most bytes of all layers, by the recipe or what lies below it.
pub fn download_limit(policy: &Policy) -> Option<Spanned<u64>> {
    lower(policy, |policy| policy.max_download.as_ref())
}

/// The finding about layers that are larger than a limit, each with its compressed size and name.
pub fn max_download(limit: &Spanned<u64>, layers: &[(u64, &str)]) -> Option<Finding> {
    let size: u64 = layers.iter().map(|(size, _)| size).sum();
    if size <= limit.value {
        return None;
    }
    let (is, may) = both(size, limit.value);
    let summary = format!("the layers are {is} compressed, and policy allows {may}");
    let mut finding = broken(&MAX_DOWNLOAD, limit.span, summary);
    let mut layers = layers.to_vec();
    layers.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let largest: Vec<String> = layers.iter().take(5).map(|(size, name)| format!("{} {name}", bytes(*size))).collect();
    finding.notes.push(format!("largest: {}", largest.join(", ")));
    Some(finding)
}

/// Two sizes as a person reads them; to the byte where they would look the same.
fn both(size: u64, limit: u64) -> (String, String) {
    let (is, may) = (bytes(size), bytes(limit));
    if is == may { (format!("{size} bytes"), format!("{limit} bytes")) } else { (is, may) }
}

impl Judge<'_> {
    pub(super) fn max_size(&self) -> Option<Finding> {
        let limit = lower(self.policy, |policy| policy.max_size.as_ref())?;
        let files = self.tree.iter().filter_map(|(path, entry)| Some((entry.content()?.size(), path)));
        let mut files: Vec<(u64, &ImagePath)> = files.collect();
        let size: u64 = files.iter().map(|(size, _)| size).sum();
        if size <= limit.value {
            return None;
        }
        let (is, may) = both(size, limit.value);
        let summary = format!("the image is {is} unpacked, and policy allows {may}");
        let mut finding = broken(&MAX_SIZE, limit.span, summary);
        files.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        let largest: Vec<String> =
            files.iter().take(5).map(|(size, path)| format!("{} {path}", bytes(*size))).collect();
        finding.notes.push(format!("largest: {}", largest.join(", ")));
        Some(finding)
    }

    pub(super) fn max_files(&self) -> Option<Finding> {
        let limit = lower(self.policy, |policy| policy.max_files.as_ref())?;
        let mut folders: std::collections::BTreeMap<ImagePath, u64> = std::collections::BTreeMap::new();
        let mut count: u64 = 0;
        for (path, _) in self.tree.iter().filter(|(_, entry)| !entry.is_directory()) {
            count += 1;
            if let Some(folder) = path.parent() {
                *folders.entry(folder).or_default() += 1;
            }
        }
        if count <= limit.value {
            return None;
        }
        let summary = format!("the image has {count} files and links, and policy allows {}", limit.value);
        let mut finding = broken(&MAX_FILES, limit.span, summary);
        let mut folders: Vec<(ImagePath, u64)> = folders.into_iter().collect();
        folders.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let most: Vec<String> = folders.iter().take(5).map(|(folder, count)| format!("{count} in {folder}")).collect();
        finding.notes.push(format!("most: {}", most.join(", ")));
        Some(finding)
    }

    /// One finding for each glob that something matches.
    pub(super) fn deny_files(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for pattern in &all(self.policy, |policy| &policy.deny_files) {
            let glob = glob(&DENY_FILES, pattern)?;
            let is_match = |path: &ImagePath| glob.is_match(OsStr::from_bytes(path.as_bytes()));
            // A folder that only holds others was not asked for; what it holds is told by itself.
            let files = self.tree.iter().filter(|(path, entry)| !entry.is_directory() && is_match(path));
            let paths = files.map(|(path, _): (&ImagePath, &Entry)| (path.clone(), String::new())).collect();
            let hits = self.hits(&DENY_FILES, paths);
            let Some(first) = hits.first() else { continue };
            let summary = format!("policy forbids `{}`, and the image would have `{}`", pattern.value, first.path);
            let mut finding = broken(&DENY_FILES, pattern.span, summary);
            finding.asked_at = self.asked_at(&hits);
            finding.hits = hits;
            findings.push(finding);
        }
        Ok(findings)
    }
}

/// `31.2 MB`, a megabyte being 10^6 bytes.
fn bytes(count: u64) -> String {
    let (unit, name) = match count {
        1 => return "1 byte".to_owned(),
        0..1_000 => return format!("{count} bytes"),
        1_000..1_000_000 => (1_000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    let tenths = count / (unit / 10);
    match tenths % 10 {
        0 => format!("{} {name}", tenths / 10),
        tenth => format!("{}.{tenth} {name}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let all = [0, 999, 1_000, 25_000_000, 31_249_000, 1_960_000_000, u64::MAX].map(bytes);
        assert_eq!(all.join(", "), "0 bytes, 999 bytes, 1 kB, 25 MB, 31.2 MB, 1.9 GB, 18446744073.7 GB");
    }
}
