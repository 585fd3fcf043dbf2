//! The course of a test: what runs before, what runs beside, the image's own program, its clients, its end.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::bench::{Bench, Program};
use super::{deadline, http, is_service, matcher, mismatch, unexpected};
use crate::recipe::{Call, HttpCheck, Test};
use crate::report::Result;

/// How often is tried what needs a service to be ready.
const STEP: Duration = Duration::from_millis(20);
/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(2);

/// Runs the programs of a test; what is not as it must be.
pub(super) fn run(test: &Test, bench: &mut Bench<'_>) -> Result<Vec<String>> {
    for call in &test.before {
        let failures = program(call, "what runs before", test, bench)?;
        if !failures.is_empty() {
            return Ok(failures);
        }
    }
    let mut beside = Vec::new();
    for call in &test.beside {
        let mut started = bench.start(call)?;
        if !bench.join(&mut started)? {
            return Ok(ended_at_once(&mut started, "what runs beside", test));
        }
        if let Some(failures) = not_ready(&mut started, call, "what runs beside", test) {
            return Ok(failures);
        }
        beside.push(started);
    }
    if !is_service(test) {
        return program(&test.call, "the program", test, bench);
    }
    let mut own = bench.start(&test.call)?;
    if !bench.join(&mut own)? {
        return Ok(ended_at_once(&mut own, "the service", test));
    }
    let mut failures = match not_ready(&mut own, &test.call, "the service", test) {
        Some(failures) => return Ok(failures),
        None => requests(test, &mut own, bench)?,
    };
    let log = own.output();
    failures.extend(stop(test, &mut own));
    if !failures.is_empty() {
        failures.extend(matcher::tail("service's stdout", &log.0));
        failures.extend(matcher::tail("service's stderr", &log.1));
    }
    Ok(failures)
}

fn program(call: &Call, what: &str, test: &Test, bench: &mut Bench<'_>) -> Result<Vec<String>> {
    Ok(match bench.finish(call, deadline(test))? {
        Some(ended) => unexpected(what, &ended, call),
        None => vec![format!("{what} does not end in time")],
    })
}

/// What is said of a container that has ended before its network could be entered.
fn ended_at_once(program: &mut Program, what: &str, test: &Test) -> Vec<String> {
    let mut failures = vec![match program.running.wait_until(deadline(test)) {
        Some(exit) => format!("{what} exits with {exit} at once"),
        None => format!("{what} does not start in time"),
    }];
    let (stdout, stderr) = program.output();
    failures.extend(matcher::tail("stdout", &stdout));
    failures.extend(matcher::tail("stderr", &stderr));
    failures
}

/// Waits for the port of a service; why it does not come.
fn not_ready(program: &mut Program, call: &Call, what: &str, test: &Test) -> Option<Vec<String>> {
    let port = call.port.as_ref()?.value;
    let end = deadline(test);
    loop {
        if connect(port).is_some() {
            return None;
        }
        let ended = program.running.wait_until(Instant::now() + STEP);
        if ended.is_some() || Instant::now() > end {
            let mut failures = vec![match ended {
                Some(exit) => format!("{what} exits with {exit} before it listens on port {port}"),
                None => format!("{what} does not listen on port {port} in time"),
            }];
            let (stdout, stderr) = program.output();
            failures.extend(matcher::tail("stdout", &stdout));
            failures.extend(matcher::tail("stderr", &stderr));
            return Some(failures);
        }
    }
}

/// A connection to a port of this thread's network.
pub(super) fn connect(port: u16) -> Option<TcpStream> {
    let addresses: [SocketAddr; 2] = [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
    addresses.iter().find_map(|address| TcpStream::connect_timeout(address, CONNECT).ok())
}

/// The requests and clients of a test, in order. Without a port to wait for, the first is tried until it succeeds.
fn requests(test: &Test, own: &mut Program, bench: &mut Bench<'_>) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    let mut is_ready = test.call.port.is_some();
    let end = deadline(test);
    for check in &test.http {
        let port = check.port.as_ref().or(test.call.port.as_ref()).map(|port| port.value);
        let Some(port) = port.or(own.image.parameters.tcp_port()) else {
            return Ok(vec![format!(
                "`{}` is asked for without a port: neither the test nor the image has one",
                check.path
            )]);
        };
        failures.extend(again(&mut is_ready, end, own, || Ok(request(check, port)))?);
    }
    for call in &test.client {
        let what = call
            .run
            .as_deref()
            .and_then(<[_]>::first)
            .map_or("the client".to_owned(), |word| format!("the client `{}`", word.value));
        failures.extend(again(&mut is_ready, end, own, || program(call, &what, test, bench))?);
    }
    Ok(failures)
}

/// Tries something until it succeeds, when the service may not be ready, else once.
fn again(
    is_ready: &mut bool,
    end: Instant,
    own: &mut Program,
    mut attempt: impl FnMut() -> Result<Vec<String>>,
) -> Result<Vec<String>> {
    loop {
        let mut failures = attempt()?;
        if failures.is_empty() || *is_ready || Instant::now() > end {
            *is_ready = true;
            return Ok(failures);
        }
        if let Some(exit) = own.running.wait_until(Instant::now() + STEP) {
            failures.insert(0, format!("the service exits with {exit}"));
            return Ok(failures);
        }
    }
}

fn request(check: &HttpCheck, port: u16) -> Vec<String> {
    let what = format!("http://localhost:{port}{}", check.path);
    let answer = match http::ask(port, &check.path) {
        Ok(answer) => answer,
        Err(why) => return vec![format!("{what} {why}")],
    };
    let mut failures = Vec::new();
    if answer.status != check.status {
        failures.push(format!("{what} answers {}, not {}", answer.status, check.status));
    }
    let body = String::from_utf8_lossy(&answer.body);
    failures
        .extend(check.body.iter().filter_map(|check| Some(format!("{what}: the body {}", mismatch(check, &body)?))));
    for (name, wanted) in &check.header {
        let values: Vec<&str> = answer.fields(name).collect();
        if !values.iter().any(|value| value.contains(wanted.value.as_str())) {
            failures.push(match values.first() {
                Some(value) => format!("{what}: `{name}` is `{value}`, which does not contain `{}`", wanted.value),
                None => format!("{what}: the answer has no `{name}`"),
            });
        }
    }
    failures
}

/// Sends the stop signal where the test asks for its end, and holds it against what it expects.
fn stop(test: &Test, own: &mut Program) -> Vec<String> {
    let expect = &test.call.expect;
    if let Some(exit) = own.running.wait_until(Instant::now()) {
        return vec![format!("the service exits with {exit} by itself")];
    }
    let mut failures = Vec::new();
    if test.stops_within.is_some() || expect.exit.is_some() {
        let limit = test.stops_within.as_ref().map_or(Duration::from_secs(10), |time| Duration::from_nanos(time.value));
        own.running.signal(stop_signal(own.image.parameters.stop_signal.as_deref()));
        match (own.running.wait_until(Instant::now() + limit), &expect.exit) {
            (None, _) => failures.push(format!("the service does not end within {limit:?} of its stop signal")),
            (Some(exit), Some(wanted)) if exit != wanted.value => {
                failures.push(format!("the service exits with {exit}, not {}", wanted.value));
            }
            _ => {}
        }
    }
    let (stdout, stderr) = own.output();
    for (stream, text, checks) in [("stdout", &stdout, &expect.stdout), ("stderr", &stderr, &expect.stderr)] {
        let differs = |check| Some(format!("the service's {stream} {}", mismatch(check, text)?));
        failures.extend(checks.iter().filter_map(|check| differs(&check.value)));
    }
    failures
}

/// A signal by its name or number; SIGTERM when there is none.
fn stop_signal(name: Option<&str>) -> Signal {
    let Some(name) = name else { return Signal::TERM };
    match name.strip_prefix("SIG").unwrap_or(name) {
        "HUP" | "1" => Signal::HUP,
        "INT" | "2" => Signal::INT,
        "QUIT" | "3" => Signal::QUIT,
        "KILL" | "9" => Signal::KILL,
        "USR1" | "10" => Signal::USR1,
        "USR2" | "12" => Signal::USR2,
        "WINCH" | "28" => Signal::WINCH,
        "PWR" | "30" => Signal::POWER,
        other => other.parse().ok().and_then(Signal::from_named_raw).unwrap_or(Signal::TERM),
    }
}
