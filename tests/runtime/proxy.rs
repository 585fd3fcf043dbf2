//! What stands before a registry and counts: every request with the size of its body.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request that went through.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query, with `:` as such.
    pub(crate) target: String,
    pub(crate) body: u64,
}

/// A proxy that ends with the process.
pub(crate) struct Proxy {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Proxy {
    /// Stands before the registry at an address.
    pub(crate) fn before(registry: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("this machine has a loopback");
        let address = listener.local_addr().expect("it is bound").to_string();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (registry, kept) = (registry.to_owned(), Arc::clone(&asked));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (registry, kept) = (registry.clone(), Arc::clone(&kept));
                thread::spawn(move || {
                    if let Ok(server) = TcpStream::connect(registry) {
                        // Either side may go away at any time.
                        let _ = pass(&client, &server, &kept);
                        let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
                    }
                });
            }
        });
        Self { address, asked }
    }

    /// All requests since the last call.
    pub(crate) fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().expect("nothing panics under this lock"))
    }

    /// How many requests of a method there were, whose target holds a text.
    pub(crate) fn count(&self, method: &str, part: &str) -> usize {
        let asked = self.asked.lock().expect("nothing panics under this lock");
        asked.iter().filter(|asked| asked.method == method && asked.target.contains(part)).count()
    }
}

fn pass(client: &TcpStream, server: &TcpStream, kept: &Mutex<Vec<Asked>>) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut back, mut to) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut back, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut reader, mut server) = (BufReader::new(client.try_clone()?), server.try_clone()?);
    // TLS is not for this proxy: who begins with it is sent away.
    while reader.fill_buf()?.first().is_some_and(u8::is_ascii_uppercase) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head)? == 0 {
                return Ok(());
            }
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        let header = |name: &str| {
            let named = |line: &str| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
            text.lines().find(|line| named(line)).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
        };
        assert!(header("transfer-encoding").is_none(), "bodies say how long they are: {text}");
        let body = header("content-length").map_or(0, |length| length.parse().unwrap_or(0));
        let mut words = text.split_whitespace();
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let asked = Asked { method: method.to_owned(), target: target.replace("%3A", ":"), body };
        kept.lock().expect("nothing panics under this lock").push(asked);
        server.write_all(&head)?;
        std::io::copy(&mut reader.by_ref().take(body), &mut server)?;
    }
    Ok(())
}
