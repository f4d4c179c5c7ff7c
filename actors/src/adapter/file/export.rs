//! One stream as one NDJSON file: a line that says what it is, a line per item, and a line that says that it is complete.
//!
//! ```text
//! {"weir":"stream","version":1,"stream":"chat"}
//! {"group":"room-1","item":"m1","data":{"text":"hello"}}
//! {"end":true,"items":1}
//! ```
//!
//! Groups are sorted by name, items stand in the order in which they were created.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::maintain::closed;
use super::view::View;
use super::{FileStoreHandle, FolderError, keys};
use crate::adapter::AdapterError;
use crate::ids::{GroupKey, ItemKey, Name};
use crate::json::{Json, depth, object, on_one_line};
use crate::settings::StreamSettings;

const VERSION: u32 = 1;
const NOT_OURS: &str = "this is no file that `weir export` has written";
/// What a line has beside names and value.
const FRAME_BYTES: usize = 1_024;

/// Why a stream cannot be written or read as NDJSON.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// There is no such stream.
    #[error("stream {0:?} holds nothing")]
    NoStream(String),
    /// The store cannot be opened.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] AdapterError),
    /// The file cannot be read or written.
    #[error("the NDJSON file: {0}")]
    File(#[from] io::Error),
    /// There is nothing in the file.
    #[error("there is nothing to read; give a file that `weir export` has written")]
    Nothing,
    /// A line is not what it should be.
    #[error("line {line}: {reason}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// What is wrong and what to do.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Title<'a> {
    #[serde(borrow)]
    weir: Cow<'a, str>,
    version: u32,
    #[serde(borrow)]
    stream: Cow<'a, str>,
}

#[derive(Serialize)]
struct Line<'a> {
    group: &'a str,
    item: &'a str,
    data: &'a RawValue,
}

#[derive(Serialize)]
struct End {
    end: bool,
    items: u64,
}

/// A line of any kind, as it is read.
#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow, default)]
    group: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    item: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "crate::json::present")]
    data: Option<&'a RawValue>,
    #[serde(default)]
    end: bool,
    #[serde(default)]
    items: Option<u64>,
}

impl FileStoreHandle {
    /// Writes stream `stream` as it is now, while the store is in use. Returns how many items that were.
    ///
    /// # Errors
    /// Where there is no such stream, or where the store cannot be read or the file not be written.
    pub fn export(&self, stream: &str, out: &mut impl Write) -> Result<u64, ExportError> {
        let view = View::take(&self.0.upgrade().ok_or_else(closed)?);
        let Some(id) = view.stream(stream)? else { return Err(ExportError::NoStream(stream.to_owned())) };
        line(out, &Title { weir: "stream".into(), version: VERSION, stream: stream.into() })?;
        let mut items = 0;
        let mut groups: Vec<(Name, u64)> = Vec::new();
        view.walk(keys::groups_of(id), |key, value| {
            let group = keys::id_and_name(key).zip(keys::GroupRecord::decode(value));
            let ((_, name), record) = group.ok_or_else(|| AdapterError::Failed("the record of a group cannot be read".into()))?;
            groups.push((name.into(), record.id));
            Ok::<_, AdapterError>(())
        })?;
        for (group, id) in groups {
            for (item, json) in view.items(id)? {
                let data = serde_json::from_slice(json.as_bytes()).map_err(|error| AdapterError::Failed(error.to_string()))?;
                line(out, &Line { group: group.as_str(), item: item.as_str(), data })?;
                items += 1;
            }
        }
        line(out, &End { end: true, items })?;
        out.flush()?;
        Ok(items)
    }
}

fn line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    out.write_all(on_one_line(serde_json::to_string(line)?).as_bytes())?;
    out.write_all(b"\n")
}

/// Reads such a file line by line, without I/O.
#[derive(Debug)]
pub struct Parser {
    stream: Option<Name>,
    rename: Option<Name>,
    max_name_bytes: usize,
    max_value_bytes: usize,
    lines: u64,
    items: u64,
    ended: bool,
}

impl Parser {
    /// A parser under the limits that hold for `stream::set`; items go into stream `rename` instead of their own, where it is given.
    #[must_use]
    pub fn new(settings: &StreamSettings, rename: Option<&str>) -> Self {
        Self {
            stream: None,
            rename: rename.map(Name::from),
            max_name_bytes: settings.max_name_bytes,
            max_value_bytes: settings.max_value_bytes,
            lines: 0,
            items: 0,
            ended: false,
        }
    }

    /// The longest line that can be right, in bytes.
    #[must_use]
    pub fn max_line_bytes(&self) -> usize {
        // A name may be escaped, six characters for one.
        self.max_value_bytes + 12 * self.max_name_bytes + FRAME_BYTES
    }

    /// Where the items go; known after the first line.
    #[must_use]
    pub fn stream(&self) -> Option<&Name> {
        self.stream.as_ref().map(|own| self.rename.as_ref().unwrap_or(own))
    }

    /// Lines so far.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Items so far.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Takes one line, without its end. `None` for the first line, the last and empty ones.
    ///
    /// # Errors
    /// Where it is no line of such a file, or passes a limit.
    pub fn line(&mut self, text: &[u8]) -> Result<Option<(ItemKey, Json)>, ExportError> {
        self.lines += 1;
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        self.read(text).map_err(|reason| ExportError::Line { line: self.lines, reason })
    }

    fn read(&mut self, text: &[u8]) -> Result<Option<(ItemKey, Json)>, String> {
        if self.ended {
            return Err("there is more behind the last line; is this two files in one?".into());
        }
        if self.stream.is_none() {
            let title: Title<'_> = object(text).map_err(|error| format!("{NOT_OURS}: {error}"))?;
            if title.weir != "stream" {
                return Err(NOT_OURS.into());
            }
            if title.version > VERSION {
                return Err(format!("a newer Weir has written this file (version {}); use that one", title.version));
            }
            self.name("stream", &title.stream)?;
            self.stream = Some(Name::from(&*title.stream));
            return Ok(None);
        }
        let read: Read<'_> = object(text).map_err(|error| error.to_string())?;
        if read.end {
            return match read.items {
                Some(items) if items != self.items => Err(format!("the file should have {items} items and has {}", self.items)),
                _ => {
                    self.ended = true;
                    Ok(None)
                }
            };
        }
        let group = read.group.ok_or("missing field `group`")?;
        let item = read.item.ok_or("missing field `item`")?;
        let data = read.data.ok_or("missing field `data`")?;
        self.name("group", &group)?;
        self.name("item", &item)?;
        if data.get().len() > self.max_value_bytes {
            return Err(format!("`data` has {} bytes; the limit is {} (`max_value_bytes`)", data.get().len(), self.max_value_bytes));
        }
        if depth(data.get().as_bytes()) > crate::json::MAX_DEPTH {
            return Err(format!("`data` is nested deeper than {} levels", crate::json::MAX_DEPTH));
        }
        self.items += 1;
        let stream = self.stream().map_or("", Name::as_str);
        Ok(Some((ItemKey { group: GroupKey::new(stream, &group), item: Name::from(&*item) }, Json::copy(data))))
    }

    fn name(&self, field: &str, name: &str) -> Result<(), String> {
        if name.len() > self.max_name_bytes {
            return Err(format!("`{field}` has {} bytes; the limit is {} (`max_name_bytes`)", name.len(), self.max_name_bytes));
        }
        Ok(())
    }

    /// The file has ended.
    ///
    /// # Errors
    /// Where its last line is missing: it was cut off. Where there is nothing in it.
    pub fn finish(&self) -> Result<u64, ExportError> {
        if self.ended {
            return Ok(self.items);
        }
        if self.stream.is_none() {
            return Err(ExportError::Nothing);
        }
        Err(ExportError::Line {
            line: self.lines,
            reason: format!("the file ends here without its last line, it was cut off; {} items before that are imported", self.items),
        })
    }
}
