//! A TCP connection that was upgraded by hand, for frames that no WebSocket library sends.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{DEADLINE, Server, within};

/// Every frame of these tests is masked with it.
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
/// Opcodes with FIN set, as the first byte of a frame.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8A;

/// One connection.
pub(crate) struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    /// Connects to `address` and upgrades on `path`.
    pub(crate) async fn open(address: &str, path: &str) -> Self {
        Self::connect(address).await.upgrade(address, path).await
    }

    /// The same with a receive buffer of a few KiB, so that the kernel holds little of what is not read.
    pub(crate) async fn open_narrow(address: &str, path: &str) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        let stream = socket.connect(address.parse().unwrap()).await.unwrap();
        Self { stream, read: Vec::new() }.upgrade(address, path).await
    }

    async fn upgrade(mut self, address: &str, path: &str) -> Self {
        let raw = &mut self;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        raw.write(request.as_bytes()).await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.to_ascii_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        self
    }

    /// Connects to `address` from another address of this machine, and says nothing.
    pub(crate) async fn connect_from(from: &str, address: &str) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        Self { stream: socket.connect(address.parse().unwrap()).await.unwrap(), read: Vec::new() }
    }

    /// Connects to `address` and says nothing.
    pub(crate) async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    /// The head of the response, without the empty line behind it.
    pub(crate) async fn head(&mut self) -> String {
        self.head_within(DEADLINE).await
    }

    /// The same where it may take longer than other things.
    pub(crate) async fn head_within(&mut self, deadline: Duration) -> String {
        let head = async {
            loop {
                if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                    let head: Vec<u8> = self.read.drain(..end + 4).collect();
                    return String::from_utf8(head).unwrap().trim_end().to_owned();
                }
                assert!(self.more().await, "the connection ended before the response");
            }
        };
        tokio::time::timeout(deadline, head).await.unwrap_or_else(|_| panic!("no response within {deadline:?}"))
    }

    /// What comes next.
    pub(crate) async fn some(&mut self) -> Vec<u8> {
        assert!(!self.read.is_empty() || self.more().await, "the connection has ended");
        std::mem::take(&mut self.read)
    }

    /// All that comes until the connection ends.
    pub(crate) async fn rest(mut self) -> Vec<u8> {
        within("end of the connection", async { while self.more().await {} }).await;
        self.read
    }

    /// Sends bytes as they are.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        within("room to write", self.stream.write_all(bytes)).await.unwrap();
    }

    /// The same to a server that may have ended the connection; false where it has.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) -> bool {
        within("room to write", self.stream.write_all(bytes)).await.is_ok()
    }

    /// Sends a masked frame that begins with `first`: FIN, reserved bits and opcode.
    pub(crate) async fn frame(&mut self, first: u8, payload: &[u8]) {
        self.write(&frame(first, payload)).await;
    }

    /// Reads more bytes; false where the connection has ended.
    async fn more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        // A reset is an end like any other.
        let count = self.stream.read(&mut buffer).await.unwrap_or_default();
        self.read.extend_from_slice(&buffer[..count]);
        count > 0
    }

    /// Whether the next frame begins with `first`, without taking it.
    pub(crate) async fn is_next(&mut self, first: u8) -> bool {
        within("frame", async { while self.read.is_empty() && self.more().await {} }).await;
        self.read.first() == Some(&first)
    }

    /// First byte and payload of the next frame; `None` where the connection ends instead.
    pub(crate) async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        within("frame", async {
            loop {
                if let Some((first, payload, length)) = parse(&self.read) {
                    self.read.drain(..length);
                    return Some((first, payload));
                }
                if !self.more().await {
                    return None;
                }
            }
        })
        .await
    }

    /// The next frame, which must be text with JSON in it.
    pub(crate) async fn json(&mut self) -> Value {
        match self.next().await {
            Some((TEXT, payload)) => serde_json::from_slice(&payload).unwrap(),
            other => panic!("expected a text frame, got {other:?}"),
        }
    }

    /// The code of the next frame, which must be a close frame; `None` where it has no code.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        match self.next().await {
            Some((CLOSE, payload)) => payload.first_chunk().map(|code| u16::from_be_bytes(*code)),
            other => panic!("expected a close frame, got {other:?}"),
        }
    }

    /// Waits until the server ends the connection, after nothing but control frames.
    pub(crate) async fn ended(&mut self) {
        while let Some((first, payload)) = self.next().await {
            assert!(first & 0x08 != 0, "expected the end, got {:?}", String::from_utf8_lossy(&payload));
        }
    }

    /// Ends this side without a close frame.
    pub(crate) async fn end(mut self) {
        self.stream.shutdown().await.unwrap();
    }
}

/// A masked frame that begins with `first`.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len() as u64);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The header of a masked frame that announces `length` bytes.
pub(crate) fn header(first: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..=125), _) => header.push(0x80 | length),
        (_, Ok(length)) => {
            header.push(0x80 | 126);
            header.extend(length.to_be_bytes());
        }
        _ => {
            header.push(0x80 | 127);
            header.extend(length.to_be_bytes());
        }
    }
    header.extend(MASK);
    header
}

/// First byte, payload and whole length of the frame that `bytes` begin with, if all of it is there. A server does not mask.
fn parse(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let [first, second, rest @ ..] = bytes else { return None };
    assert!(second & 0x80 == 0, "a server must not mask");
    let (length, rest) = match second {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u64::from_be_bytes(*length)).unwrap(), rest)
        }
        short => (usize::from(*short), rest),
    };
    let payload = rest.get(..length)?.to_vec();
    Some((*first, payload, bytes.len() - rest.len() + length))
}

/// The status and the body of the health check.
pub(crate) async fn ready(server: &Server) -> (u16, Value) {
    let mut raw = Raw::connect(server.streams()).await;
    raw.write(b"GET /health/ready HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n").await;
    let head = raw.head().await;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_slice(&raw.rest().await).unwrap())
}
