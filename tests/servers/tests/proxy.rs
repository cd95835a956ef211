//! The proxy does to connections what its methods say.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tapemill_test_servers::{Cut, Proxy, Way, until};

/// A server that sends back what it gets.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = std::io::copy(&mut &stream, &mut &stream);
            });
        }
    });
    port
}

fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(("127.0.0.1", proxy.port())).unwrap()
}

fn said(mut stream: &TcpStream, text: &str) -> std::io::Result<String> {
    stream.write_all(text.as_bytes())?;
    heard(stream, text.len())
}

fn heard(mut stream: &TcpStream, length: usize) -> std::io::Result<String> {
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8(answer).unwrap())
}

/// Whether nothing comes for a while, though the connection is open.
fn is_silent(mut stream: &TcpStream) -> bool {
    let short = Some(Duration::from_millis(200));
    stream.set_read_timeout(short).unwrap();
    let kind = stream.read(&mut [0; 1]).unwrap_err().kind();
    stream.set_read_timeout(None).unwrap();
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[test]
fn bytes_and_ends_pass_both_ways() {
    let proxy = Proxy::before(echo());
    let body: Vec<u8> = (0..3_000_000).map(|byte: u32| byte as u8).collect();

    let client = connect(&proxy);
    let mut answer = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            (&client).write_all(&body).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
        });
        (&client).read_to_end(&mut answer).unwrap();
    });

    assert!(answer == body);
    until("the connection is forgotten", || proxy.connections() == 0);
}

#[test]
fn a_reset_is_seen_and_new_connections_are_served() {
    let proxy = Proxy::before(echo());
    let client = connect(&proxy);
    assert_eq!(said(&client, "one").unwrap(), "one");

    proxy.cut(Cut::Reset);

    let error = (&client).read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(said(&connect(&proxy), "two").unwrap(), "two");
}

#[test]
fn a_client_that_does_not_read_is_reset_too() {
    let proxy = Proxy::before(echo());
    let client = connect(&proxy);
    client.set_nonblocking(true).unwrap();
    let full = |stream: &TcpStream| {
        let kind = (&*stream).write(&[0; 65_536]).map_err(|error| error.kind());
        kind == Err(ErrorKind::WouldBlock)
    };
    until("nothing more goes in", || full(&client));

    proxy.cut(Cut::Reset);

    assert_eq!(proxy.connections(), 0);
}

#[test]
fn a_silent_cut_swallows_for_ever_and_new_connections_are_served() {
    let proxy = Proxy::before(echo());
    let client = connect(&proxy);
    assert_eq!(said(&client, "one").unwrap(), "one");

    proxy.cut(Cut::Silent);
    (&client).write_all(b"two").unwrap();

    assert!(is_silent(&client));
    proxy.heal();
    assert!(is_silent(&client));
    assert_eq!(said(&connect(&proxy), "three").unwrap(), "three");
}

#[test]
fn what_was_held_comes_when_it_is_healed() {
    let proxy = Proxy::before(echo());
    let old = connect(&proxy);
    assert_eq!(said(&old, "one").unwrap(), "one");

    proxy.hold();
    let new = connect(&proxy);
    (&old).write_all(b"two").unwrap();
    (&new).write_all(b"three").unwrap();
    assert!(is_silent(&old) && is_silent(&new));
    proxy.heal();

    assert_eq!(heard(&old, 3).unwrap(), "two");
    assert_eq!(heard(&new, 5).unwrap(), "three");
}

#[test]
fn new_connections_are_refused_while_old_ones_go_on() {
    let proxy = Proxy::before(echo());
    let client = connect(&proxy);
    assert_eq!(said(&client, "one").unwrap(), "one");

    proxy.refuse();
    let refused = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap_err();

    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(said(&client, "two").unwrap(), "two");
    proxy.heal();
    assert_eq!(said(&connect(&proxy), "three").unwrap(), "three");
}

#[test]
fn delays_and_a_throttle_are_lower_bounds() {
    let proxy = Proxy::before(echo());
    let client = connect(&proxy);
    let begun = Instant::now();
    proxy.delay(Way::Up, Duration::from_millis(30));
    proxy.delay(Way::Down, Duration::from_millis(40));

    assert_eq!(said(&client, "one").unwrap(), "one");
    assert!(begun.elapsed() >= Duration::from_millis(70));
    proxy.heal();

    let begun = Instant::now();
    proxy.throttle(Way::Down, 200_000);
    let body = "x".repeat(60_000);
    assert_eq!(said(&client, &body).unwrap(), body);
    // The last piece, of at most 16 KiB, comes as soon as those before it are paid for.
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

#[test]
fn where_the_server_refuses_the_client_is_reset() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let proxy = Proxy::before(port);

    let error = (&connect(&proxy)).read(&mut [0; 1]).unwrap_err();

    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}
