//! A TCP connection that is written to with patience and read without.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::net::{self, AddressFamily, RecvFlags, SocketType};

/// How long a peer may take to answer while a connection is set up.
const PATIENCE: Duration = Duration::from_secs(30);
/// What [`Connection::read`] needs to be given at least.
pub(crate) const BUFFER_BYTES: usize = 256 << 10;

/// A connection, and the bytes of a message that has not come completely.
pub(crate) struct Connection {
    socket: TcpStream,
    held: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        Self::over(TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?)
    }

    /// The same, and the kernel holds no more than a few KiB of what is not read.
    pub(crate) fn open_narrow(address: SocketAddr) -> Result<Self> {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        // Before it is connected, since the window is agreed upon then.
        net::sockopt::set_socket_recv_buffer_size(&socket, 4 << 10)?;
        net::connect(&socket, &address).with_context(|| format!("connecting to {address}"))?;
        Self::over(TcpStream::from(socket))
    }

    /// The kernel may hold as much as of others again.
    pub(crate) fn widen(&self) -> Result<()> {
        Ok(net::sockopt::set_socket_recv_buffer_size(&self.socket, BUFFER_BYTES)?)
    }

    fn over(socket: TcpStream) -> Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, held: Vec::new() })
    }

    /// Writes all of it, and waits for room where there is none.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// What was held and what has come, at the front of `buffer`; `None` where nothing has come.
    pub(crate) fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
        self.receive(buffer, RecvFlags::DONTWAIT)
    }

    /// The same, and waits until something comes.
    pub(crate) fn wait(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
        self.receive(buffer, RecvFlags::empty())
    }

    fn receive(&mut self, buffer: &mut Vec<u8>, flags: RecvFlags) -> io::Result<Option<usize>> {
        let held = self.held.len();
        if buffer.len() < held + BUFFER_BYTES / 2 {
            buffer.resize((held + BUFFER_BYTES / 2).next_power_of_two(), 0);
        }
        match net::recv(&self.socket, &mut buffer[held..], flags) {
            Ok((_, 0)) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed a connection")),
            Ok((_, count)) => {
                buffer[..held].copy_from_slice(&self.held);
                self.held.clear();
                Ok(Some(held + count))
            }
            Err(error) if error == rustix::io::Errno::AGAIN && flags == RecvFlags::DONTWAIT => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps what is not a whole message yet for the next [`read`](Self::read).
    pub(crate) fn hold(&mut self, rest: &[u8]) {
        self.held.extend_from_slice(rest);
        // Not the capacity of the largest message for ever.
        if rest.is_empty() && self.held.capacity() > 0 {
            self.held = Vec::new();
        }
    }

    /// Sends the request of a WebSocket handshake.
    pub(crate) fn request_upgrade(&mut self, path: &str) -> io::Result<()> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        self.write(request.as_bytes())
    }

    /// Waits until the handshake is answered, and for nothing behind it.
    pub(crate) fn upgraded(&mut self) -> Result<()> {
        let mut buffer = Vec::new();
        let head = self.until(&mut buffer, |bytes| Ok(head_end(bytes)))?;
        check_upgrade(&head)
    }

    /// Reads until `end` finds the end of what is waited for, and returns that; what is behind it is kept.
    pub(crate) fn until(&mut self, buffer: &mut Vec<u8>, end: impl Fn(&[u8]) -> Result<Option<usize>>) -> Result<Vec<u8>> {
        // What is held may be enough.
        let held = std::mem::take(&mut self.held);
        if let Some(end) = end(&held)? {
            self.held = held[end..].to_vec();
            return Ok(held[..end].to_vec());
        }
        self.held = held;
        loop {
            let count = self.wait(buffer)?.unwrap_or(0);
            if let Some(end) = end(&buffer[..count])? {
                self.hold(&buffer[end..count]);
                return Ok(buffer[..end].to_vec());
            }
            self.hold(&buffer[..count]);
        }
    }
}

/// Where the head of an HTTP response ends.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Whether a handshake has succeeded.
///
/// # Errors
/// Where it has not.
pub(crate) fn check_upgrade(head: &[u8]) -> Result<()> {
    ensure!(head.starts_with(b"HTTP/1.1 101 "), "the handshake was answered: {}", String::from_utf8_lossy(head).trim());
    Ok(())
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
