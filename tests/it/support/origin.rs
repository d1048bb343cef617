//! A backend that answers whatever bytes a test wants.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{Message, Peer};

/// A listening origin, one thread per connection; closed when dropped.
pub struct Origin {
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    connections: AtomicUsize,
    requests: Mutex<Vec<Message>>,
}

impl Origin {
    /// Calls `serve` on each accepted connection. A panic there ends that connection only.
    pub fn serving(serve: impl Fn(&mut Peer, &Recorder) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let (state, serve) = (shared.clone(), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if state.stop.load(Ordering::Acquire) {
                    return;
                }
                let Ok(stream) = stream else { return };
                state.connections.fetch_add(1, Ordering::Relaxed);
                let (recorder, serve) = (Recorder(state.clone()), serve.clone());
                thread::spawn(move || serve(&mut Peer::over(stream), &recorder));
            }
        });
        Self { port, shared }
    }

    /// Answers every request with the same bytes, keeping the connection open.
    pub fn replying(answer: impl AsRef<[u8]>) -> Self {
        let answer = answer.as_ref().to_vec();
        Self::serving(move |peer, seen| {
            while let Some(request) = peer.request() {
                seen.note(request);
                if !peer.try_send(&answer) {
                    return;
                }
            }
        })
    }

    /// The requests noted so far.
    pub fn requests(&self) -> Vec<Message> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        // Wakes the accepting thread, which then drops the listener.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

/// Where an origin's connections note what they were asked.
pub struct Recorder(Arc<Shared>);

impl Recorder {
    pub fn note(&self, request: Message) {
        self.0.requests.lock().unwrap().push(request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The helpers agree with each other: what a client sends is what an origin notes, and back.
    #[test]
    fn client_and_origin_speak_to_each_other() {
        let origin =
            Origin::replying("HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        let mut client = Peer::to(origin.port);
        for body in ["one", "three"] {
            client.send(format!("POST /x HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
            let answer = client.response();
            assert_eq!(
                (answer.status, answer.text().as_str(), answer.header("x-a").as_deref()),
                (200, "abc", Some("1"))
            );
        }
        client.finish();
        assert_eq!(client.rest(), b"");
        let bodies: Vec<_> = origin.requests().iter().map(Message::text).collect();
        assert_eq!((bodies, origin.connections()), (vec!["one".to_owned(), "three".to_owned()], 1));
    }
}
