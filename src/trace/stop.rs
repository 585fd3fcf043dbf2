//! The kernel's own account of a stop at a system call: `struct ptrace_syscall_info`, the same on every architecture.

/// Where a traced process stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Before a call.
    Entry {
        /// `AUDIT_ARCH_*`.
        architecture: u32,
        /// The call's number.
        number: u64,
        /// Its arguments.
        arguments: [u64; 6],
    },
    /// After a call, with what it gave: a value, or an error's number.
    Exit(Result<i64, i64>),
    /// Elsewhere.
    Other,
}

/// Where what depends on the kind of stop begins.
const HEADER: usize = 24;

/// Reads what `PTRACE_GET_SYSCALL_INFO` wrote; `None` when it is too short for what it says it is.
pub fn read_stop(bytes: &[u8]) -> Option<Stop> {
    let word = |at: usize| bytes.get(at..at + 8)?.first_chunk().map(|chunk| u64::from_ne_bytes(*chunk));
    match bytes.first()? {
        1 => {
            let architecture = u32::from_ne_bytes(*bytes.get(4..8)?.first_chunk()?);
            let mut arguments = [0; 6];
            for (place, argument) in arguments.iter_mut().enumerate() {
                *argument = word(HEADER + 8 + 8 * place)?;
            }
            Some(Stop::Entry { architecture, number: word(HEADER)?, arguments })
        }
        2 => {
            let value = word(HEADER)?.cast_signed();
            Some(Stop::Exit(if *bytes.get(HEADER + 8)? == 0 { Ok(value) } else { Err(-value) }))
        }
        _ => Some(Stop::Other),
    }
}
