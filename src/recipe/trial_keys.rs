//! The keys of `[[test]]` as they are written. The doc comments are the schema's text.

use super::decode::keys;
use super::kinds::{List, Number, OneOrMore, Scalar, Text, Words};
use super::tables::{Calls, Mapping, Section, Tables};

keys! {
    /// A test of the image: what is started, and what must come of it. A test with `port`, `http`, `client` or
    /// `stops-within` is of a service, any other of a program that runs to its end.
    TestKeys in "`test`" {
        /// What it is called. A test of the same name in a recipe that extends this one takes its place.
        name: Option<Text>,
        /// Why it is not run.
        skip: Option<Text>,
        /// The program and its arguments, in place of the image's entrypoint and cmd.
        run: Option<Words>,
        /// Arguments in place of the image's cmd.
        args: Option<Words>,
        /// Environment variables, over those of the image.
        env: Mapping<Text>,
        /// What the program reads from standard input. Default: nothing.
        stdin: Option<Text>,
        /// The user in place of the image's, as `"1000650000:0"`.
        as_user: Option<Scalar>,
        /// Files and folders beside this file, by the path in the image at which they are, not writable.
        mounts: Mapping<Text>,
        /// What must come of the program.
        expect: Section<ExpectKeys>,
        /// Paths that the image has, or, after `!`, has not.
        files: Option<List<Text>>,
        /// The TCP port that the service listens on when it is ready.
        port: Option<Scalar>,
        /// What the service must answer over HTTP.
        http: Option<Tables<HttpKeys>>,
        /// What must come of programs that run while the service runs: a program and its arguments, or tables.
        client: Option<Calls>,
        /// Programs that run to their end before the service starts.
        before: Option<Calls>,
        /// Other services, which are started before this one.
        beside: Option<Calls>,
        /// Folders that all programs of the test share and may write to.
        shared: Option<List<Text>>,
        /// The time in which the service ends after its stop signal, as `5s`.
        #[schemars(with = "Option<Text>")]
        stops_within: Option<Scalar>,
        /// The time that each wait may take. Default: `30s`.
        #[schemars(with = "Option<Text>")]
        timeout: Option<Scalar>,
    }
}

keys! {
    /// A program of a test.
    CallKeys in "a program of `test`" {
        /// Another recipe, beside this file, whose image it is started from. Default: this one.
        recipe: Option<Text>,
        /// The program and its arguments, in place of the image's entrypoint and cmd.
        run: Option<Words>,
        /// Arguments in place of the image's cmd.
        args: Option<Words>,
        /// Environment variables, over those of the image.
        env: Mapping<Text>,
        /// What it reads from standard input. Default: nothing.
        stdin: Option<Text>,
        /// The user in place of the image's.
        as_user: Option<Scalar>,
        /// Files and folders beside this file, by the path in the image at which they are, not writable.
        mounts: Mapping<Text>,
        /// The TCP port that a service listens on when it is ready.
        port: Option<Scalar>,
        /// What must come of it.
        expect: Section<ExpectKeys>,
    }
}

keys! {
    /// What must come of a program.
    ExpectKeys in "`expect`" {
        /// The exit code. Default: 0; for a service that is stopped, any.
        exit: Option<Number>,
        /// All that it writes to standard output.
        stdout: Option<Text>,
        /// What standard output contains.
        stdout_contains: Option<OneOrMore>,
        /// Regular expressions that find something in standard output; `^` and `$` are those of lines.
        stdout_matches: Option<OneOrMore>,
        /// All that it writes to standard error.
        stderr: Option<Text>,
        /// What standard error contains.
        stderr_contains: Option<OneOrMore>,
        /// Regular expressions that find something in standard error.
        stderr_matches: Option<OneOrMore>,
    }
}

keys! {
    /// A request over HTTP and what must come back.
    HttpKeys in "`http`" {
        /// The port. Default: that of the test, or else the first of the image.
        port: Option<Scalar>,
        /// The path with its query. Default: `/`.
        path: Option<Text>,
        /// The status. Default: 200.
        status: Option<Number>,
        /// The whole body.
        body: Option<Text>,
        /// What the body contains.
        body_contains: Option<OneOrMore>,
        /// Regular expressions that find something in the body.
        body_matches: Option<OneOrMore>,
        /// Header fields and what their values contain.
        header: Mapping<Text>,
    }
}
