//! The floor: the least that a server must do that tells many clients of what one publishes.
//!
//! One thread, one epoll loop, no actor, no JSON, no store, no limits. It encodes a frame once, in the shape of Weir's, and makes one `send()`
//! per subscriber for all that one read from the publisher brought. `GET /` makes a publisher of a connection, any other path a subscriber.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use anyhow::Result;

use crate::connection::head_end;
use crate::frame::{self, TEXT};
use crate::poll::Poll;

const LISTENER: usize = 0;
const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// What stands in front of the payload in what is published, and behind it.
const BEFORE: &[u8] = br#""data":""#;
const BEHIND: usize = "\"}}".len();

#[derive(PartialEq)]
enum Role {
    New,
    Publisher,
    Subscriber,
}

struct Client {
    socket: TcpStream,
    role: Role,
    read: Vec<u8>,
    /// What the kernel did not take.
    unsent: Vec<u8>,
}

/// Serves until the process is ended; `listening` is called with the address.
pub(crate) fn serve(listening: impl FnOnce(std::net::SocketAddr)) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // std asks for 128.
    rustix::net::listen(&listener, 4096)?;
    let mut poll = Poll::new()?;
    poll.add(&listener, LISTENER)?;
    listening(listener.local_addr()?);
    let (mut clients, mut last) = (HashMap::<usize, Client>::new(), LISTENER);
    let (mut buffer, mut burst) = (vec![0; 256 << 10], Vec::new());
    loop {
        let ready: Vec<usize> = poll.wait(None)?.collect();
        for token in ready {
            if token == LISTENER {
                let (socket, _) = listener.accept()?;
                socket.set_nonblocking(true)?;
                socket.set_nodelay(true)?;
                last += 1;
                poll.add(&socket, last)?;
                clients.insert(last, Client { socket, role: Role::New, read: Vec::new(), unsent: Vec::new() });
                continue;
            }
            let Some(client) = clients.get_mut(&token) else { continue };
            if !client.receive(&mut buffer, &mut burst) {
                clients.remove(&token);
                continue;
            }
            client.flush(&poll, token)?;
            if !burst.is_empty() {
                for (token, client) in &mut clients {
                    if client.role == Role::Subscriber {
                        client.send(&burst, &poll, *token)?;
                    }
                }
                burst.clear();
            }
        }
    }
}

impl Client {
    /// Reads once and appends to `burst` what is to be sent to all; false where the connection has ended.
    fn receive(&mut self, buffer: &mut [u8], burst: &mut Vec<u8>) -> bool {
        let count = match self.socket.read(buffer) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        };
        self.read.extend_from_slice(&buffer[..count]);
        let mut at = 0;
        if self.role == Role::New {
            let Some(end) = head_end(&self.read) else { return true };
            let (role, hello): (_, &[u8]) = if self.read.starts_with(b"GET / ") {
                (Role::Publisher, br#"{"type":"workerregistered"}"#)
            } else {
                (Role::Subscriber, br#"{"event":{"type":"sync","data":[]}}"#)
            };
            self.role = role;
            self.unsent.extend(UPGRADED);
            frame::plain(&mut self.unsent, TEXT, hello);
            at = end;
        }
        while let Some((header, end)) = frame::bounds(&self.read[at..]) {
            if self.role == Role::Publisher {
                encode(burst, &self.read[at + header..at + end]);
            }
            at += end;
        }
        self.read.drain(..at);
        true
    }

    /// One `send()`, unless the client has not taken everything before.
    fn send(&mut self, bytes: &[u8], poll: &Poll, token: usize) -> io::Result<()> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Ok(());
        }
        // A connection that has ended is noticed when it is read.
        let sent = self.socket.write(bytes).unwrap_or(0);
        if sent < bytes.len() {
            self.unsent.extend_from_slice(&bytes[sent..]);
            poll.writable(&self.socket, token, true)?;
        }
        Ok(())
    }

    fn flush(&mut self, poll: &Poll, token: usize) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let sent = self.socket.write(&self.unsent).unwrap_or(0);
        self.unsent.drain(..sent);
        Ok(poll.writable(&self.socket, token, !self.unsent.is_empty())?)
    }
}

/// Appends the frame for subscribers of what a publisher has sent: as long as Weir's, since that is what is compared.
fn encode(out: &mut Vec<u8>, published: &[u8]) {
    // The publisher's mask is zero.
    let end = published.len().saturating_sub(BEHIND);
    let Some(at) = published.windows(BEFORE.len()).rposition(|window| window == BEFORE) else { return };
    let payload = published.get(at + BEFORE.len()..end).unwrap_or_default();
    let head = br#"{"type":"stream","timestamp":1767225600123,"streamName":"bench","groupId":"group-0","id":"item","event":{"type":"update","data":""#;
    let mut text = Vec::with_capacity(head.len() + payload.len() + BEHIND);
    text.extend(head);
    text.extend(payload);
    text.extend(b"\"}}");
    frame::plain(out, TEXT, &text);
}
