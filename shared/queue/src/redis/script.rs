//! The scripts: which keys each one gets, and which shared parts stand before it.

use std::sync::LazyLock;

use super::keys::Key;

/// A script, as it is sent.
pub(super) struct Script {
    /// Its keys, in the order of `KEYS`.
    pub(super) keys: &'static [Key],
    /// All of it.
    pub(super) source: String,
    /// The name the server knows it by.
    pub(super) sha: String,
}

impl Script {
    fn new(keys: &'static [Key], parts: &[&str]) -> Self {
        let mut source = String::new();
        for (position, key) in keys.iter().enumerate() {
            source.push_str(&format!("local {} = KEYS[{}]\n", key.lua(), position + 1));
        }
        parts.iter().for_each(|part| source.push_str(part));
        let sha = redis::Script::new(&source).get_hash().to_owned();
        Self { keys, source, sha }
    }
}

const CLOCK: &str = include_str!("lua/lib/clock.lua");
const RECORD: &str = include_str!("lua/lib/record.lua");
const PAGES: &str = include_str!("lua/lib/pages.lua");
const READY: &str = include_str!("lua/lib/ready.lua");
const COUNTS: &str = include_str!("lua/lib/counts.lua");
const LEASES: &str = include_str!("lua/lib/leases.lua");
const TROUBLE: &str = include_str!("lua/lib/trouble.lua");
const REMOVAL: &str = include_str!("lua/lib/removal.lua");
const TOGETHER: &str = include_str!("lua/lib/together.lua");
const WEIGHT: &str = include_str!("lua/lib/weight.lua");
const VIEW: &str = include_str!("lua/lib/view.lua");

// Scripts that another one calls, with arguments of their own.
const COMPLETE_BEGINS: &str = "local function complete(ARGV)\n";
const COMPLETE_BODY: &str = include_str!("lua/complete.lua");
const CLAIM_BEGINS: &str = "local function claim(ARGV)\n";
const CLAIM_BODY: &str = include_str!("lua/claim.lua");
const ENDS: &str = "end\n";

macro_rules! script {
    ($(#[$doc:meta])* $name:ident, $file:literal, [$($key:ident),*], [$($part:ident),*]) => {
        $(#[$doc])*
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(&[$(Key::$key),*], &[$($part,)* include_str!(concat!("lua/", $file))])
        });
    };
}

script!(
    ENQUEUE,
    "enqueue.lua",
    [
        Meta,
        Tasks,
        Index,
        IndexPages,
        Ready,
        ReadyPages,
        Since,
        SinceCounts,
        Waiting,
        Leases,
        Started,
        DeadIds,
        Requests,
        History,
        Counts
    ],
    [CLOCK, RECORD, PAGES, READY, COUNTS, LEASES, REMOVAL]
);
script!(
    RETRY,
    "retry.lua",
    [
        Tasks,
        Ready,
        ReadyPages,
        Since,
        SinceCounts,
        Waiting,
        DeadIds,
        Counts
    ],
    [CLOCK, RECORD, PAGES, READY, COUNTS]
);
script!(
    CANCEL,
    "cancel.lua",
    [
        Tasks,
        Ready,
        ReadyPages,
        Since,
        SinceCounts,
        Waiting,
        Leases,
        Started,
        DeadIds,
        Requests,
        History,
        Counts
    ],
    [CLOCK, RECORD, PAGES, READY, COUNTS, LEASES, TROUBLE]
);
script!(
    CLAIM,
    "claim.lua",
    [
        Meta,
        Tasks,
        Ready,
        ReadyPages,
        Since,
        SinceCounts,
        Waiting,
        Leases,
        Started,
        Requests,
        Counts
    ],
    [CLOCK, RECORD, TOGETHER, PAGES, READY, COUNTS]
);
script!(
    HEARTBEAT,
    "heartbeat.lua",
    [Meta, Tasks, Leases, Workers],
    [CLOCK, RECORD]
);
script!(CONFIRM, "confirm.lua", [Tasks], [RECORD]);
script!(
    COMPLETE,
    "complete.lua",
    [Meta, Tasks, Leases, Started, Requests, Counts, Rate],
    [CLOCK, RECORD, TOGETHER, COUNTS, LEASES]
);
script!(
    COMPLETE_AND_CLAIM,
    "complete_and_claim.lua",
    [
        Meta,
        Tasks,
        Ready,
        ReadyPages,
        Since,
        SinceCounts,
        Waiting,
        Leases,
        Started,
        Requests,
        Counts,
        Rate
    ],
    [
        CLOCK,
        RECORD,
        TOGETHER,
        PAGES,
        READY,
        COUNTS,
        LEASES,
        COMPLETE_BEGINS,
        COMPLETE_BODY,
        ENDS,
        CLAIM_BEGINS,
        CLAIM_BODY,
        ENDS
    ]
);
script!(
    FAIL,
    "fail.lua",
    [
        Tasks,
        Ready,
        ReadyPages,
        Since,
        SinceCounts,
        Waiting,
        Leases,
        Started,
        DeadIds,
        Requests,
        History,
        Counts
    ],
    [CLOCK, RECORD, PAGES, READY, COUNTS, LEASES, TROUBLE]
);
script!(
    RELEASE,
    "release.lua",
    [
        Tasks,
        Ready,
        ReadyPages,
        Since,
        SinceCounts,
        Waiting,
        Leases,
        Started,
        Requests,
        Counts
    ],
    [CLOCK, RECORD, PAGES, READY, COUNTS, LEASES]
);
script!(
    REAP,
    "reap.lua",
    [
        Tasks,
        Ready,
        ReadyPages,
        Since,
        SinceCounts,
        Waiting,
        Leases,
        Started,
        DeadIds,
        Requests,
        History,
        Counts
    ],
    [CLOCK, RECORD, PAGES, READY, COUNTS, LEASES, TROUBLE]
);
script!(GET, "get.lua", [Tasks, History], [RECORD, VIEW]);
script!(STATES, "states.lua", [Tasks], []);
script!(
    LIST,
    "list.lua",
    [Tasks, Index, IndexPages, Leases, DeadIds, History],
    [RECORD, PAGES, VIEW]
);
script!(PAUSE, "pause.lua", [Meta], []);
script!(BRAKE, "brake.lua", [Meta], [CLOCK]);
script!(BRAKE_LEFT, "brake_left.lua", [Meta], [CLOCK]);
script!(TAKE_WEIGHT, "take_weight.lua", [Weights], [CLOCK, WEIGHT]);
script!(
    CORRECT_WEIGHT,
    "correct_weight.lua",
    [Weights],
    [CLOCK, WEIGHT]
);
script!(
    PRUNE,
    "prune.lua",
    [
        Meta,
        Tasks,
        Index,
        IndexPages,
        Ready,
        ReadyPages,
        Since,
        SinceCounts,
        Waiting,
        Leases,
        Started,
        DeadIds,
        Requests,
        History,
        Counts
    ],
    [CLOCK, RECORD, PAGES, READY, COUNTS, LEASES, REMOVAL]
);
script!(
    CLEAR,
    "clear.lua",
    [
        Meta,
        Tasks,
        Index,
        IndexPages,
        Ready,
        ReadyPages,
        Since,
        SinceCounts,
        Waiting,
        Leases,
        Started,
        DeadIds,
        Requests,
        History,
        Counts,
        Rate,
        Workers,
        Weights
    ],
    []
);
script!(FIX_SETTINGS, "fix_settings.lua", [Meta], []);
script!(LOOK, "look.lua", [Meta], []);
script!(
    STATS,
    "stats.lua",
    [Meta, Since, Waiting, Started, Counts, Rate, Workers],
    [CLOCK]
);
script!(
    WORKERS,
    "workers.lua",
    [Tasks, Leases, Workers],
    [CLOCK, RECORD]
);
