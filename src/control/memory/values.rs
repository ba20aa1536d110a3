//! What memory is used for, as figures.

use super::Monitor;
use crate::budget::{Account, Rung};
use crate::control::sample::{Of, Sample};
use crate::figure::Figure;

const LIMIT: Figure = Figure::level("limit", "Bytes that the broker may use.").in_bytes();
const USED: Figure = Figure::level("used", "Bytes of all accounts that are leased.").in_bytes();
const RESIDENT: Figure =
    Figure::level("resident", "Bytes of the process that are in memory.").in_bytes();
const SOCKETS: Figure =
    Figure::level("sockets", "Bytes that wait in sockets, as measured.").in_bytes();
const PERMILLE: Figure = Figure::level(
    "permille",
    "Thousandths of the nearest of all limits that are used.",
);
const STALLED: Figure = Figure::level(
    "stalled_percent",
    "Hundredths of the time in which somebody stood still for want of memory.",
);
const GROUP_USAGE: Figure = Figure::level(
    "cgroup/usage",
    "Bytes used in the control group that is nearest to its limit.",
)
.in_bytes();
const GROUP_LIMIT: Figure =
    Figure::level("cgroup/limit", "The limit of that control group.").in_bytes();
const ACCOUNT_LIMIT: Figure = Figure::level("limit", "Bytes that the account has.").in_bytes();
const ACCOUNT_USED: Figure =
    Figure::level("used", "Bytes of the account that are leased.").in_bytes();
const ENTERED: Figure = Figure::counter("entered", "Times that the step was taken.");
const SECONDS: Figure =
    Figure::counter("seconds", "Seconds that the broker has stood on the step.");

impl Monitor {
    /// As they are now.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let level = &self.level;
        let mut samples = Vec::new();
        let mut put = |of, figure, value| samples.push(Sample { of, figure, value });
        put(Of::Memory, LIMIT, self.pool.total());
        put(Of::Memory, USED, level.leased);
        put(Of::Memory, RESIDENT, level.resident);
        put(Of::Memory, SOCKETS, level.waiting);
        put(Of::Memory, PERMILLE, level.permille);
        put(Of::Memory, STALLED, level.stalled);
        if let Some((usage, limit)) = level.group {
            put(Of::Memory, GROUP_USAGE, usage);
            put(Of::Memory, GROUP_LIMIT, limit);
        }
        for account in Account::ALL {
            let of = Of::Account(account);
            put(of, ACCOUNT_LIMIT, self.pool.limit(account));
            put(of, ACCOUNT_USED, self.pool.leased(account));
        }
        for rung in Rung::ALL {
            let of = Of::Rung(rung);
            put(of, ENTERED, self.entered[rung as usize]);
            put(of, SECONDS, self.stood_ms[rung as usize] / 1000);
        }
        samples
    }

    /// Thousandths of the nearest of all limits that are used.
    pub(crate) fn permille(&self) -> u64 {
        self.level.permille
    }

    /// The step of the ladder that it stands on.
    pub(crate) fn rung(&self) -> Rung {
        self.ladder.rung()
    }
}
