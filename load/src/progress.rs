//! A bar on standard error while a run lasts; none where that is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that fills with time.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar for a run of about `seconds`.
    pub(crate) fn new(name: &str, seconds: f64) -> Self {
        let length = u64::try_from(Duration::from_secs_f64(seconds.max(0.0)).as_millis()).unwrap_or(u64::MAX);
        let style =
            ProgressStyle::with_template("{bar:30} {percent:>3} %  {prefix}  {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new(length).with_style(style).with_prefix(name.to_owned()))
    }

    /// So much of it is over.
    pub(crate) fn at(&self, seconds: f64, message: String) {
        self.0.set_message(message);
        self.0.set_position(u64::try_from(Duration::from_secs_f64(seconds.max(0.0)).as_millis()).unwrap_or(u64::MAX));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
