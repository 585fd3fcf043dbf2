//! `/etc/ld.so.cache`: read in both of its formats, searched as glibc searches it, made from `ld.so.conf` as
//! `ldconfig` makes it, and written for an image.

mod conf;
mod file;
mod image;
mod make;
mod write;

pub use conf::configured_directories;
pub use image::for_image;
pub use make::collect;
pub use write::{Entry, write};

pub(super) use file::{CacheFile, Query, compare};
pub(super) use make::collect_in;

/// Where the cache is.
pub const PATH: &[u8] = b"/etc/ld.so.cache";

/// The magic of the format that glibc 2.2 and later read.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// The magic of the format of libc5 and glibc 2.0 and 2.1.
const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
const HEADER_SIZE: usize = 48;
const ENTRY_SIZE: usize = 24;
const OLD_HEADER_SIZE: usize = 16;
const OLD_ENTRY_SIZE: usize = 12;
/// `cache_extension_magic`.
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
/// `cache_extension_tag_glibc_hwcaps`.
const TAG_GLIBC_HWCAPS: u32 = 1;
/// `DL_CACHE_HWCAP_EXTENSION`: the entry is from a directory below `glibc-hwcaps`.
const HWCAP_EXTENSION: u64 = 1 << 62;
/// `DL_CACHE_HWCAP_ISA_LEVEL_MASK`, in the upper half of hwcap.
const ISA_LEVEL_MASK: u64 = 0x3ff;
