//! A built server, and those who load it, for all measurements here.
#![allow(dead_code, reason = "each measurement needs a part of it")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Connections, and calls in flight at each.
pub(crate) const CONNECTIONS: usize = 4;
pub(crate) const IN_FLIGHT: usize = 64;
/// Bytes of a value.
pub(crate) const VALUE_BYTES: usize = 128;
/// Items that one connection writes to, over and over.
pub(crate) const ITEMS: u64 = 10_000;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(5);

pub(crate) struct Server {
    process: Child,
    workers: String,
    streams: String,
    /// How long it took until it listened.
    pub(crate) started: Duration,
}

impl Server {
    /// A server with this `adapter`, whose files are in `folder`.
    pub(crate) fn start(folder: &Path, adapter: &Value) -> Self {
        let config = json!({"host": "127.0.0.1", "port": 0, "modules": [{"class": "modules::stream::StreamModule", "config": {
            "host": "127.0.0.1", "port": 0, "adapter": adapter}}, {"class": "modules::admin::AdminModule", "config": {"port": 0}}]});
        let file = folder.join("config.yaml");
        fs::write(&file, config.to_string()).unwrap();
        let began = Instant::now();
        let binary = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("weir");
        let mut process = Command::new(&binary)
            .arg("--config")
            .arg(&file)
            .env("RUST_LOG", "warn")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; build it first", binary.display()));
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut address = |name: &str| {
            let url = lines.find_map(|line| Some(line.trim().strip_prefix(name)?.trim().strip_prefix("ws://")?.to_owned()));
            url.expect("the server did not start").split('/').next().unwrap_or_default().to_owned()
        };
        let (workers, streams) = (address("workers"), address("streams"));
        Self { process, workers, streams, started: began.elapsed() }
    }

    /// Time on a processor so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu(self.process.id())
    }

    pub(crate) fn resident_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    pub(crate) fn terminate(mut self) {
        let killed = Command::new("kill").arg("-TERM").arg(self.process.id().to_string()).status().unwrap();
        assert!(killed.success() && self.process.wait().unwrap().success());
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Time on a processor that a process has had so far, all its threads together.
pub(crate) fn cpu(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // USER_HZ is 100 on every Linux that Rust supports.
    Duration::from_millis(ticks * 10)
}

/// A worker that does nothing but call `stream::set`, or a client that does nothing but listen.
pub(crate) struct Caller {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
    held: usize,
}

impl Caller {
    /// A worker of `server`.
    pub(crate) fn connect(server: &Server) -> Self {
        Self::open(&server.workers, "/")
    }

    /// A client of `server` that subscribes to a group of the stream `bench`.
    pub(crate) fn subscribe(server: &Server, group: &str) -> Self {
        Self::open(&server.streams, &format!("/stream/bench/{group}/"))
    }

    fn open(address: &str, path: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let mut caller = Self { stream, read: vec![0; 256 << 10], held: 0 };
        // `workerregistered`, or `sync`.
        caller.answers();
        caller
    }

    /// Waits for frames and counts them.
    pub(crate) fn answers(&mut self) -> usize {
        loop {
            let count = self.stream.read(&mut self.read[self.held..]).unwrap();
            assert!(count > 0, "the server closed the connection");
            self.held += count;
            let (mut at, mut frames) = (0, 0);
            while let Some(end) = frame_end(&self.read[at..self.held]) {
                let frame = &self.read[at..at + end];
                assert!(!frame.windows(8).any(|window| window == b"\"error\":"), "{}", String::from_utf8_lossy(frame));
                at += end;
                frames += 1;
            }
            self.read.copy_within(at..self.held, 0);
            self.held -= at;
            if frames > 0 {
                return frames;
            }
        }
    }
}

fn frame_end(bytes: &[u8]) -> Option<usize> {
    let [_, second, rest @ ..] = bytes else { return None };
    let (head, length) = match second {
        126 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).unwrap()),
        short => (2, usize::from(*short)),
    };
    (bytes.len() >= head + length).then_some(head + length)
}

/// The masked frame of a call; the mask is zero, which leaves the text as it is.
pub(crate) fn set(out: &mut Vec<u8>, connection: usize, item: u64) {
    // Hexadecimal noise, which LZ4 finds nothing in.
    let mut noise = item.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut value = String::with_capacity(VALUE_BYTES);
    while value.len() < VALUE_BYTES - 2 {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        value.push(char::from(b"0123456789abcdef"[usize::try_from(noise >> 60).unwrap_or_default()]));
    }
    let text = format!(
        r#"{{"type":"invokefunction","invocation_id":"0a4e1c52-9b0e-4f9d-8a35-2f6b0a7a90c4","function_id":"stream::set","data":{{"stream_name":"bench","group_id":"group-{connection}","item_id":"item-{item}","data":"{value}"}}}}"#
    );
    out.push(0x81);
    out.push(0x80 | 126);
    out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend([0; 4]);
    out.extend(text.as_bytes());
}

/// Calls `stream::set` from all connections until `enough` says so; `item` names the items of a connection.
pub(crate) fn run(server: &Server, acks: &Arc<AtomicU64>, ends: &Arc<AtomicBool>, items: u64) -> Vec<std::thread::JoinHandle<()>> {
    let barrier = Arc::new(Barrier::new(CONNECTIONS));
    (0..CONNECTIONS)
        .map(|connection| {
            let mut caller = Caller::connect(server);
            let (acks, ends, barrier) = (acks.clone(), ends.clone(), barrier.clone());
            std::thread::spawn(move || {
                // Encoding is not what is measured, and takes time from the server on a small machine.
                let mut frames = Vec::new();
                let mut bounds = vec![0];
                for item in 0..items.min(ITEMS) {
                    set(&mut frames, connection, item);
                    bounds.push(frames.len());
                }
                let (mut next, mut under_way, mut sent, mut one) = (0usize, 0, 0u64, Vec::new());
                barrier.wait();
                loop {
                    let done = ends.load(Ordering::Relaxed) || sent == items;
                    let mut wanted = if done { 0 } else { IN_FLIGHT - under_way };
                    wanted = wanted.min(usize::try_from(items - sent).unwrap_or(usize::MAX));
                    while wanted > 0 {
                        if items <= ITEMS || items == u64::MAX {
                            let end = (next + wanted).min(bounds.len() - 1);
                            caller.stream.write_all(&frames[bounds[next]..bounds[end]]).unwrap();
                            (wanted, under_way, sent) = (wanted - (end - next), under_way + (end - next), sent + (end - next) as u64);
                            next = if end == bounds.len() - 1 { 0 } else { end };
                        } else {
                            one.clear();
                            for n in 0..wanted {
                                set(&mut one, connection, sent + n as u64);
                            }
                            caller.stream.write_all(&one).unwrap();
                            (under_way, sent, wanted) = (under_way + wanted, sent + wanted as u64, 0);
                        }
                    }
                    if under_way == 0 {
                        return;
                    }
                    let answered = caller.answers();
                    under_way -= answered;
                    acks.fetch_add(answered as u64, Ordering::Relaxed);
                }
            })
        })
        .collect()
}

/// What a run of `stream::set` from all connections has come to.
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    /// Of the server, and of another process if one was named.
    pub(crate) cpu_us_per_set: f64,
    pub(crate) other_us_per_set: f64,
}

/// Calls `stream::set` for [`MEASURED`] with all that may be in flight.
pub(crate) fn throughput(server: &Server, other: Option<u32>) -> Measured {
    let (acks, ends) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let callers = run(server, &acks, &ends, u64::MAX);
    std::thread::sleep(WARM_UP);
    let times = || (server.cpu(), other.map_or(Duration::ZERO, cpu));
    let (began, (cpu, others), before) = (Instant::now(), times(), acks.load(Ordering::Relaxed));
    std::thread::sleep(MEASURED);
    let (elapsed, (cpu_now, others_now), count) = (began.elapsed(), times(), acks.load(Ordering::Relaxed) - before);
    ends.store(true, Ordering::Relaxed);
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
    Measured {
        per_second: count as f64 / elapsed.as_secs_f64(),
        cpu_us_per_set: each(cpu_now - cpu),
        other_us_per_set: each(others_now - others),
    }
}
