//! What packages record of their files: for finding out what changed, not for security.

use std::io;

use crate::deb;
use crate::source::Content;

/// A digest of a file's bytes, by the algorithm that the package manager uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checksum {
    /// dpkg's, and that of old packages of rpm.
    Md5(deb::Md5),
    /// apk's.
    Sha1([u8; 20]),
    /// rpm's.
    Sha256([u8; 32]),
}

impl Checksum {
    /// The digest of some content by the same algorithm.
    pub(super) fn of_same_kind(self, content: &Content) -> io::Result<Self> {
        Ok(match self {
            Self::Md5(_) => Self::Md5(hash::<md5::Md5>(content)?.into()),
            Self::Sha1(_) => Self::Sha1(hash::<sha1::Sha1>(content)?.into()),
            Self::Sha256(_) => Self::Sha256(hash::<sha2::Sha256>(content)?.into()),
        })
    }

    /// It, when it is one of MD5.
    pub fn md5(self) -> Option<deb::Md5> {
        match self {
            Self::Md5(sum) => Some(sum),
            Self::Sha1(_) | Self::Sha256(_) => None,
        }
    }
}

fn hash<D: md5::Digest>(content: &Content) -> io::Result<md5::digest::Output<D>> {
    let mut digest = D::new();
    content.each_part(|part| digest.update(part))?;
    Ok(digest.finalize())
}
