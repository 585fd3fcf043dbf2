//! PEM text to certificates and back (RFC 7468). Checks the form of a certificate, not its signature or dates.

use std::fmt::Write;

/// A certificate: its DER bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Certificate(pub(super) Vec<u8>);

/// Why a text is no list of certificates.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The line, from 1; none when it is about the whole.
    pub(super) line: Option<usize>,
    /// What is wrong.
    pub(super) what: What,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum What {
    #[error("holds no certificate")]
    Empty,
    #[error("is in DER form, not PEM")]
    Der,
    #[error("is no PEM text")]
    Binary,
    #[error("a private key")]
    PrivateKey,
    #[error("a `{0}`, not a `CERTIFICATE`")]
    OtherLabel(String),
    #[error("`-----END CERTIFICATE-----` is missing")]
    NoEnd,
    #[error("not base64")]
    NotBase64,
    #[error("the base64 text holds no X.509 certificate")]
    NotX509,
}

/// Reads every certificate of a PEM text. Text outside of the blocks is passed over, as everyone does.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Certificate>, Fault> {
    if is_certificate(text) {
        return Err(Fault { line: None, what: What::Der });
    }
    if text.contains(&0) {
        return Err(Fault { line: None, what: What::Binary });
    }
    let mut certificates = Vec::new();
    let mut lines = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    while let Some((index, line)) = lines.next() {
        let Some(label) = label(line, b"-----BEGIN ") else { continue };
        let fault = |line: usize, what| Fault { line: Some(line + 1), what };
        if label != "CERTIFICATE" && label != "X509 CERTIFICATE" {
            let private = label.ends_with("PRIVATE KEY");
            return Err(fault(index, if private { What::PrivateKey } else { What::OtherLabel(label) }));
        }
        let mut body = Vec::new();
        loop {
            match lines.next() {
                Some((_, line)) if self::label(line, b"-----END ").as_deref() == Some(&label) => break,
                Some((at, line)) if line.starts_with(b"-----") => return Err(fault(at, What::NoEnd)),
                Some((at, line)) if !line.iter().copied().all(in_alphabet) => return Err(fault(at, What::NotBase64)),
                Some((_, line)) => body.extend_from_slice(line),
                None => return Err(fault(index, What::NoEnd)),
            }
        }
        let der = decode(&body).ok_or_else(|| fault(index, What::NotBase64))?;
        if !is_certificate(&der) {
            return Err(fault(index, What::NotX509));
        }
        certificates.push(Certificate(der));
    }
    if certificates.is_empty() {
        return Err(Fault { line: None, what: What::Empty });
    }
    Ok(certificates)
}

/// One block, 64 characters to a line as RFC 7468 wants.
pub(super) fn write(certificate: &Certificate) -> String {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in certificate.0.chunks(48) {
        for group in line.chunks(3) {
            let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for place in 0..4 {
                let padding = place > group.len();
                let sextet = (bits >> (18 - 6 * place) & 63) as usize;
                text.push(if padding { '=' } else { char::from(ALPHABET[sextet]) });
            }
        }
        text.push('\n');
    }
    let _ = writeln!(text, "-----END CERTIFICATE-----");
    text
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn label(line: &[u8], start: &[u8]) -> Option<String> {
    let label = line.strip_prefix(start)?.strip_suffix(b"-----")?;
    Some(String::from_utf8_lossy(label).into_owned())
}

fn in_alphabet(byte: u8) -> bool {
    sextet(byte).is_some() || matches!(byte, b'=' | b' ' | b'\t')
}

fn sextet(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let digits = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(&text);
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0;
        for place in 0..4 {
            bits = bits << 6 | group.get(place).map_or(Some(0), |&byte| sextet(byte))?;
        }
        let [_, high, middle, low] = bits.to_be_bytes();
        bytes.extend_from_slice(&[high, middle, low][..group.len() - 1]);
    }
    Some(bytes)
}

/// Whether bytes have the outer form of an X.509 certificate (RFC 5280, 4.1): a SEQUENCE of a SEQUENCE, a SEQUENCE and
/// a BIT STRING, and nothing after it.
fn is_certificate(der: &[u8]) -> bool {
    let of = |tag: u8, der| element(der).filter(|(found, ..)| *found == tag);
    let parts = || {
        let (_, certificate, rest) = of(0x30, der)?;
        let (_, _, after_body) = of(0x30, certificate)?;
        let (_, _, after_algorithm) = of(0x30, after_body)?;
        let (_, _, after_signature) = of(0x03, after_algorithm)?;
        Some(rest.is_empty() && after_signature.is_empty())
    };
    parts() == Some(true)
}

/// One DER element: its tag, what it holds, what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
        }
        _ => return None,
    };
    let (held, rest) = rest.split_at_checked(length)?;
    Some((tag, held, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for filling in 0..100 {
            let body = [0x30, filling]
                .into_iter()
                .chain((0..filling).map(|byte: u8| byte.wrapping_mul(7)))
                .collect::<Vec<u8>>();
            let held = [body, vec![0x30, 0, 0x03, 1, 0]].concat();
            let der = [&[0x30, 0x82, 0, u8::try_from(held.len()).unwrap()], held.as_slice()].concat();
            let certificate = Certificate(der);
            assert_eq!(parse(write(&certificate).as_bytes()), Ok(vec![certificate]));
        }
    }
}
