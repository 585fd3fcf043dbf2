//! What mkimage says of itself: the schema of recipes, completions, the manual page.

use std::process::ExitCode;

use clap::CommandFactory;

use super::Cli;
use super::console::Console;

pub(super) fn schema(console: &Console) -> ExitCode {
    console.print(&mkimage::recipe::schema())
}

pub(super) fn completions(shell: clap_complete::Shell, console: &Console) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mkimage", &mut text);
    console.print(&String::from_utf8_lossy(&text))
}

pub(super) fn man(console: &Console) -> ExitCode {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    if rendered.is_err() {
        return ExitCode::FAILURE;
    }
    console.print(&String::from_utf8_lossy(&page))
}
