//! SHA-256 of a stream, and SHA-256 and SHA-1 of a file in it, of the same blocks at once (FIPS 180-4), where the
//! processor has instructions for them.
//!
//! Each of the three waits for its own last step most of the time. Step by step beside one another they take half as
//! much longer than one of them, and both SHA-256 need the words of a block only once.

/// The bytes of a block, of all three.
pub(super) const BLOCK: usize = 64;

/// The states of the three.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "no other processor is asked"))]
pub(super) struct States<'a> {
    pub(super) stream: &'a mut [u32; 8],
    pub(super) file: &'a mut [u32; 8],
    pub(super) sha1: &'a mut [u32; 5],
}

/// Takes blocks. `false` where this processor has no instructions for it; nothing is taken then.
pub(super) fn take(blocks: &[[u8; BLOCK]], states: States<'_>) -> bool {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("sha") && std::is_x86_feature_detected!("sse4.1") {
        #[expect(unsafe_code, reason = "a function for processors with some instructions; this one has them")]
        // SAFETY: the features that it is made for were just found.
        unsafe {
            x86::take(blocks, states);
        }
        return true;
    }
    let _ = (blocks, states);
    false
}

#[cfg(target_arch = "x86_64")]
#[expect(clippy::many_single_char_names, reason = "the names of the standard")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x, _mm_sha1msg1_epu32,
        _mm_sha1msg2_epu32, _mm_sha1nexte_epu32, _mm_sha1rnds4_epu32, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32,
        _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32, _mm_xor_si128,
    };

    use super::{BLOCK, States};

    /// The constants of SHA-256 (FIPS 180-4, section 4.2.2).
    const K: [[u32; 4]; 16] = [
        [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
        [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
        [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
        [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
        [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
        [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
        [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
        [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
        [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
        [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
        [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
        [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
        [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
        [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
        [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
        [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
    ];

    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    pub(super) fn take(blocks: &[[u8; BLOCK]], States { stream, file, sha1 }: States<'_>) {
        let [mut stream_abef, mut stream_cdgh] = pack(stream);
        let [mut file_abef, mut file_cdgh] = pack(file);
        let mut abcd = words([sha1[3], sha1[2], sha1[1], sha1[0]]);
        let mut e = words([0, 0, 0, sha1[4]]);
        for block in blocks {
            let before = (stream_abef, stream_cdgh, file_abef, file_cdgh, abcd, e);
            // The last sixteen words of each schedule: SHA-256 has the first one lowest, SHA-1 highest.
            let (mut w, mut m) = schedules(block);
            e = _mm_add_epi32(e, m[0]);
            // Four rounds of both SHA-256.
            macro_rules! sha256 {
                ($($step:literal)*) => {$(
                    if $step >= 4 {
                        let two = _mm_alignr_epi8(w[($step + 3) % 4], w[($step + 2) % 4], 4);
                        let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[$step % 4], w[($step + 1) % 4]), two);
                        w[$step % 4] = _mm_sha256msg2_epu32(sum, w[($step + 3) % 4]);
                    }
                    let low = _mm_add_epi32(w[$step % 4], words(K[$step]));
                    stream_cdgh = _mm_sha256rnds2_epu32(stream_cdgh, stream_abef, low);
                    file_cdgh = _mm_sha256rnds2_epu32(file_cdgh, file_abef, low);
                    let high = _mm_shuffle_epi32(low, 0x0e);
                    stream_abef = _mm_sha256rnds2_epu32(stream_abef, stream_cdgh, high);
                    file_abef = _mm_sha256rnds2_epu32(file_abef, file_cdgh, high);
                )*};
            }
            // Four rounds of SHA-1 with the function of their quarter. `e` is that of these rounds with their words.
            macro_rules! sha1 {
                ($function:literal: $($step:literal)*) => {$(
                    let last = abcd;
                    abcd = _mm_sha1rnds4_epu32(abcd, e, $function);
                    if $step >= 3 {
                        let sum = _mm_sha1msg1_epu32(m[($step + 1) % 4], m[($step + 2) % 4]);
                        let sum = _mm_xor_si128(sum, m[($step + 3) % 4]);
                        m[($step + 1) % 4] = _mm_sha1msg2_epu32(sum, m[$step % 4]);
                    }
                    e = if $step < 19 { _mm_sha1nexte_epu32(last, m[($step + 1) % 4]) } else { last };
                )*};
            }
            sha256!(0);
            sha1!(0: 0);
            sha256!(1);
            sha1!(0: 1);
            sha256!(2);
            sha1!(0: 2);
            sha256!(3);
            sha1!(0: 3 4);
            sha256!(4);
            sha1!(1: 5);
            sha256!(5);
            sha1!(1: 6);
            sha256!(6);
            sha1!(1: 7);
            sha256!(7);
            sha1!(1: 8 9);
            sha256!(8);
            sha1!(2: 10);
            sha256!(9);
            sha1!(2: 11);
            sha256!(10);
            sha1!(2: 12);
            sha256!(11);
            sha1!(2: 13 14);
            sha256!(12);
            sha1!(3: 15);
            sha256!(13);
            sha1!(3: 16);
            sha256!(14);
            sha1!(3: 17);
            sha256!(15);
            sha1!(3: 18 19);
            stream_abef = _mm_add_epi32(stream_abef, before.0);
            stream_cdgh = _mm_add_epi32(stream_cdgh, before.1);
            file_abef = _mm_add_epi32(file_abef, before.2);
            file_cdgh = _mm_add_epi32(file_cdgh, before.3);
            abcd = _mm_add_epi32(abcd, before.4);
            e = _mm_sha1nexte_epu32(e, before.5);
        }
        *stream = unpack([stream_abef, stream_cdgh]);
        *file = unpack([file_abef, file_cdgh]);
        let [d, c, b, a] = lanes(abcd);
        *sha1 = [a, b, c, d, lanes(e)[3]];
    }

    /// Words with the first one lowest.
    #[target_feature(enable = "sse2")]
    fn words(words: [u32; 4]) -> __m128i {
        let [a, b, c, d] = words.map(u32::cast_signed);
        _mm_set_epi32(d, c, b, a)
    }

    #[target_feature(enable = "sse4.1")]
    fn lanes(four: __m128i) -> [u32; 4] {
        let [a, b, c, d] = [
            _mm_extract_epi32(four, 0),
            _mm_extract_epi32(four, 1),
            _mm_extract_epi32(four, 2),
            _mm_extract_epi32(four, 3),
        ];
        [a, b, c, d].map(i32::cast_unsigned)
    }

    #[target_feature(enable = "sse2")]
    fn pack(&[a, b, c, d, e, f, g, h]: &[u32; 8]) -> [__m128i; 2] {
        [words([f, e, b, a]), words([h, g, d, c])]
    }

    #[target_feature(enable = "sse4.1")]
    fn unpack([abef, cdgh]: [__m128i; 2]) -> [u32; 8] {
        let ([f, e, b, a], [h, g, d, c]) = (lanes(abef), lanes(cdgh));
        [a, b, c, d, e, f, g, h]
    }

    /// The words of a block, which are big-endian, in the orders of SHA-256 and of SHA-1.
    #[target_feature(enable = "sse2,ssse3")]
    fn schedules(block: &[u8; BLOCK]) -> ([__m128i; 4], [__m128i; 4]) {
        let rising = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        let falling = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
        let (mut w, mut m) = ([rising; 4], [rising; 4]);
        for (place, bytes) in block.as_chunks::<16>().0.iter().enumerate() {
            let (low, high) = (bytes.first_chunk(), bytes.last_chunk());
            let half = |half: Option<&[u8; 8]>| half.map_or(0, |half| i64::from_le_bytes(*half));
            let bytes = _mm_set_epi64x(half(high), half(low));
            w[place] = _mm_shuffle_epi8(bytes, rising);
            m[place] = _mm_shuffle_epi8(bytes, falling);
        }
        (w, m)
    }
}
