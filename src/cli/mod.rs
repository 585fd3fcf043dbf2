//! The command line: flags in, options out, and what comes back on stdout and stderr. Nothing past this sees a flag,
//! the environment or a terminal.

pub mod closure;
