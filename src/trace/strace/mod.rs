//! Logs of `strace`: the text in, the calls in their order out.
//!
//! Any of strace's forms: with `-f` or a file for each process (`-ff`), with or without pids, times (`-r`, `-t`, `-tt`,
//! `-ttt`, `-T`), paths of descriptors (`-y`, `-yy`), commands (`-Y`), hexadecimal strings (`-x`, `-xx`) and raw flags
//! (`-X raw`), filtered (`-e trace=file`), calls torn apart (`<unfinished ...>`) or not.

use std::collections::BTreeMap;

use super::{Call, Outcome, Pid, Syscall, call};

mod line;
mod words;

use line::{Line, line};
use words::Words;

/// What a log holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// The calls that count, in their order.
    pub calls: Vec<Syscall>,
    /// How many lines were calls of any kind.
    pub lines: usize,
    /// How many lines were not understood.
    pub unknown: usize,
}

/// Reads a log. `pid` is that of lines without one: of a file that `-ff` wrote, the number at the end of its name.
pub fn parse(text: &[u8], pid: Pid) -> Log {
    let mut log = Log::default();
    let mut unfinished: BTreeMap<Pid, Vec<u8>> = BTreeMap::new();
    for text in text.split(|&byte| byte == b'\n').filter(|text| !text.trim_ascii().is_empty()) {
        let (of, line) = line(text);
        let of = of.unwrap_or(pid);
        match line {
            Line::Whole(text) => log.add(of, text),
            Line::Unfinished(start) => {
                unfinished.insert(of, start.to_vec());
            }
            Line::Resumed(rest) => match unfinished.remove(&of) {
                Some(start) => log.add(of, &[start.as_slice(), rest].concat()),
                None => log.unknown += 1,
            },
            Line::Ended => log.calls.push(Syscall { pid: of, call: Call::Exit, outcome: Outcome::Done(0) }),
            Line::Other => {}
            Line::Unknown => log.unknown += 1,
        }
    }
    log
}

/// Puts the logs of `-ff` together: each process's calls follow the call that made it.
pub fn join(logs: BTreeMap<Pid, Log>) -> Log {
    let child = |syscall: &Syscall| match (&syscall.call, syscall.outcome) {
        (Call::Fork { .. }, Outcome::Done(child)) => Pid::try_from(child).ok().filter(|child| *child > 0),
        _ => None,
    };
    let children: std::collections::BTreeSet<Pid> =
        logs.values().flat_map(|log| &log.calls).filter_map(child).collect();
    let mut joined = Log::default();
    for log in logs.values() {
        joined.lines += log.lines;
        joined.unknown += log.unknown;
    }
    let mut rest: BTreeMap<Pid, std::vec::IntoIter<Syscall>> =
        logs.into_iter().map(|(pid, log)| (pid, log.calls.into_iter())).collect();
    let mut roots: Vec<Pid> = rest.keys().copied().filter(|pid| !children.contains(pid)).collect();
    roots.reverse();
    // A circle of pids, as of numbers used again, has no first.
    while let Some(root) = roots.pop().or_else(|| rest.keys().next().copied()) {
        let mut stack: Vec<_> = rest.remove(&root).into_iter().collect();
        while let Some(calls) = stack.last_mut() {
            let Some(syscall) = calls.next() else {
                stack.pop();
                continue;
            };
            let next = child(&syscall).and_then(|child| rest.remove(&child));
            joined.calls.push(syscall);
            stack.extend(next);
        }
    }
    joined
}

impl Log {
    fn add(&mut self, pid: Pid, text: &[u8]) {
        let Some((name, words)) = Words::of(text) else {
            self.unknown += 1;
            return;
        };
        self.lines += 1;
        let Some(outcome) = words.outcome() else { return };
        if let Some(call) = call(&name, &words) {
            self.calls.push(Syscall { pid, call, outcome });
        }
    }
}
