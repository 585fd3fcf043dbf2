//! Control-flow protection that a processor enforces, as the notes of an object ask for it.

use std::ops::BitAnd;

use super::Object;

/// What an object asks for. A process has only what every object in it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a bit of a note")]
pub struct Features {
    /// Indirect branch tracking of x86.
    pub ibt: bool,
    /// The shadow stack of x86.
    pub shstk: bool,
    /// Branch target identification of Arm.
    pub bti: bool,
    /// Pointer authentication of Arm.
    pub pac: bool,
    /// The guarded control stack of Arm.
    pub gcs: bool,
}

impl Features {
    /// Every feature: what no object takes away from.
    pub const ALL: Self = Self { ibt: true, shstk: true, bti: true, pac: true, gcs: true };

    /// Their names, as `IBT`.
    pub fn names(self) -> Vec<&'static str> {
        let all = [(self.ibt, "IBT"), (self.shstk, "SHSTK"), (self.bti, "BTI"), (self.pac, "PAC"), (self.gcs, "GCS")];
        all.into_iter().filter_map(|(has, name)| has.then_some(name)).collect()
    }
}

impl BitAnd for Features {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self {
            ibt: self.ibt & other.ibt,
            shstk: self.shstk & other.shstk,
            bti: self.bti & other.bti,
            pac: self.pac & other.pac,
            gcs: self.gcs & other.gcs,
        }
    }
}

impl Object {
    /// The protection that it asks for.
    pub fn features(&self) -> Features {
        let (x86, arm) = (self.notes.x86_features, self.notes.aarch64_features);
        Features { ibt: x86 & 1 != 0, shstk: x86 & 2 != 0, bti: arm & 1 != 0, pac: arm & 2 != 0, gcs: arm & 4 != 0 }
    }
}
