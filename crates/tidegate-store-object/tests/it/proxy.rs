//! A proxy that does what networks and busy servers do: delays, cuts, answers 500 and 503, on demand.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answered by the proxy with this status; the server does not see it.
    Answer(u16),
    /// The connection is cut before the server sees it.
    CutBefore,
    /// The server does it, and the connection is cut before the answer.
    CutAfter,
    /// The server does it, and the connection is cut in the middle of the answer's body.
    CutWithin,
    /// It reaches nobody, and no answer comes.
    Hang,
}

type Rule = dyn Fn(&str, usize) -> Option<Fault> + Send + Sync;

/// Stands in front of a server on loopback.
pub(crate) struct Proxy {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    server: String,
    rule: Mutex<Arc<Rule>>,
    requests: AtomicUsize,
    faults: AtomicUsize,
    // Kept open, so that whoever waits for them goes on waiting.
    hanging: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// In front of this endpoint, `http://host:port/…`.
    pub(crate) fn start(endpoint: &str) -> Self {
        let server = endpoint.strip_prefix("http://").expect("a test's server speaks plain http");
        let (server, rest) = server.split_once('/').unwrap_or((server, ""));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let rule: Arc<Rule> = Arc::new(|_, _| None);
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            rule: Mutex::new(rule),
            requests: AtomicUsize::new(0),
            faults: AtomicUsize::new(0),
            hanging: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        // It ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&accepting);
                thread::spawn(move || drop(shared.serve(client)));
            }
        });
        Self { address: format!("http://127.0.0.1:{port}/{rest}"), shared }
    }

    pub(crate) fn endpoint(&self) -> &str {
        self.address.trim_end_matches('/')
    }

    /// From now on each request's first line, and its number since, decide.
    pub(crate) fn set(&self, rule: impl Fn(&str, usize) -> Option<Fault> + Send + Sync + 'static) {
        *self.shared.rule.lock() = Arc::new(rule);
        self.shared.requests.store(0, Ordering::SeqCst);
        self.shared.faults.store(0, Ordering::SeqCst);
    }

    /// How many faults there were since the rule was set.
    pub(crate) fn faults(&self) -> usize {
        self.shared.faults.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let mut server = TcpStream::connect(&self.server)?;
        let mut buffered = VecDeque::new();
        loop {
            let Some(head) = read_head(&mut client, &mut buffered)? else { return Ok(()) };
            let line = head.lines().next().unwrap_or_default().to_owned();
            let number = self.requests.fetch_add(1, Ordering::SeqCst);
            let rule = Arc::clone(&self.rule.lock());
            let fault = rule(&line, number);
            if fault.is_some() {
                self.faults.fetch_add(1, Ordering::SeqCst);
            }
            let body = Body::of(&head);
            match fault {
                Some(Fault::CutBefore) => return client.shutdown(Shutdown::Both),
                Some(Fault::Hang) => {
                    self.hanging.lock().push(client.try_clone()?);
                    return Ok(());
                }
                Some(Fault::Answer(status)) => {
                    if head.to_lowercase().contains("expect: 100-continue") {
                        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
                    }
                    body.copy(&mut client, &mut buffered, &mut std::io::sink())?;
                    let text = "<Error><Code>SlowDown</Code></Error>";
                    let head = format!("HTTP/1.1 {status} Fault\r\ncontent-length: {}", text.len());
                    client.write_all(format!("{head}\r\n\r\n{text}").as_bytes())?;
                    continue;
                }
                _ => {}
            }
            server.write_all(head.as_bytes())?;
            body.copy(&mut client, &mut buffered, &mut server)?;
            let is_head = line.starts_with("HEAD ");
            let mut from_server = VecDeque::new();
            let Some(answer) = read_head(&mut server, &mut from_server)? else { return Ok(()) };
            if fault == Some(Fault::CutAfter) {
                return client.shutdown(Shutdown::Both);
            }
            client.write_all(answer.as_bytes())?;
            let has_none = is_head || [" 204", " 304"].iter().any(|s| answer[8..].starts_with(s));
            let body = if has_none { Body::Length(0) } else { Body::of(&answer) };
            if fault == Some(Fault::CutWithin) {
                if let Body::Length(length) = body {
                    let half = Body::Length(length / 2);
                    half.copy(&mut server, &mut from_server, &mut client)?;
                }
                return client.shutdown(Shutdown::Both);
            }
            body.copy(&mut server, &mut from_server, &mut client)?;
        }
    }
}

/// How long a message's body is.
#[derive(Clone, Copy)]
enum Body {
    Length(u64),
    Chunked,
}

impl Body {
    fn of(head: &str) -> Self {
        let field = |name: &str| {
            head.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_ascii_lowercase())
            })
        };
        if field("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            return Self::Chunked;
        }
        let length = field("content-length").and_then(|length| length.parse().ok());
        Self::Length(length.unwrap_or(0))
    }

    fn copy(
        self,
        from: &mut TcpStream,
        buffered: &mut VecDeque<u8>,
        to: &mut impl Write,
    ) -> std::io::Result<()> {
        match self {
            Self::Length(length) => copy_exactly(from, buffered, to, length),
            Self::Chunked => loop {
                let line = read_line(from, buffered)?;
                to.write_all(line.as_bytes())?;
                let size = line.trim().split(';').next().unwrap_or_default();
                let size = u64::from_str_radix(size, 16).unwrap_or(0);
                copy_exactly(from, buffered, to, size + 2)?;
                if size == 0 {
                    return Ok(());
                }
            },
        }
    }
}

fn copy_exactly(
    from: &mut TcpStream,
    buffered: &mut VecDeque<u8>,
    to: &mut impl Write,
    mut left: u64,
) -> std::io::Result<()> {
    while left > 0 {
        fill(from, buffered)?;
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffered.len());
        to.write_all(&buffered.drain(..count).collect::<Vec<_>>())?;
        left -= count as u64;
    }
    Ok(())
}

fn read_line(from: &mut TcpStream, buffered: &mut VecDeque<u8>) -> std::io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        fill(from, buffered)?;
        line.extend(buffered.pop_front());
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// The first lines of a message up to the empty one; `None` at the end of the connection.
fn read_head(from: &mut TcpStream, buffered: &mut VecDeque<u8>) -> std::io::Result<Option<String>> {
    let mut head = String::new();
    loop {
        match read_line(from, buffered) {
            Ok(line) if line == "\r\n" && head.starts_with("HTTP/1.1 100") => head.clear(),
            Ok(line) if line == "\r\n" => return Ok(Some(head + "\r\n")),
            Ok(line) => head += &line,
            Err(_) if head.is_empty() => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

fn fill(from: &mut TcpStream, buffered: &mut VecDeque<u8>) -> std::io::Result<()> {
    if buffered.is_empty() {
        let mut bytes = vec![0; 64 * 1024];
        let count = from.read(&mut bytes)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        buffered.extend(&bytes[..count]);
    }
    Ok(())
}
