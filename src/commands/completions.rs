//! `weir completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::output::Output;
use crate::arguments::Arguments;

/// Prints a script.
#[derive(clap::Args)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, out: &mut Output) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "weir", &mut script);
        std::io::Write::write_all(out, &script)?;
        Ok(())
    }
}
