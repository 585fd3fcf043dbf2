//! First recipes of programs that open what no rule knows of: the image fails, a trace finds what it lacks, and then it
//! works.

use crate::call::Ended;
use crate::runner::Test;
use crate::workshop::Workshop;

pub(crate) const TESTS: &[Test] = &[
    Test { name: "trace_finds_what_an_image_lacks_for_numpy", needs: &["runc", "python3.11"], run: numpy },
    Test { name: "trace_finds_what_an_image_lacks_for_mojolicious", needs: &["runc", "perl"], run: mojolicious },
    Test { name: "trace_finds_what_an_image_lacks_for_a_time_zone", needs: &["runc", "date"], run: time_zone },
    Test { name: "trace_finds_what_an_image_lacks_to_compile", needs: &["runc", "gcc"], run: compiler },
];

/// A program in an image that is made of its name alone, and in one with what a run of it on this machine used.
struct Traced {
    before: Ended,
    after: Ended,
    /// The recipe after the trace.
    recipe: String,
}

fn traced(workshop: &Workshop, name: &str, command: &[&str], variable: Option<(&str, &str)>, input: &str) -> Traced {
    let file = format!("{name}.toml");
    workshop.mkimage().args(["init", "-o", &file, command[0]]).text();
    let run = || {
        let call = workshop.mkimage().args(["run", "--network=none"]);
        let call = variable.iter().fold(call, |call, (name, value)| call.args(["--env", &format!("{name}={value}")]));
        call.arg(&file).arg("--").args(&command[1..]).input(input).ended()
    };
    let before = run();
    let trace = workshop.mkimage().args(["trace", "--write", &file, "--"]).args(command).input(input);
    let trace = variable.iter().fold(trace, |call, (name, value)| call.env(name, value)).ended();
    assert!(trace.success, "{}", trace.report());
    let recipe = std::fs::read_to_string(workshop.path("recipes").join(&file)).expect("init wrote it");
    Traced { before, after: run(), recipe }
}

fn numpy(workshop: &Workshop) {
    let code = "import numpy; print(numpy.arange(4).sum())";
    let it = traced(workshop, "traced-numpy", &["/usr/bin/python3.11", "-c", code], None, "");
    assert!(it.before.stderr.contains("No module named 'numpy'"), "{}", it.before.report());
    assert_eq!(it.after.stdout, "6\n", "{}{}", it.after.report(), it.recipe);
}

fn mojolicious(workshop: &Workshop) {
    let code = "print trim('  x ')";
    let it = traced(workshop, "traced-mojo", &["/usr/bin/perl", "-MMojo::Util=trim", "-e", code], None, "");
    assert!(it.before.stderr.contains("Can't locate Mojo/Util.pm"), "{}", it.before.report());
    assert_eq!(it.after.stdout, "x", "{}{}", it.after.report(), it.recipe);
}

fn time_zone(workshop: &Workshop) {
    let zone = Some(("TZ", "Europe/Berlin"));
    let it = traced(workshop, "traced-date", &["/usr/bin/date", "--date=2026-07-01", "+%z"], zone, "");
    assert_eq!(it.before.stdout, "+0000\n", "{}", it.before.report());
    assert_eq!(it.after.stdout, "+0200\n", "{}{}", it.after.report(), it.recipe);
    assert!(it.recipe.contains("extras   = [\"tzdata\"]"), "{}", it.recipe);
}

/// The compiler proper, the assembler, the linker, headers, and what each program begins and ends with.
fn compiler(workshop: &Workshop) {
    let code = "#include <stdio.h>\nint main(void) { puts(\"x\"); }\n";
    let command = ["/usr/bin/gcc", "-x", "c", "-", "-o", "/tmp/mkimage-traced"];
    let it = traced(workshop, "traced-gcc", &command, None, code);
    let _ = std::fs::remove_file("/tmp/mkimage-traced");
    assert!(!it.before.success && it.before.stderr.contains("stdio.h"), "{}", it.before.report());
    assert!(it.after.success, "{}{}", it.after.report(), it.recipe);
}
