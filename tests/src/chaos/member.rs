//! One process in trouble: a worker or a coordinator that is started again and again.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::tally::Tally;
use super::{Side, Trouble, Victim};
use crate::{Cut, Finished, Port, Proxy, Running, Tapemill, Way, until};

/// A process that was told to end does so within its grace and some; beyond this it hangs.
const ENDS_WITHIN: Duration = Duration::from_secs(40);

/// A worker or coordinator, its way to every server, and its log over all its lives.
pub(super) struct Member {
    pub victim: Victim,
    log: PathBuf,
    port: Port,
    proxies: BTreeMap<Side, Proxy>,
    life: Life,
    counted: Tally,
}

enum Life {
    Up(Running),
    Stopped(Running),
    Leaving(Running, Instant),
    Away,
}

/// How a life ended that nobody had ended.
pub(super) enum Ended {
    /// After SIGTERM, as it should.
    Told,
    /// In a way that is a defect.
    Wrongly(String),
}

impl Member {
    pub fn new(victim: Victim, logs: &Path, proxies: BTreeMap<Side, Proxy>) -> Self {
        Self {
            victim,
            log: logs.join(format!("{victim}.log")),
            port: Port::reserve(),
            proxies,
            life: Life::Away,
            counted: Tally::default(),
        }
    }

    pub fn proxy(&self, side: Side) -> Option<&Proxy> {
        self.proxies.get(&side)
    }

    pub fn is_away(&self) -> bool {
        matches!(self.life, Life::Away)
    }

    pub fn start(&mut self, command: Tapemill) {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let command = command.args(["--listen", &format!("127.0.0.1:{}", self.port.number())]);
        let running = command.spawn_with_stderr(log.expect("the logs' folder can be written"));
        self.life = Life::Up(running);
    }

    /// Reads its counters, when it answers.
    pub fn read(&mut self) {
        if let Life::Up(_) = self.life
            && let Some(counted) = Tally::read(self.port.number())
        {
            self.counted = counted;
        }
    }

    /// What this life counted.
    pub fn bury(&mut self) -> Tally {
        std::mem::take(&mut self.counted)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.read();
        self.life = Life::Away;
    }

    /// SIGSTOP.
    pub fn stop(&mut self) {
        self.life = match std::mem::replace(&mut self.life, Life::Away) {
            Life::Up(running) => {
                running.signal(libc::SIGSTOP);
                Life::Stopped(running)
            }
            other => other,
        };
    }

    /// SIGCONT, when it is stopped.
    pub fn cont(&mut self) {
        self.life = match std::mem::replace(&mut self.life, Life::Away) {
            Life::Stopped(running) => {
                running.signal(libc::SIGCONT);
                Life::Up(running)
            }
            other => other,
        };
    }

    /// SIGTERM, once it listens: before, it may not yet know what that means.
    pub fn term(&mut self) {
        self.cont();
        let port = self.port.number();
        if let Life::Up(running) = &mut self.life {
            until("it listens", || {
                TcpStream::connect(("127.0.0.1", port)).is_ok() || !running.is_running()
            });
        }
        self.read();
        self.life = match std::mem::replace(&mut self.life, Life::Away) {
            Life::Up(running) => {
                running.signal(libc::SIGTERM);
                Life::Leaving(running, Instant::now())
            }
            other => other,
        };
    }

    /// Whether it ended by itself, and how.
    pub fn ended(&mut self) -> Option<Ended> {
        let (is_over, is_late) = match &mut self.life {
            Life::Up(running) => (!running.is_running(), false),
            Life::Leaving(running, since) => (!running.is_running(), since.elapsed() > ENDS_WITHIN),
            Life::Stopped(_) | Life::Away => (false, false),
        };
        if !is_over && !is_late {
            return None;
        }
        let was = std::mem::replace(&mut self.life, Life::Away);
        if is_late {
            let why = format!("{} did not end {ENDS_WITHIN:?} after SIGTERM", self.victim);
            return Some(Ended::Wrongly(why));
        }
        match was {
            Life::Leaving(running, _) => match running.wait() {
                Finished { code: Some(0), .. } => Some(Ended::Told),
                other => Some(self.wrongly("after SIGTERM", &other)),
            },
            Life::Up(running) => Some(self.wrongly("by itself", &running.wait())),
            Life::Stopped(_) | Life::Away => None,
        }
    }

    fn wrongly(&self, when: &str, finished: &Finished) -> Ended {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().last().unwrap_or_default();
        let code = finished.code;
        Ended::Wrongly(format!(
            "{} ended {when} with {code:?}: {last}",
            self.victim
        ))
    }

    /// Troubles its way to a server; tells for how long.
    pub fn trouble(&self, side: Side, trouble: Trouble) -> Option<Duration> {
        let proxy = self.proxies.get(&side)?;
        match trouble {
            Trouble::Reset => {
                proxy.cut(Cut::Reset);
                None
            }
            Trouble::BlackHole => {
                proxy.cut(Cut::Silent);
                None
            }
            Trouble::Hold(length) => {
                proxy.hold();
                Some(length)
            }
            Trouble::Refuse(length) => {
                proxy.refuse();
                proxy.cut(Cut::Reset);
                Some(length)
            }
            Trouble::Delay(latency, length) => {
                proxy.delay(Way::Up, latency);
                proxy.delay(Way::Down, latency);
                Some(length)
            }
            Trouble::Throttle(rate, length) => {
                proxy.throttle(Way::Down, rate);
                Some(length)
            }
        }
    }

    /// Ends all trouble of a way.
    pub fn heal(&self, side: Side) {
        if let Some(proxy) = self.proxies.get(&side) {
            proxy.heal();
        }
    }

    /// Ends all trouble.
    pub fn heal_all(&mut self) {
        self.proxies.values().for_each(Proxy::heal);
        self.cont();
    }

    /// The log of all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}
