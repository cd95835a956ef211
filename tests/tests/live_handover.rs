//! `live`, then `update`, then the archive's day: minutes of captured trades, what happens where some are missing, and the
//! report that is kept when the archive takes their place.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::civil::Date;
use serde_json::{Value, json};
use tapemill_lake::{Handover, Lake, LakePath, Lineage, read_lineage};
use tapemill_standin::Market;
use tapemill_standin::exchange::{Exchange, ExchangeOptions};
use tapemill_standin::generate::Packing;
use tapemill_standin::stream::{
    At, Speed, StreamFault, StreamFaults, StreamOptions, Streams, Tape,
};
use tapemill_tests::{Finished, Lab, Rest, Tapemill, Watched, hashes, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tapemill-under-test");

/// A tape plays within this.
const LONGEST: Duration = Duration::from_secs(120);

const DAY_MS: i64 = 86_400_000;

/// Three trades a minute.
const EVERY_MS: i64 = 20_000;

const TRADES_A_DAY: i64 = DAY_MS / EVERY_MS;

/// One symbol of a market, whose trades are the same over streams, over REST and in the archive.
struct Story {
    lab: Lab,
    rest: Rest,
    market: Market,
    symbol: &'static str,
    /// The day whose archive is there from the beginning.
    archived: Date,
}

impl Story {
    /// The day before yesterday is in the archive, as every day that follows can be put there.
    fn new(market: Market, symbol: &'static str) -> Self {
        let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
        let archived = now.date().yesterday().and_then(Date::yesterday);
        let archived = archived.expect("not at the beginning of time");
        let rest = Rest::with(ExchangeOptions {
            trade_every_ms: EVERY_MS,
            ..ExchangeOptions::new(&[symbol], start_ms(archived))
        });
        let lab = Lab::new(BINARY);
        let story = Self {
            lab,
            rest,
            market,
            symbol,
            archived,
        };
        story.lay(archived, |_| true);
        story
    }

    fn yesterday(&self) -> Date {
        self.archived.tomorrow().expect("not at the end of time")
    }

    fn today(&self) -> Date {
        self.yesterday().tomorrow().expect("not at the end of time")
    }

    /// The ids of a day's trades.
    fn ids(&self, day: Date) -> std::ops::Range<i64> {
        let days = i64::from((day - self.archived).get_days());
        days * TRADES_A_DAY..(days + 1) * TRADES_A_DAY
    }

    fn time_ms(&self, id: i64) -> i64 {
        start_ms(self.archived) + id * EVERY_MS
    }

    fn trade(&self, id: i64) -> Value {
        let is_spot = self.market == Market::Spot;
        Exchange::trade(self.symbol, id, self.time_ms(id), is_spot)
    }

    /// Puts a day into the archive, of its trades those that are to be kept.
    fn lay(&self, day: Date, keeps: impl Fn(i64) -> bool) -> String {
        let ids = self.ids(day).filter(|id| keeps(*id));
        self.lay_period("daily", &day.to_string(), ids)
    }

    /// Puts a period into the archive; of spot with microseconds, as it has them.
    fn lay_period(&self, folder: &str, period: &str, ids: impl Iterator<Item = i64>) -> String {
        let is_spot = self.market == Market::Spot;
        let rows = ids.map(|id| {
            let trade = self.trade(id);
            let time = match is_spot {
                true => self.time_ms(id) * 1000 + 123,
                false => self.time_ms(id),
            };
            let text = |name: &str| trade[name].as_str().expect("a text").to_owned();
            let (price, quantity) = (text("p"), text("q"));
            let (first, last, maker) = (&trade["f"], &trade["l"], &trade["m"]);
            let best = if is_spot { ",True" } else { "" };
            format!("{id},{price},{quantity},{first},{last},{time},{maker}{best}\n")
        });
        let csv: String = rows.collect();
        let market = match self.market {
            Market::Spot => "spot",
            Market::Um => "futures/um",
            Market::Cm => "futures/cm",
        };
        let symbol = self.symbol;
        let key =
            format!("data/{market}/{folder}/aggTrades/{symbol}/{symbol}-aggTrades-{period}.zip");
        let period = period.parse().expect("a period");
        let (root, csv) = (self.lab.mirror.root(), csv.as_bytes());
        let laid = Packing::default().wrap(root, &key, self.market, period, csv);
        laid.expect("the archive can be written");
        key
    }

    /// Collects trades by `live`, as they are played; of a real day's length within seconds.
    fn capture(&self, ids: impl Iterator<Item = i64>, sink: &str) {
        self.capture_but(ids, sink, 0);
    }

    /// The same, and some trades in the middle are not delivered.
    fn capture_but(&self, ids: impl Iterator<Item = i64>, sink: &str, lost: u64) {
        let stream = format!("{}@aggTrade", self.symbol.to_lowercase());
        let mut tape = Tape::new(self.market);
        for (place, id) in (0..).zip(ids) {
            let mut data = self.trade(id);
            data["e"] = "aggTrade".into();
            data["s"] = self.symbol.into();
            data["E"] = (self.time_ms(id) + 3).into();
            let frame = json!({"stream": stream, "data": data}).to_string();
            tape.push(place * 500_000, &frame).expect("it is a frame");
        }
        let frames = tape.frames.len() as u64;
        let mut options = StreamOptions::new(self.market);
        options.speed = Speed::Times(1.0);
        if lost > 0 {
            let place = At::Place {
                stream: stream.clone(),
                place: frames / 2,
            };
            let fault = StreamFault::Drop {
                stream,
                frames: lost,
            };
            options.faults = StreamFaults::none().and(place, fault);
        }
        let streams = Streams::start([tape], options).expect("it plays");
        let live = Tapemill::new(BINARY)
            .folder(self.lab.folder())
            .args(["live", "--market", self.market.as_str()])
            .args(["--symbols", self.symbol, "--streams", "aggTrade"])
            .args(["--rest", &streams.url_rest(), "--ws", &streams.url_ws()])
            .args(["--flush-interval", "0.2", "--sink", sink, "--output"])
            .args([self.lab.output()]);
        let live = Watched::start(live);
        assert!(streams.wait(LONGEST), "{:?}", streams.counts());
        until("all frames came", || {
            live.metric("tapemill_live_frames_total") >= (frames - lost) as f64
                && live.metric("tapemill_live_filled_total") >= lost as f64
        });
        live.process.signal(libc::SIGTERM);
        live.wait().expect(0);
    }

    /// Captures yesterday, and some trades before and behind it.
    fn capture_yesterday(&self, sink: &str) {
        let ids = self.ids(self.yesterday());
        self.capture(ids.start - 10..ids.end + 1, sink);
    }

    /// The captured files that hold trades, oldest first.
    fn captured(&self) -> Vec<PathBuf> {
        let folder = match self.market {
            Market::Um => self.lab.output().join("trades"),
            market => self.lab.output().join(market.as_str()).join("trades"),
        };
        let days = fs::read_dir(folder).expect("it is there");
        let mut files: Vec<PathBuf> = days
            .flat_map(|day| fs::read_dir(day.expect("readable").path()).expect("a folder"))
            .map(|file| file.expect("readable").path())
            .collect();
        files.sort();
        files
    }

    fn update_command(&self, words: &[&str]) -> Tapemill {
        let market = self.market.as_str();
        let fixed = ["update", "-q", "--market", market, "--data", "aggTrades"];
        let words = [&fixed, &["--symbols", self.symbol][..], words].concat();
        self.lab
            .from_source(&words)
            .args(["--rest", self.rest.url()])
    }

    #[track_caller]
    fn update(&self, words: &[&str]) -> Finished {
        self.update_command(words).run().expect(0)
    }

    /// Up to yesterday.
    #[track_caller]
    fn update_yesterday(&self) -> Lineage {
        self.update(&["--end", &self.yesterday().to_string()]);
        self.minutes(self.yesterday())
    }

    /// What the minutes of a day say of themselves.
    #[track_caller]
    fn minutes(&self, day: Date) -> Lineage {
        let (market, symbol) = (self.market.as_str(), self.symbol);
        let path = format!("aggtrades_1m/{market}/{symbol}/{day}.parquet");
        let path = LakePath::parse(&path).expect("it is a path");
        read_lineage(&Lake::local(self.lab.output()), &path).expect("it is published")
    }

    fn handovers(&self) -> Vec<Handover> {
        let found = Lake::local(self.lab.output()).handovers();
        found.expect("it can be read")
    }

    /// The lines of `status --changes` about handovers, and the values of its JSON.
    fn told(&self) -> (Vec<String>, Vec<Value>) {
        let status = |words: &[&str]| {
            let words = [&["status", "--changes"], words].concat();
            self.lab.from_source(&words).run().expect(0)
        };
        let lines = status(&[]).stdout;
        let lines = lines.lines().filter(|line| line.contains(" handed_over: "));
        let values = status(&["--json"]).json_lines().into_iter();
        (
            lines.map(str::to_owned).collect(),
            values
                .filter(|value| value["state"] == "handed_over")
                .collect(),
        )
    }

    /// What `verify` says of the minutes of a day.
    #[track_caller]
    fn verified(&self, day: Date) -> (String, String, String) {
        let found = self.lab.command(&["verify", "--json"]).run().expect(0);
        let file = format!("/{}/{day}.parquet", self.symbol);
        let of_day = found.json_lines().into_iter().find(|line| {
            let name = line["file"].as_str().expect("a name");
            name.starts_with("aggtrades_1m") && name.ends_with(&file)
        });
        let of_day = of_day.expect("it was judged");
        let text = |name: &str| of_day[name].as_str().expect("a text").to_owned();
        (text("verdict"), text("kind"), text("reason"))
    }

    /// How often trades were asked for.
    fn asked(&self) -> usize {
        let asked = self.rest.asked();
        let is_of_trades = |path: &str| path.ends_with("/aggTrades");
        asked.iter().filter(|one| is_of_trades(&one.path)).count()
    }

    fn captured_key(&self, day: Date) -> String {
        let (market, symbol) = (self.market.as_str(), self.symbol);
        format!("live/{market}/aggTrades/{symbol}/{day}")
    }
}

fn start_ms(date: Date) -> i64 {
    let epoch = jiff::civil::date(1970, 1, 1);
    i64::from((date - epoch).get_days()) * DAY_MS
}

fn keys(lineage: &Lineage) -> Vec<&str> {
    let sources = lineage.sources.iter();
    sources.map(|source| source.key.as_str()).collect()
}

/// The trades of a day are captured, become its minutes without the exchange being asked, and give way to the archive's.
fn handed_over(market: Market, symbol: &'static str, sink: &str) {
    let story = Story::new(market, symbol);
    let day = story.yesterday();
    story.capture_yesterday(sink);

    let captured = story.update_yesterday();

    assert_eq!(keys(&captured), [story.captured_key(day)]);
    assert_eq!(captured.sources[0].rows as i64, TRADES_A_DAY);
    assert_eq!(captured.quality["verdict"], "live");
    assert_eq!((captured.rows, story.asked()), (1440, 0));
    let (_, _, reason) = story.verified(day);
    assert!(reason.contains("it was captured, until"), "{reason}");
    let task = format!("{market}/aggTrades/{symbol}/{day}");
    assert_eq!(story.lab.task(&task)["summary"]["verdict"], "live");
    // Again at once: nothing is milled, and nothing asked for.
    let before = hashes(&story.lab.output());
    story.update_yesterday();
    assert_eq!((hashes(&story.lab.output()), story.asked()), (before, 0));

    let key = story.lay(day, |_| true);
    let archived = story.update_yesterday();

    assert_eq!(keys(&archived), [&key]);
    assert_eq!(archived.quality["verdict"], "ok");
    if market != Market::Spot {
        assert_eq!(archived.content, captured.content);
    }
    let reports = story.handovers();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!((reports[0].compared, reports[0].differing), (1440, 0));
    assert_eq!(reports[0].archived, archived.sources[0]);
    assert_eq!(reports[0].captured, captured.sources);
    let (lines, values) = story.told();
    assert_eq!((lines.len(), values.len()), (1, 1), "{lines:?}");
    let same = format!("captured and archived are the same: 1440 minutes of {TRADES_A_DAY} trades");
    assert_eq!(lines[0], format!("{key} handed_over: {day}: {same}"));
    assert_eq!(values[0]["new_sha256"], *archived.sources[0].sha256);
    let (_, kind, reason) = story.verified(day);
    assert!(kind != "live" && !reason.contains("captured"), "{reason}");
}

#[test]
fn captured_trades_of_futures_become_the_minutes_that_the_archive_has() {
    handed_over(Market::Um, "BTCUSDT", "parquet");
}

#[test]
fn captured_trades_in_json_lines_become_the_minutes_that_the_archive_has() {
    handed_over(Market::Um, "BTCUSDT", "jsonl");
}

#[test]
fn captured_trades_of_coin_futures_become_the_minutes_that_the_archive_has() {
    handed_over(Market::Cm, "BTCUSD_PERP", "parquet");
}

#[test]
fn captured_trades_of_spot_become_the_minutes_that_the_archive_has_but_for_microseconds() {
    handed_over(Market::Spot, "BTCUSDT", "jsonl");
}

#[test]
fn what_several_sessions_and_sinks_stored_and_what_was_filled_counts_once() {
    let story = Story::new(Market::Um, "BTCUSDT");
    let day = story.yesterday();
    let ids = story.ids(day);
    let noon = (ids.start + ids.end) / 2;
    // Each ends in the other, and the exchange kept some back that the collector asked for.
    story.capture_but(noon - 300..ids.end + 5, "parquet", 40);
    story.capture(ids.start - 10..noon + 300, "jsonl");

    let captured = story.update_yesterday();

    assert_eq!(keys(&captured), [story.captured_key(day)]);
    assert_eq!(captured.sources[0].rows as i64, TRADES_A_DAY);
    let unusual = ["duplicates", "contradictions", "unordered", "missing_ids"];
    for count in unusual {
        assert_eq!(captured.quality[count], 0, "{count}");
    }
    assert_eq!(story.asked(), 0);
    // They are the lines of one session that has all of it.
    let alone = Story::new(Market::Um, "BTCUSDT");
    alone.capture_yesterday("parquet");
    assert_eq!(alone.update_yesterday().sources, captured.sources);
    assert_eq!(tables(&alone), tables(&story));
}

#[test]
fn a_quantity_that_was_changed_in_a_capture_is_told_when_the_archive_comes() {
    let story = Story::new(Market::Um, "BTCUSDT");
    let day = story.yesterday();
    story.capture_yesterday("jsonl");
    // The first trade of the sixth minute; of the last one a trade that the archive does not have.
    let (changed, lost) = (story.ids(day).start + 15, story.ids(day).end - 1);
    let file = story.captured().remove(0);
    let text = fs::read_to_string(&file).expect("it is text");
    let is_changed = |line: &str| line.contains(&format!("\"agg_id\":{changed},"));
    let lines = text.lines().map(|line| {
        let mut row: Value = serde_json::from_str(line).expect("a row");
        if is_changed(line) {
            row["qty"] = 77.5.into();
        }
        format!("{row}\n")
    });
    let changed_text: String = lines.collect();
    assert_eq!(changed_text.matches("77.5").count(), 1);
    fs::write(&file, changed_text).expect("it can be written");
    let captured = story.update_yesterday();
    assert_eq!(captured.quality["verdict"], "live");

    let key = story.lay(day, |id| id != lost);
    let archived = story.update_yesterday();

    assert_ne!(archived.content, captured.content);
    let report = story.handovers().remove(0);
    assert_eq!((report.compared, report.differing), (1440, 2));
    assert_eq!(
        report.times,
        [format!("{day}T00:05:00Z"), format!("{day}T23:59:00Z")]
    );
    assert_eq!((report.only_archived, report.only_captured), (0, 1));
    let (lines, _) = story.told();
    let words = format!(
        "2 of 1440 minutes differ from what was captured, trades only in the capture: 1; {day}T00:05:00Z, {day}T23:59:00Z"
    );
    assert_eq!(lines, [format!("{key} handed_over: {day}: {words}")]);
    let (verdict, _, reason) = story.verified(day);
    assert_eq!(verdict, "note");
    assert!(reason.contains(&words), "{reason}");
}

#[test]
fn a_month_that_lost_trades_is_held_against_what_was_captured_of_its_days() {
    let story = Story::new(Market::Um, "BTCUSDT");
    let day = story.yesterday();
    story.capture_yesterday("parquet");
    let captured = story.update_yesterday();
    let month = day.strftime("%Y-%m").to_string();
    let ids = story.ids(story.archived).chain(story.ids(day));
    let of_month = |id: &i64| story.time_ms(*id) >= start_ms(day.first_of_month());
    let lost = story.ids(day).start + 100;
    let ids = ids.filter(of_month).filter(|id| *id != lost);
    let key = story.lay_period("monthly", &month, ids);

    story.update(&["--end", &day.to_string()]);

    let path = format!("aggtrades_1m/um/BTCUSDT/{month}.parquet");
    let path = LakePath::parse(&path).expect("it is a path");
    let lake = Lake::local(story.lab.output());
    let made = read_lineage(&lake, &path).expect("it is published");
    assert_eq!(keys(&made), [&key, &story.captured_key(day)]);
    assert_eq!(made.quality["missing_ids"], 0);
    let report = story.handovers().remove(0);
    assert_eq!(report.captured, captured.sources);
    assert_eq!((report.compared, report.differing), (1440, 1));
    assert_eq!((report.only_archived, report.only_captured), (0, 1));
    let dispute = lake.disputes().expect("it can be read").remove(0);
    assert_eq!((&*dispute.kept, dispute.differing), ("day", 1));
    story.lab.command(&["verify", "-q"]).run().expect(0);
}

#[test]
fn behind_a_hole_of_a_capture_the_exchange_is_asked() {
    let story = Story::new(Market::Um, "BTCUSDT");
    let day = story.yesterday();
    story.capture_yesterday("parquet");
    let whole = story.update_yesterday();
    forget(&story);
    let files = story.captured();
    assert!(files.len() > 4, "{files:?}");
    fs::remove_file(&files[files.len() / 2]).expect("it was there");

    let patched = story.update_yesterday();

    assert_eq!(patched.content, whole.content);
    assert_eq!(patched.quality["verdict"], "rest");
    let from = patched.sources[0].rows as i64;
    assert!(
        (1..TRADES_A_DAY).contains(&from),
        "some were captured: {from}"
    );
    let keys = keys(&patched);
    assert!(
        keys[0].starts_with(&format!("{}?startTime=", story.captured_key(day))),
        "{keys:?}"
    );
    assert!(keys[1].starts_with("rest/fapi/v1/aggTrades?"), "{keys:?}");
    assert_eq!(from + patched.sources[1].rows as i64, TRADES_A_DAY);
    let first = story.ids(day).start + from;
    let asked = story.rest.asked();
    let asked = asked.iter().find(|one| one.path.ends_with("/aggTrades"));
    let query = &asked.expect("it was asked").query;
    assert!(
        query.contains(&format!("fromId={first}&")) || query.ends_with(&format!("fromId={first}")),
        "{query}"
    );
    let (_, _, reason) = story.verified(day);
    assert!(
        reason.contains("captured, and asked of the exchange in parts"),
        "{reason}"
    );

    // The archive takes its place as well, and is held against both.
    story.lay(day, |_| true);
    story.update_yesterday();
    let report = story.handovers().remove(0);
    assert_eq!((report.compared, report.differing), (1440, 0));
    assert_eq!(report.captured.len(), 2);
}

#[test]
fn what_was_captured_too_late_or_is_gone_is_asked_of_the_exchange() {
    let story = Story::new(Market::Um, "BTCUSDT");
    let day = story.yesterday();
    // From the second trade on.
    let ids = story.ids(day);
    story.capture(ids.start + 1..ids.end + 1, "parquet");

    let asked = story.update_yesterday();

    assert_eq!(asked.quality["verdict"], "rest");
    assert!(keys(&asked)[0].starts_with("rest/"), "{:?}", keys(&asked));
    assert_eq!((asked.rows, asked.sources.len()), (1440, 1));
    let before = story.asked();
    assert!(before > 0);
    // A file that cannot be read is no reason to fail.
    forget(&story);
    for file in story.captured() {
        fs::write(file, "no Parquet").expect("it can be written");
    }
    let again = story.update_yesterday();
    assert_eq!(again.content, asked.content);
    assert_eq!(again.quality["verdict"], "rest");
    // With the captures gone what is there stays.
    fs::remove_dir_all(story.lab.output().join("trades")).expect("it was there");
    let asked_before = story.asked();
    let hashes_before = hashes(&story.lab.output());
    story.update_yesterday();
    assert_eq!(story.asked(), asked_before);
    assert_eq!(hashes(&story.lab.output()), hashes_before);
    // The archive's day replaces it without a word about a capture.
    story.lay(day, |_| true);
    story.update_yesterday();
    assert_eq!(story.handovers(), []);
}

#[test]
fn without_the_exchange_a_hole_is_a_clear_failure() {
    let story = Story::new(Market::Um, "BTCUSDT");
    let ids = story.ids(story.yesterday());
    story.capture(
        (ids.start - 1..ids.end + 1).filter(|id| *id != ids.start + 700),
        "parquet",
    );
    let until = story.yesterday().to_string();
    // The exchange refuses, whenever it is asked.
    let command = story.update_command(&["--end", &until]);
    for _ in 0..40 {
        story.rest.refuse_next(451, None);
    }

    let failed = command.run();

    assert_eq!(failed.code, Some(3), "{}", failed.stderr);
    assert!(failed.stderr.contains("451"), "{}", failed.stderr);
    let table = format!("aggtrades_1m/um/BTCUSDT/{until}.parquet");
    assert!(!story.lab.output().join(table).exists());
}

#[test]
fn a_day_that_the_exchange_no_longer_tells_of_is_made_of_what_was_captured() {
    // Its archive is late.
    let mut story = Story::new(Market::Um, "BTCUSDT");
    let before = story.archived;
    story.archived = (0..4).fold(before, |day, _| day.yesterday().expect("a day"));
    story.lay(story.archived, |_| true);
    let key = story.lay(before, |_| true);
    fs::remove_file(story.lab.mirror.root().join(&key)).expect("it was there");
    story.capture_yesterday("parquet");
    // As if it had been flushed then.
    for file in story.captured() {
        let day = file.parent().expect("a folder").parent().expect("another");
        let day = day.join(format!("date={}", story.yesterday()));
        fs::create_dir_all(&day).expect("it can be made");
        fs::rename(&file, day.join(file.file_name().expect("a name"))).expect("it moves");
    }

    story.update(&["--end", &story.yesterday().to_string()]);

    let made = story.minutes(story.yesterday());
    assert_eq!(keys(&made), [story.captured_key(story.yesterday())]);
    assert_eq!((made.rows, story.asked()), (1440, 0));
}

#[test]
fn today_is_captured_up_to_now_and_goes_on_with_the_next_update() {
    let story = Story::new(Market::Um, "BTCUSDT");
    let minutes = || jiff::Timestamp::now().as_millisecond() / 60_000 % 1440;
    // Just after midnight nothing of the day has ended yet.
    while minutes() < 5 {
        std::thread::sleep(Duration::from_secs(5));
    }
    let first = story.ids(story.yesterday()).start;
    let now = jiff::Timestamp::now().as_millisecond();
    let last = (now - start_ms(story.archived)) / EVERY_MS;
    story.capture(first - 1..last + 1, "parquet");

    story.update(&[]);

    assert_eq!(
        keys(&story.minutes(story.yesterday())),
        [story.captured_key(story.yesterday())]
    );
    let today = story.minutes(story.today());
    let since = format!(
        "{}?startTime={}&endTime=",
        story.captured_key(story.today()),
        start_ms(story.today())
    );
    assert!(keys(&today)[0].starts_with(&since), "{:?}", keys(&today));
    assert_eq!(today.quality["id_gaps"], 0);
    assert_eq!(
        today.rows * 3,
        today.quality["rows"].as_u64().expect("a number")
    );
    assert!(today.rows as i64 >= minutes() - 3, "{}", today.rows);
    story.lab.command(&["verify", "-q"]).run().expect(0);
    // With another minute of the day the captured ones stay captured.
    let now_minute = minutes();
    while minutes() == now_minute || jiff::Timestamp::now().as_millisecond() % 60_000 < 3_000 {
        std::thread::sleep(Duration::from_millis(200));
    }
    story.update(&[]);
    let later = story.minutes(story.today());
    assert!(later.rows > today.rows, "{} {}", later.rows, today.rows);
    assert!(keys(&later)[0].starts_with(&since), "{:?}", keys(&later));
    assert_eq!(later.quality["id_gaps"], 0);
    assert!(later.sources[0].rows >= today.sources[0].rows);
}

#[test]
fn killed_workers_and_many_of_them_make_the_same_bytes() {
    let story = Story::new(Market::Um, "BTCUSDT");
    let ids = story.ids(story.archived);
    story.capture(
        ids.end - 10..story.ids(story.yesterday()).end + 1,
        "parquet",
    );
    let until = story.yesterday().to_string();
    story
        .update_command(&["--end", &until, "--workers", "1"])
        .run()
        .expect(0);
    let wanted = tables(&story);
    assert_eq!(wanted.len(), 4);

    let mut killed_at_work = 0;
    for wait_ms in WAITS_MS {
        forget(&story);
        let running = story.update_command(&["--end", &until, "--workers", "4"]);
        killed_at_work += i32::from(killed(running, wait_ms));
        for (file, hash) in tables(&story) {
            assert_eq!(wanted.get(&file), Some(&hash), "{file} after {wait_ms} ms");
        }
        story
            .update_command(&["--end", &until, "--workers", "4"])
            .run()
            .expect(0);
        assert_eq!(tables(&story), wanted);
    }
    assert!(killed_at_work > 2, "{killed_at_work}");
    assert_eq!(story.asked(), 0);
}

#[test]
fn a_handover_that_is_killed_is_told_once_and_ends_in_the_archives_table() {
    let story = Story::new(Market::Um, "BTCUSDT");
    let day = story.yesterday();
    story.capture_yesterday("parquet");
    let mut killed_at_work = 0;
    let mut wanted = None;
    for wait_ms in WAITS_MS {
        forget(&story);
        let zip = story.lab.mirror.root().join(story.lay(day, |_| true));
        fs::remove_file(zip).expect("it was there");
        assert_eq!(story.update_yesterday().quality["verdict"], "live");
        let key = story.lay(day, |id| id % 1000 != 0);

        let running = story.update_command(&["--end", &day.to_string()]);
        killed_at_work += i32::from(killed(running, wait_ms));
        let verdict = story.minutes(day).quality["verdict"].clone();
        let told = story.handovers().len();
        assert!(verdict == "live" || told == 1, "{verdict}, {told} told");
        let archived = story.update_yesterday();

        assert_eq!(keys(&archived), [&key]);
        let reports = story.handovers();
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert_eq!((reports[0].differing, reports[0].only_captured), (4, 4));
        let made = (tables(&story), reports);
        assert_eq!(wanted.get_or_insert_with(|| made.clone()), &made);
    }
    assert!(killed_at_work > 2, "{killed_at_work}");
}

/// How long a command works until it is killed.
const WAITS_MS: [u64; 8] = [20, 50, 80, 110, 140, 170, 200, 250];

/// Starts a command and kills it after a while; whether it was still at work.
fn killed(command: Tapemill, wait_ms: u64) -> bool {
    let mut running = command.spawn();
    std::thread::sleep(Duration::from_millis(wait_ms));
    let was_running = running.is_running();
    running.kill();
    was_running
}

/// Removes tables and queue, and leaves what was captured.
fn forget(story: &Story) {
    for entry in fs::read_dir(story.lab.output()).expect("it is there") {
        let path = entry.expect("readable").path();
        if is_captured(&path) {
            continue;
        }
        match path.is_dir() {
            true => fs::remove_dir_all(path).expect("it can be removed"),
            false => fs::remove_file(path).expect("it can be removed"),
        }
    }
}

fn is_captured(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    matches!(name, Some("trades" | "ledger" | "cm" | "spot"))
}

/// The hashes of the tables.
fn tables(story: &Story) -> BTreeMap<String, String> {
    let is_table =
        |name: &str| name.starts_with("aggtrades_1m/") || name.starts_with("factors_1h/");
    let all = hashes(&story.lab.output()).into_iter();
    all.filter(|(name, _)| is_table(name)).collect()
}
