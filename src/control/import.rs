//! An import: each item is a `stream::set`, seen by subscribers and triggers as any other.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};
use weir_actors::adapter::file::export::Parser;
use weir_actors::ids::Name;
use weir_actors::json::Json;
use weir_actors::streams::{Error, Streams};

use super::Import;

/// Sets that are under way at a time, and their bytes.
const UNDER_WAY: (usize, usize) = (256, 8 << 20);
/// How long the sender may send nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// Sets under way, and how many bytes each has.
type Waiting = VecDeque<(Pin<Box<dyn Future<Output = Result<Option<Json>, Error>>>>, usize)>;

/// Reads NDJSON and sets its items; how many.
///
/// # Errors
/// What is wrong with the file, or what the store answers; what was set before stays.
pub(crate) async fn run(from: &mut (impl AsyncBufRead + Unpin), import: &Import, streams: &Streams) -> Result<u64, String> {
    let mut parser = Parser::new(&streams.settings().stream, import.rename.as_deref());
    let (mut waiting, mut bytes) = (Waiting::new(), 0);
    let (mut line, mut checked) = (Vec::new(), import.merge);
    loop {
        line.clear();
        // One byte more than is right, so that what is longer is seen to be.
        let limit = parser.max_line_bytes() as u64 + 1;
        let mut limited = from.take(limit);
        let read = tokio::time::timeout(SILENCE, limited.read_until(b'\n', &mut line)).await;
        let read =
            read.map_err(|elapsed| format!("nothing came for {} s: {elapsed}", SILENCE.as_secs()))?.map_err(|error| error.to_string())?;
        if read == 0 {
            break;
        }
        if read as u64 == limit {
            return Err(format!("line {} is longer than {limit} bytes", parser.lines() + 1));
        }
        let item = parser.line(line.strip_suffix(b"\n").unwrap_or(&line)).map_err(|error| error.to_string())?;
        if !checked && let Some(stream) = parser.stream() {
            refuse_to_mix(streams, stream).await?;
            checked = true;
        }
        let Some((key, data)) = item else { continue };
        let size = data.as_bytes().len();
        bytes += size;
        let (stream, group) = (key.group.stream(), key.group.group());
        waiting.push_back((Box::pin(streams.set(stream, group, key.item.as_str(), &data)), size));
        while waiting.len() > UNDER_WAY.0 || bytes > UNDER_WAY.1 {
            bytes -= settle(&mut waiting).await?;
        }
    }
    while !waiting.is_empty() {
        settle(&mut waiting).await?;
    }
    parser.finish().map_err(|error| error.to_string())
}

async fn refuse_to_mix(streams: &Streams, stream: &Name) -> Result<(), String> {
    let groups = streams.list_groups(stream.as_str()).await.map_err(|error| error.to_string())?;
    if groups.is_empty() { Ok(()) } else { Err(mixes(stream)) }
}

/// What is said where a stream would be imported over items.
fn mixes(stream: &Name) -> String {
    format!(
        "stream {:?} holds items already; `--merge` replaces those of the same name and keeps the others, `--as` takes another stream",
        stream.as_str()
    )
}

/// Waits for the oldest set; how many bytes it had.
async fn settle(waiting: &mut Waiting) -> Result<usize, String> {
    let Some((set, size)) = waiting.pop_front() else { return Ok(0) };
    set.await.map_err(|error| error.to_string())?;
    Ok(size)
}
