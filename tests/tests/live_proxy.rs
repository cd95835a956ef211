//! `live` through the proxy of its environment: requests and WebSockets alike, and what is told when that opens no way.

use std::net::SocketAddr;
use std::time::Duration;

use tapemill_standin::Market;
use tapemill_standin::stream::{Script, Speed, StreamOptions, Streams};
use tapemill_tests::{Certificates, HttpProxy, Tapemill, TlsFront, Watched, until};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// What stands in the proxy's address, and the header that it becomes.
const LOGIN: &str = "me:s%33cret";
const HEADER: &str = "Basic bWU6czNjcmV0";

/// An exchange, and a proxy that leads to it.
struct Story {
    streams: Streams,
    proxy: HttpProxy,
    folder: TempDir,
}

impl Story {
    fn begin() -> Self {
        let tape = Script::new(Market::Um, &["BTCUSDT"], 300).tape();
        let mut options = StreamOptions::new(Market::Um);
        options.speed = Speed::Times(2.0);
        options.limits.connects = usize::MAX;
        Self {
            streams: Streams::start([tape.expect("it can be made")], options).expect("it plays"),
            proxy: HttpProxy::start(),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// The proxy's address, with a login or none.
    fn named(&self, login: &str) -> String {
        format!("http://{login}{}", self.proxy.address())
    }

    /// A collector of an address of the exchange, all of whose hosts are reached through the proxy that a variable names.
    fn collector(&self, ws: &str, variable: &str, proxy: &str) -> Tapemill {
        Tapemill::new(BINARY)
            .folder(self.folder.path())
            .args(["live", "--output", "out", "--ws", ws])
            .args(["--backoff", "0.2", "--max-backoff", "0.4"])
            .args(["--flush-interval", "0.2"])
            .env("NO_PROXY", "")
            .env(variable, proxy)
    }

    fn with_books(&self, variable: &str, login: &str, exceptions: &str) -> Watched {
        let proxy = self.named(login);
        let command = self.collector(&self.streams.url_ws(), variable, &proxy);
        let command = command.env("NO_PROXY", exceptions);
        Watched::start(command.args(["--rest", &self.streams.url_rest()]))
    }

    /// Without the requests with which it would find out about its proxy before there is a stream.
    fn without_requests(&self, proxy: &str) -> Watched {
        let command = self.collector(&self.streams.url_ws(), "HTTP_PROXY", proxy);
        Watched::start(command.args(["--streams", "aggTrade", "--no-rest"]))
    }

    /// A collector of the exchange behind TLS, as it is in truth.
    fn of_secured(&self, front: &TlsFront, proxy: &str, certificates: &Certificates) -> Watched {
        let authority = certificates.authority();
        let ws = format!("wss://{}", front.host());
        let command = self
            .collector(&ws, "HTTPS_PROXY", proxy)
            .args(["--rest", &format!("https://{}", front.host())])
            .env("SSL_CERT_FILE", authority.to_str().expect("a plain path"));
        Watched::start(command)
    }

    fn secured(&self, certificates: &Certificates) -> TlsFront {
        TlsFront::before(address_of(&self.streams.url_ws()), certificates)
    }

    /// The request for a way to the exchange's streams.
    fn way(&self) -> String {
        format!("CONNECT {} HTTP/1.1", address_of(&self.streams.url_ws()))
    }

    fn ways(&self) -> usize {
        let asked = self.proxy.asked();
        asked.iter().filter(|asked| **asked == self.way()).count()
    }
}

fn resyncs(live: &Watched) -> f64 {
    live.metric("tapemill_live_resyncs_total")
}

fn address_of(url: &str) -> SocketAddr {
    let (_, host) = url.split_once("://").expect("a URL");
    host.parse().expect("an address")
}

/// Without those of the ledger, which come by no connection.
fn rows(live: &Watched) -> f64 {
    live.metric("tapemill_live_rows_total")
}

#[test]
fn streams_and_requests_go_through_the_proxy_with_its_login() {
    let story = Story::begin();
    story.proxy.want(Some(HEADER));

    let live = story.with_books("HTTP_PROXY", &format!("{LOGIN}@"), "");
    until("a book follows its snapshot", || resyncs(&live) > 0.0);
    until("rows come", || rows(&live) > 0.0);

    let asked = story.proxy.asked();
    assert!(story.ways() > 0, "{asked:?}");
    // What else is asked of that host goes by the same connection.
    let info = format!(
        "GET {}/fapi/v1/exchangeInfo HTTP/1.1",
        story.streams.url_rest()
    );
    assert!(asked.contains(&info), "{asked:?}");
    live.process.signal(libc::SIGTERM);
    let told = live.wait().expect(0);
    let through = format!("through the proxy {}", story.proxy.address());
    assert!(told.stderr.contains(&through), "{}", told.stderr);
    for secret in ["s%33cret", "s3cret", "bWU6"] {
        assert!(!told.stderr.contains(secret), "{}", told.stderr);
    }
}

#[test]
fn what_is_encrypted_goes_through_a_proxy_as_it_is() {
    let story = Story::begin();
    story.proxy.want(Some(HEADER));
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::make(folder.path());
    let front = story.secured(&certificates);

    let proxy = story.named(&format!("{LOGIN}@"));
    let live = story.of_secured(&front, &proxy, &certificates);
    until("a book follows its snapshot", || resyncs(&live) > 0.0);

    let asked = story.proxy.asked();
    // One for the requests, and one for each connection.
    let way = format!("CONNECT {} HTTP/1.1", front.host());
    assert!(
        asked.len() >= 2 && asked.iter().all(|asked| *asked == way),
        "{asked:?}"
    );
}

#[test]
fn a_proxy_may_itself_be_behind_tls() {
    let story = Story::begin();
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::make(folder.path());
    let front = story.secured(&certificates);
    let before_proxy = TlsFront::before(story.proxy.address(), &certificates);

    let proxy = format!("https://{}", before_proxy.host());
    let live = story.of_secured(&front, &proxy, &certificates);
    until("a book follows its snapshot", || resyncs(&live) > 0.0);

    let way = format!("CONNECT {} HTTP/1.1", front.host());
    assert!(
        story.proxy.asked().contains(&way),
        "{:?}",
        story.proxy.asked()
    );
    assert_eq!(
        live.said(&format!("through the proxy {}", before_proxy.host())),
        1
    );
}

#[test]
fn a_proxy_for_everything_may_be_named_in_lower_case() {
    let story = Story::begin();

    let live = story.with_books("all_proxy", "", "");
    until("rows come", || rows(&live) > 0.0);

    assert!(story.ways() > 0, "{:?}", story.proxy.asked());
}

#[test]
fn hosts_that_need_no_proxy_are_reached_without_one() {
    let story = Story::begin();

    let live = story.with_books("HTTP_PROXY", "", "exchange.example, 127.0.0.0/8");
    until("rows come", || rows(&live) > 0.0);

    assert_eq!(story.proxy.asked(), Vec::<String>::new());
    assert_eq!(live.said("proxy"), 0, "{}", live.log());
}

#[test]
fn a_proxy_for_https_is_none_for_plain_addresses() {
    let story = Story::begin();

    let live = story.with_books("HTTPS_PROXY", "", "");
    until("rows come", || rows(&live) > 0.0);

    assert_eq!(story.proxy.asked(), Vec::<String>::new());
}

#[test]
fn a_proxy_that_wants_a_login_is_told_and_asked_again_with_pauses() {
    let story = Story::begin();
    story.proxy.want(Some(HEADER));

    let live = story.without_requests(&story.named(""));
    until("it was tried again", || story.ways() >= 3);
    let ways = story.ways();
    std::thread::sleep(Duration::from_secs(1));

    // Each wait is 0.2 to 0.4 s by then, or half of it.
    let more = story.ways() - ways;
    assert!((1..=8).contains(&more), "{more} tries within a second");
    let log = live.log();
    let line = log.lines().find(|line| line.contains("(407)"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    for part in [
        "cannot connect to 127.0.0.1:",
        &format!("the proxy {} wants a login", story.proxy.address()),
        "HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT",
        "the next try is in 0.",
    ] {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
    assert!(live.metric("tapemill_live_connect_failures_total") >= 3.0);
    assert_eq!(live.get("/readyz").status, 503);

    // It need not be started anew once the proxy lets it.
    story.proxy.want(None);
    until("rows come", || rows(&live) > 0.0);
    assert_eq!(live.get("/readyz").status, 200);
}

#[test]
fn a_login_that_is_wrong_is_told_and_never_repeated() {
    let story = Story::begin();
    story.proxy.want(Some("Basic b3RoZXI6b25l"));

    let live = story.without_requests(&story.named(&format!("{LOGIN}@")));
    until("it is told", || live.said("does not take the login") > 0);

    let log = live.log();
    for secret in ["s%33cret", "s3cret", "bWU6"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn a_proxy_that_is_not_there_is_told() {
    let mut story = Story::begin();
    let gone = std::mem::replace(&mut story.proxy, HttpProxy::start());
    let nobody = format!("http://{}", gone.address());
    drop(gone);

    let live = story.without_requests(&nobody);
    until("it is told", || live.said("cannot be reached") > 0);

    assert!(live.said("the proxy 127.0.0.1:") > 0, "{}", live.log());
    assert_eq!(story.proxy.asked(), Vec::<String>::new());
}
