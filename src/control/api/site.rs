//! What handlers look at: everything that shards and the control thread have published, and what shards answer when they are asked.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use glommio::timer;

use super::history::History;
use super::names::Names;
use super::shown::Shown;
use super::traces::Traces;
use super::viewers::Viewers;
use crate::budget::Rung;
use crate::control::ending::Ending;
use crate::control::log::LostLines;
use crate::control::memory::Monitor;
use crate::control::queries::Asking;
use crate::control::reports::Reports;
use crate::control::snapshot::Snapshot;
use crate::control::store::Store;
use crate::control::totals::Totals;
use crate::limits;
use crate::shard::{ShardHandle, Shared};

/// Where what is answered comes from.
pub(in crate::control) struct Sources {
    pub shared: Arc<Shared>,
    pub shards: Vec<ShardHandle>,
    pub memory: Rc<RefCell<Monitor>>,
    pub store: Store,
    pub lost: LostLines,
    pub totals: Rc<Totals>,
    pub ending: Rc<Ending>,
    pub asking: Rc<Asking>,
}

/// See the module.
pub(in crate::control) struct Api {
    pub sources: Sources,
    /// All listeners, as Mosquitto shows them.
    pub(super) shown: RefCell<Vec<Shown>>,
    pub(super) reports: RefCell<Reports>,
    pub(super) history: RefCell<History>,
    /// How figures are called in Prometheus.
    pub(super) names: Names,
    /// Those who look at figures live.
    pub(super) viewers: Viewers,
    /// What of them look at clients and topics.
    pub(super) traces: Traces,
}

impl Api {
    pub(in crate::control) fn new(sources: Sources) -> Api {
        Api {
            reports: RefCell::new(Reports::new(sources.shards.clone())),
            viewers: Viewers::default(),
            traces: Traces::default(),
            history: RefCell::default(),
            sources,
            shown: RefCell::default(),
            names: Names::default(),
        }
    }

    /// All figures as they were last published.
    pub(super) fn snapshot(&self) -> Snapshot {
        let Sources {
            shared,
            memory,
            store,
            lost,
            ..
        } = &self.sources;
        let snapshot = Snapshot::of_shards(shared, &[], lost);
        let snapshot = snapshot.with(memory.borrow().samples());
        snapshot.with(store.samples())
    }

    /// Asks all shards and waits for their answers, so many milliseconds at most; the shards that have not answered.
    pub(super) async fn ask_shards(&self, most_ms: u64) -> Vec<u8> {
        let until = Instant::now() + Duration::from_millis(most_ms);
        self.reports.borrow_mut().ask();
        loop {
            let silent = self.reports.borrow_mut().silent();
            if silent.is_empty() || Instant::now() >= until {
                return silent;
            }
            timer::sleep(Duration::from_millis(limits::HTTP_REPORT_LOOK_MS)).await;
        }
    }

    /// Why clients should go elsewhere, as far as nobody has to be asked for that.
    pub(super) fn unready(&self) -> Option<String> {
        if self.sources.ending.has_begun() {
            return Some("the broker ends".into());
        }
        if !self.sources.shared.is_restored() {
            return Some("what is kept on the disk is being taken up".into());
        }
        let rung = self.sources.shared.pool().rung();
        (rung >= Rung::Refuse).then(|| {
            let name = rung.name();
            format!("memory is short (step {name}): new clients are refused")
        })
    }
}
