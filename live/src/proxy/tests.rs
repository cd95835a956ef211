use std::time::Duration;

use proptest::prelude::*;
use tokio::io::duplex;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;

/// What stands in the addresses of proxies here, and the same as a header has it.
const SECRETS: [&str; 2] = ["s3cret", "bWU6czNjcmV0"];

fn matcher(all: &str, no: &str) -> Matcher {
    Matcher::builder().all(all).no(no).build()
}

fn among(matcher: &Matcher, address: &str) -> Option<String> {
    let address = Url::parse(address).unwrap();
    let proxy = Proxy::among(matcher, &address).unwrap();
    proxy.map(|proxy| proxy.name())
}

#[test]
fn each_scheme_has_the_proxy_of_its_requests() {
    let matcher = Matcher::builder()
        .http("http://plain:3128")
        .https("me:s3cret@secure.example")
        .no("*.not-this-way.example, internal.example,10.0.0.0/8,::1")
        .build();

    for (address, proxy) in [
        ("wss://fstream.binance.com", Some("secure.example:80")),
        ("wss://stream.binance.com:9443", Some("secure.example:80")),
        ("ws://fstream.binance.com", Some("plain:3128")),
        ("wss://internal.example", None),
        ("wss://streams.internal.example:9443", None),
        ("wss://notinternal.example", Some("secure.example:80")),
        ("ws://10.1.2.3:8080", None),
        ("ws://[::1]:8080", None),
    ] {
        assert_eq!(among(&matcher, address).as_deref(), proxy, "{address}");
    }
    let other = Matcher::builder().https("http://secure:1").build();
    assert_eq!(among(&other, "ws://exchange.example"), None);
}

#[test]
fn a_proxy_of_any_kind_has_its_port() {
    for (all, name) in [
        ("http://proxy.example", Some("proxy.example:80")),
        ("https://me:s3cret@proxy.example", Some("proxy.example:443")),
        ("socks5h://proxy.example:1080", Some("proxy.example:1080")),
        ("http://[::1]:3128", Some("[::1]:3128")),
        ("ftp://proxy.example", None),
        ("", None),
    ] {
        let found = among(&matcher(all, ""), "wss://exchange.example");
        assert_eq!(found.as_deref(), name, "{all}");
    }
}

/// What a proxy is asked, and what comes of its answer.
async fn asked(answer: &[u8], login: Option<&HeaderValue>) -> (String, Result<(), String>) {
    let (mut here, mut there) = duplex(64 << 10);
    there.write_all(answer).await.unwrap();
    there.shutdown().await.unwrap();
    let opened = open_way(&mut here, "exchange.example:443", login).await;
    drop(here);
    let mut request = Vec::new();
    there.read_to_end(&mut request).await.unwrap();
    let request = String::from_utf8(request).unwrap();
    (request, opened.map_err(|why| why.to_string()))
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_way_with_its_login() {
    let proxies = matcher("http://me:s3cret@proxy.example", "");
    let address = Url::parse("wss://exchange.example").unwrap();
    let proxy = Proxy::among(&proxies, &address).unwrap().unwrap();
    let opened = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n";

    let with = asked(opened, proxy.found.basic_auth()).await;
    let without = asked(b"HTTP/1.0 200 OK\n\n", None).await;

    let head = "CONNECT exchange.example:443 HTTP/1.1\r\nHost: exchange.example:443\r\n";
    let login = "Proxy-Authorization: Basic bWU6czNjcmV0\r\n";
    assert_eq!(with, (format!("{head}{login}\r\n"), Ok(())));
    assert_eq!(without, (format!("{head}\r\n"), Ok(())));
}

#[tokio::test]
async fn what_comes_behind_the_answer_is_the_hosts() {
    let (mut here, mut there) = duplex(1 << 10);
    there
        .write_all(b"HTTP/1.1 200 OK\r\n\r\nfirst words")
        .await
        .unwrap();

    open_way(&mut here, "exchange.example:443", None)
        .await
        .unwrap();

    let mut words = [0; 11];
    here.read_exact(&mut words).await.unwrap();
    assert_eq!(&words, b"first words");
}

#[tokio::test]
async fn a_refusal_is_told_in_one_line_that_says_what_to_do() {
    let login = HeaderValue::from_static("Basic bWU6czNjcmV0");
    let long = [
        b"HTTP/1.1 200 OK\r\nX: ".as_slice(),
        &[b'x'; LARGEST_ANSWER],
    ]
    .concat();
    let refused = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\nme?";
    let cases: [(&[u8], Option<&HeaderValue>, &str); 11] = [
        (refused, None, "wants a login (407)"),
        (refused, Some(&login), "does not take the login"),
        (
            b"HTTP/1.1 403 s3cret\r\n\r\n",
            Some(&login),
            "refuses the way to exchange.example:443 with 403",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n", None, "with 100"),
        (
            b"SSH-2.0-OpenSSH_9.2\r\n",
            None,
            "does not answer as an HTTP proxy",
        ),
        (b"\x15\x03\x01", None, "does not answer as an HTTP proxy"),
        (
            b"HTTP/1.1 2000 OK\r\n\r\n",
            None,
            "does not answer as an HTTP proxy",
        ),
        (
            b"HTTP/1.1 OK\r\n\r\n",
            None,
            "does not answer as an HTTP proxy",
        ),
        (b"", None, "ended the connection without an answer"),
        (
            b"HTTP/1.1 20",
            None,
            "ended the connection without an answer",
        ),
        (&long, None, "answers with more than 8 KiB"),
    ];
    for (answer, login, says) in cases {
        let (_, opened) = asked(answer, login).await;
        let why = opened.expect_err(says);
        assert!(why.contains(says) && !why.contains('\n'), "{why}");
        let is_silent = SECRETS.iter().all(|secret| !why.contains(secret));
        assert!(is_silent, "{why}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_told_without_its_login() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let proxies = matcher(&format!("http://me:s3cret@127.0.0.1:{port}"), "");
    let address = Url::parse("wss://exchange.example").unwrap();
    let proxy = Proxy::among(&proxies, &address).unwrap().unwrap();

    let why = proxy.reach("exchange.example:443").await.err().unwrap();

    let says = format!("the proxy 127.0.0.1:{port} cannot be reached");
    assert!(why.starts_with(&says) && !why.contains("s3cret"), "{why}");
}

/// A proxy that speaks SOCKS 5, takes one connection and answers for the host itself: the address it was asked for.
async fn socks(listener: TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut greeting = [0; 3];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, [5, 1, 2], "it offers its login");
    stream.write_all(&[5, 2]).await.unwrap();
    let mut login = [0; 11];
    stream.read_exact(&mut login).await.unwrap();
    assert_eq!(&login, b"\x01\x02me\x06s3cret");
    stream.write_all(&[1, 0]).await.unwrap();
    let mut asked = vec![0; 5];
    stream.read_exact(&mut asked).await.unwrap();
    let mut name = vec![0; usize::from(asked[4]) + 2];
    stream.read_exact(&mut name).await.unwrap();
    stream
        .write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 80])
        .await
        .unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'?');
    stream.write_all(b"an answer").await.unwrap();
    [asked, name].concat()
}

#[tokio::test]
async fn a_socks_proxy_looks_the_name_up_where_its_address_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxies = matcher(&format!("socks5h://me:s3cret@127.0.0.1:{port}"), "");
    let address = Url::parse("wss://exchange.example").unwrap();
    let proxy = Proxy::among(&proxies, &address).unwrap().unwrap();
    let answering = tokio::spawn(socks(listener));

    let reached = timeout(Duration::from_secs(20), proxy.reach("exchange.example:443")).await;

    let mut stream = reached.unwrap().unwrap();
    stream.write_all(b"?").await.unwrap();
    let mut words = [0; 9];
    stream.read_exact(&mut words).await.unwrap();
    assert_eq!(&words, b"an answer");
    let asked = answering.await.unwrap();
    assert_eq!(asked, b"\x05\x01\x00\x03\x10exchange.example\x01\xbb");
}

proptest! {
    /// No answer makes it panic, none of them opens a way without a status of 2xx, and none is repeated.
    #[test]
    fn any_answer_is_taken_or_refused(answer in prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..64),
        "HTTP/1\\.[01] [0-9a-z ]{0,5}[\r\n a-z]{0,8}".prop_map(String::into_bytes),
    ]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (_, opened) = runtime.block_on(asked(&answer, None));
        match opened {
            Ok(()) => prop_assert!(answer.starts_with(b"HTTP/1.") && answer[8..10] == *b" 2"),
            Err(why) => prop_assert!(why.lines().count() == 1),
        }
    }
}
