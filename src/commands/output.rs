//! What commands print: results on standard output, everything else on standard error.

use std::fmt::Arguments;
use std::io::{self, IsTerminal, Stdout, Write};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};

use crate::json;

/// Columns where nobody says how many there are.
const COLUMNS: usize = 100;

/// Names of keys, and what is of less interest.
pub(crate) const DIM: Style = Style::new().dimmed();
/// Headings.
pub(crate) const BOLD: Style = Style::new().bold();
/// What is well, or new.
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
/// What deserves a look, or has changed.
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
/// What is wrong, or gone.
pub(crate) const RED: Style = AnsiColor::Red.on_default();
/// A state.
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default();
/// What passes.
pub(crate) const MAGENTA: Style = AnsiColor::Magenta.on_default();

/// Standard output, for people or for scripts.
pub(crate) struct Output {
    out: AutoStream<Stdout>,
    json: bool,
    terminal: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { out: anstream::stdout(), json, terminal: io::stdout().is_terminal() }
    }

    /// Whether results are for scripts.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// How wide the terminal is now; `None` where the output goes elsewhere.
    pub(crate) fn columns(&self) -> Option<usize> {
        let size = self.terminal.then(|| terminal_size::terminal_size_of(io::stdout())).flatten();
        size.map(|(width, _)| usize::from(width.0))
    }

    /// Writes a line for people.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn line(&mut self, line: Arguments<'_>) -> io::Result<()> {
        writeln!(self, "{line}")
    }

    /// Writes a JSON text on one line.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn json(&mut self, text: &str) -> io::Result<()> {
        writeln!(self, "{}", json::compact(text))
    }

    /// Writes a JSON text for people, behind a word that says what it is, if any.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn value(&mut self, word: &str, text: &str) -> io::Result<()> {
        let indent = if word.is_empty() { 0 } else { word.len() + 2 };
        let pretty = json::pretty(text, self.columns().unwrap_or(COLUMNS).saturating_sub(indent));
        let pretty = pretty.replace('\n', &format!("\n{:indent$}", ""));
        if word.is_empty() { writeln!(self, "{pretty}") } else { writeln!(self, "{DIM}{word}{DIM:#}  {pretty}") }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes).inspect_err(end_where_nobody_reads)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().inspect_err(end_where_nobody_reads)
    }
}

/// Standard output for bytes that are passed on as they are.
pub(crate) struct Raw(Stdout);

impl Raw {
    pub(crate) fn new() -> Self {
        Self(io::stdout())
    }
}

impl Write for Raw {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).inspect_err(end_where_nobody_reads)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().inspect_err(end_where_nobody_reads)
    }
}

/// Ends as SIGPIPE ends other programs, which Rust ignores: `weir list … | head -1` has done what was asked. Only for standard output, since a
/// server that goes away breaks a pipe, too.
fn end_where_nobody_reads(error: &io::Error) {
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
}

/// Tells who types that it is waited for; a pipe needs no telling.
pub(crate) fn tell_of_standard_input() {
    if io::stdin().is_terminal() {
        note(format_args!("{DIM}reading standard input, up to Ctrl-D{DIM:#}"));
    }
}

/// Tells something that is no result.
pub(crate) fn note(line: Arguments<'_>) {
    // A closed standard error leaves nobody to tell.
    let _ = writeln!(anstream::stderr(), "{line}");
}
