//! `slipstream man`: the manual pages, made from the definitions of the commands.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_mangen::{Man, roff};

use super::output;

const EXAMPLE: &str = "\
Example:
  slipstream man /usr/local/share/man/man1";

/// Writes the manual pages, one for each command, into a folder.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The folder. It is made if it is not there; pages that are there are replaced.
    folder: PathBuf,
}

/// Writes the pages of `program`.
pub(super) fn run(arguments: &Arguments, program: Command) -> ExitCode {
    let folder = &arguments.folder;
    let mut program = program.disable_help_subcommand(true);
    program.build();
    match fs::create_dir_all(folder).and_then(|()| write(&program, folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output::fail(output::FAILED, &format_args!("{}: {error}", folder.display())),
    }
}

fn write(command: &Command, folder: &Path) -> io::Result<()> {
    let source = format!("slipstream {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone().after_help(None::<&str>)).date(" ").source(source).manual("Slipstream");
    let mut page = Vec::new();
    man.render(&mut page)?;
    if let Some(examples) = command.get_after_help() {
        section(&examples.to_string()).to_writer(&mut page)?;
    }
    fs::write(folder.join(man.get_filename()), page)?;
    let shown = command.get_subcommands().filter(|each| !each.is_hide_set());
    shown.into_iter().try_for_each(|each| write(each, folder))
}

/// The section of a page with what stands below the help of a command: examples, in their own lines, and what else there
/// is to say.
fn section(text: &str) -> roff::Roff {
    let mut section = roff::Roff::new();
    section.control("SH", ["EXAMPLES"]);
    section.control("nf", []);
    for line in text.lines().filter(|line| !matches!(*line, "Example:" | "Examples:")) {
        section.text([roff::roman(line)]);
    }
    section.control("fi", []);
    section
}
