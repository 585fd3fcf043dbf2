//! What `stat` says of a file, by which its content is known without reading it.

/// What a file was when it was looked at. Any change of content changes one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp {
    /// Device.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Modification time: seconds, nanoseconds.
    pub mtime: Time,
    /// Status change time: seconds, nanoseconds.
    pub ctime: Time,
}

/// A time: seconds since 1970, nanoseconds.
pub type Time = (i64, u32);

/// How long a file's time stamps may stay the same while it changes, in nanoseconds: a few ticks of the kernel's clock.
const TICKS: u32 = 100_000_000;
/// The same in seconds, where the file system keeps whole ones; FAT keeps every other one.
const SECONDS: i64 = 2;

impl Stamp {
    /// The bytes that stand for it in keys.
    pub fn bytes(&self) -> [u8; 48] {
        let mut bytes = [0; 48];
        let numbers = [self.device, self.inode, self.size, self.mtime.0.cast_unsigned(), self.ctime.0.cast_unsigned()];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes[40..44].copy_from_slice(&self.mtime.1.to_le_bytes());
        bytes[44..].copy_from_slice(&self.ctime.1.to_le_bytes());
        bytes
    }

    /// Whether the content or the state changed after those of another file.
    pub fn is_after(&self, other: &Self) -> bool {
        self.mtime > other.mtime || self.ctime > other.ctime
    }

    /// The stamp of [`Stamp::bytes`].
    pub fn parse(bytes: &[u8; 48]) -> Self {
        let long = |at: usize| bytes[at..].first_chunk().copied().map_or(0, u64::from_le_bytes);
        let short = |at: usize| bytes[at..].first_chunk().copied().map_or(0, u32::from_le_bytes);
        Self {
            device: long(0),
            inode: long(8),
            size: long(16),
            mtime: (long(24).cast_signed(), short(40)),
            ctime: (long(32).cast_signed(), short(44)),
        }
    }

    /// What `metadata` of an open file says.
    pub fn of(found: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let nanoseconds = |value: i64| u32::try_from(value).unwrap_or(0);
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            mtime: (found.mtime(), nanoseconds(found.mtime_nsec())),
            ctime: (found.ctime(), nanoseconds(found.ctime_nsec())),
        }
    }

    /// Whether the file's last change is so long before `now` that a later one has another time.
    pub(super) fn is_before(&self, now: Time) -> bool {
        let settled = |time: Time| {
            if time.1 == 0 {
                return time.0 + SECONDS < now.0;
            }
            let (seconds, nanoseconds) =
                if now.1 >= TICKS { (now.0, now.1 - TICKS) } else { (now.0 - 1, now.1 + 1_000_000_000 - TICKS) };
            time < (seconds, nanoseconds)
        };
        settled(self.mtime.max(self.ctime))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_just_now_is_not_settled() {
        let at = |mtime, ctime| Stamp { device: 1, inode: 2, size: 3, mtime, ctime };
        let settled = |mtime, ctime, now| at(mtime, ctime).is_before(now);
        assert!(settled((100, 0), (100, 0), (103, 0)));
        assert!(!settled((100, 0), (100, 0), (102, 999_999_999)));
        assert!(settled((100, 5), (100, 5), (100, 100_000_006)));
        assert!(!settled((100, 5), (100, 5), (100, 100_000_005)));
        assert!(!settled((5, 5), (100, 5), (100, 50)));
        assert!(!settled((200, 5), (5, 5), (100, 50)), "a time to come");
    }
}
