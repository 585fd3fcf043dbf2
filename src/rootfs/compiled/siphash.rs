//! SipHash-c-d with a 64-bit key, by which Python names the source of a compiled file (`_Py_KeyedHash`).

/// `SipHash` with `compression` rounds for each word and `finish` rounds at the end; the upper half of the key is 0.
pub(super) fn siphash(compression: u32, finish: u32, key: u64, bytes: &[u8]) -> u64 {
    let mut state = State {
        a: key ^ 0x736f_6d65_7073_6575,
        b: 0x646f_7261_6e64_6f6d,
        c: key ^ 0x6c79_6765_6e65_7261,
        d: 0x7465_6462_7974_6573,
    };
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state.take(u64::from_le_bytes(*word), compression);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    last[7] = bytes.len().to_le_bytes()[0];
    state.take(u64::from_le_bytes(last), compression);
    state.c ^= 0xff;
    state.rounds(finish);
    state.a ^ state.b ^ state.c ^ state.d
}

struct State {
    a: u64,
    b: u64,
    c: u64,
    d: u64,
}

impl State {
    fn take(&mut self, word: u64, rounds: u32) {
        self.d ^= word;
        self.rounds(rounds);
        self.a ^= word;
    }

    fn rounds(&mut self, count: u32) {
        for _ in 0..count {
            self.a = self.a.wrapping_add(self.b);
            self.b = self.b.rotate_left(13) ^ self.a;
            self.a = self.a.rotate_left(32);
            self.c = self.c.wrapping_add(self.d);
            self.d = self.d.rotate_left(16) ^ self.c;
            self.a = self.a.wrapping_add(self.d);
            self.d = self.d.rotate_left(21) ^ self.a;
            self.c = self.c.wrapping_add(self.b);
            self.b = self.b.rotate_left(17) ^ self.c;
            self.c = self.c.rotate_left(32);
        }
    }
}
