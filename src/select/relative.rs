//! Paths from one place of the image to another.

use crate::path::ImagePath;

/// The text of a link in `folder` that leads to `path`.
pub(super) fn relative(folder: &ImagePath, path: &ImagePath) -> Vec<u8> {
    let (from, to): (Vec<&[u8]>, Vec<&[u8]>) = (folder.components().collect(), path.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(b"..".as_slice(), from.len() - common);
    let parts: Vec<&[u8]> = up.chain(to[common..].iter().copied()).collect();
    if parts.is_empty() { b".".to_vec() } else { parts.join(&b'/') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_up_and_down() {
        let text = |from: &str, to: &str| {
            let path = |text: &str| ImagePath::new(text).unwrap();
            String::from_utf8(relative(&path(from), &path(to))).unwrap()
        };
        assert_eq!(text("/app/bin", "/app/lib/x"), "../lib/x");
        assert_eq!(text("/app", "/app"), ".");
        assert_eq!(text("/", "/a/b"), "a/b");
        assert_eq!(text("/a/b", "/"), "../..");
    }
}
