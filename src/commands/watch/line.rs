//! A frame of the stream port, as a line.

use std::io;

use anstyle::Style;
use serde::Deserialize;
use serde_json::value::RawValue;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::client::ClientError;
use crate::commands::output::{CYAN, DIM, GREEN, MAGENTA, Output, RED, YELLOW};
use crate::json::{pretty, visible};

/// What a value gets at least, however narrow the terminal is.
const FEWEST_COLUMNS: usize = 10;

/// What the server sends.
#[derive(Deserialize)]
pub(super) struct Frame<'a> {
    timestamp: u64,
    #[serde(default)]
    id: Option<String>,
    #[serde(borrow)]
    event: Event<'a>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    /// What `weir send` sends.
    #[serde(borrow, default)]
    event: Option<Custom<'a>>,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Custom<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// What a frame means to somebody who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    State,
    Change,
    Refused,
    Failed,
}

impl<'a> Frame<'a> {
    /// # Errors
    /// Where it is none.
    pub(super) fn parse(text: &'a str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    pub(super) fn kind(&self) -> Kind {
        match self.event.kind.as_str() {
            "sync" => Kind::State,
            "unauthorized" => Kind::Refused,
            "error" => Kind::Failed,
            _ => Kind::Change,
        }
    }

    /// Of a frame that says so, why we are not told.
    pub(super) fn failure(&self) -> ClientError {
        ClientError::Failed { code: self.event.code.clone(), message: self.event.message.clone() }
    }

    /// Writes it, cut to so many columns.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn show(&self, out: &mut Output, columns: Option<usize>) -> io::Result<()> {
        let time = time_of_day(self.timestamp);
        let style = self.style();
        let kind = visible(&self.event.kind);
        let begin = format!("{time}  {kind:<6}  ");
        let data = self.event.data.map_or("null", RawValue::get);
        // A group's state is a list, an item's is what it holds.
        let values: Option<Vec<&RawValue>> = match (self.kind(), &self.id) {
            (Kind::State, None) => serde_json::from_str(data).ok(),
            _ => None,
        };
        let mut plain = String::new();
        if let Some(values) = &values {
            plain = format!("{} item{}", values.len(), if values.len() == 1 { "" } else { "s" });
        } else {
            if let Some(item) = &self.id {
                let third = columns.map(|columns| columns / 3);
                plain = format!("{}  ", cut(&visible(item), third));
            }
            if let Some(custom) = &self.event.event {
                plain.push_str(&format!("{}  ", visible(&custom.kind)));
            }
        }
        let data = self.event.event.as_ref().map_or(data, |custom| custom.data.map_or("null", RawValue::get));
        let value = if values.is_some() { String::new() } else { fitted(data, columns, begin.width() + plain.width()) };
        out.line(format_args!("{DIM}{time}{DIM:#}  {style}{kind:<6}{style:#}  {plain}{value}"))?;
        let indent = begin.width();
        for value in values.into_iter().flatten() {
            out.line(format_args!("{:indent$}{}", "", fitted(value.get(), columns, indent)))?;
        }
        Ok(())
    }

    fn style(&self) -> Style {
        match self.event.kind.as_str() {
            "sync" => CYAN,
            "create" => GREEN,
            "update" => YELLOW,
            "delete" => RED,
            _ => MAGENTA,
        }
    }
}

/// A value on one line, in what is left of the columns behind `used`.
fn fitted(data: &str, columns: Option<usize>, used: usize) -> String {
    let room = columns.map(|columns| columns.saturating_sub(used).max(FEWEST_COLUMNS));
    cut(&pretty(data, usize::MAX), room)
}

/// The text, or as much of it as fits, with a mark where it was cut.
fn cut(text: &str, room: Option<usize>) -> String {
    let Some(room) = room.filter(|room| text.width() > *room) else { return text.to_owned() };
    let mut left = room.saturating_sub(1);
    let fits = |c: &char| {
        let width = c.width().unwrap_or_default();
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// `12:34:56.789Z` of milliseconds since the epoch.
fn time_of_day(ms: u64) -> String {
    let (seconds, ms) = (ms / 1_000 % 86_400, ms % 1_000);
    format!("{:02}:{:02}:{:02}.{ms:03}Z", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_the_day_in_utc() {
        assert_eq!(time_of_day(1_767_225_600_123), "00:00:00.123Z");
        assert_eq!(time_of_day(1_767_225_600_123 + 86_399_000), "23:59:59.123Z");
    }

    #[test]
    fn texts_are_cut_by_columns_and_not_by_characters() {
        assert_eq!(cut("abcdef", Some(6)), "abcdef");
        assert_eq!(cut("abcdef", Some(5)), "abcd…");
        assert_eq!(cut("漢字漢字", Some(6)), "漢字…");
        assert_eq!(cut("漢字漢字", None), "漢字漢字");
    }

    #[test]
    fn value_keeps_a_few_columns_where_there_are_none() {
        assert_eq!(fitted("[1,2,3,4,5,6,7]", Some(20), 30), "[1, 2, 3,…");
    }
}
