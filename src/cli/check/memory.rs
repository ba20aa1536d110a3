//! The checks of memory: whether the limit can be had, and whether the accounts have room for the wished connections.

use super::facts::Host;
use super::report::{Finding, Severity};
use super::wish::{Wish, buffer_bytes, grade, limit as limit_of};
use crate::budget::Account;
use crate::config::{Config, size_text};
use crate::control::memory::{self, Gift, field};
use crate::limits;
use crate::server::ServeError;
use crate::server::budget::{Budget, Layout, most};
use crate::server::resources;
use crate::server::sockets::Buffers;

/// Memory of a connection with a subscription, in bytes: 399 are measured for idle ones
/// (perf/2026-11-28-memory-compare), and some more for those with long names.
pub(super) const USER_BYTES: u64 = 512;

/// Bytes of a page of the kernel's, in which it counts what waits in sockets.
const PAGE_BYTES: u64 = 4096;

/// How memory would be split on this host, and what the host gives.
pub(super) fn budget(
    host: &dyn Host,
    config: &Config,
    layout: Layout,
) -> (Result<Budget, ServeError>, Option<Gift>) {
    let given = memory::given_by(&|path| host.read(path));
    (Budget::new(config, layout, given.as_ref()), given)
}

/// All findings about memory.
pub(super) fn findings(host: &dyn Host, config: &Config, wish: &Wish) -> Vec<Finding> {
    let (budget, given) = budget(host, config, wish.layout);
    let mut findings = vec![limit(&budget, config, given.as_ref())];
    findings.extend(available(host, &budget));
    if let Ok(budget) = &budget {
        findings.push(room(budget, wish));
        findings.extend(tls(budget, config));
        findings.push(buffers(host, budget, config, wish));
    }
    findings.extend(tcp_mem(host, budget.as_ref().ok(), wish));
    findings.extend(swap(host));
    findings.extend(overcommit(host));
    findings
}

fn limit(budget: &Result<Budget, ServeError>, config: &Config, given: Option<&Gift>) -> Finding {
    let most = given.map_or(u64::MAX, |gift| most(gift.bytes));
    Finding {
        id: "memory_limit",
        severity: match budget {
            Err(_) => Severity::Fatal,
            Ok(budget) => grade(
                budget.raised_from().is_none()
                    && config.memory.limit.is_none_or(|limit| limit <= most),
                Severity::Missing,
            ),
        },
        found: match budget {
            Ok(budget) => match budget.raised_from() {
                Some(asked) => format!(
                    "{}, too low: {} holds",
                    size_text(asked),
                    size_text(budget.plan.total)
                ),
                None => size_text(budget.plan.total),
            },
            Err(error) => error.to_string(),
        },
        wanted: given.map_or("what the host gives".into(), |gift| {
            format!("at most {}: {}", size_text(most), gift.giver)
        }),
        why: "With a limit above what control group or machine give the kernel may end the broker; where the accounts do not fit into what these give it does not start.",
        file: None,
    }
}

/// What the machine could give now, beside those who have some already.
fn available(host: &dyn Host, budget: &Result<Budget, ServeError>) -> Option<Finding> {
    let total = budget.as_ref().ok()?.plan.total;
    let available = field(&host.read("/proc/meminfo")?, "MemAvailable")? * 1024;
    Some(Finding {
        id: "memory.available",
        severity: grade(available >= total, Severity::Advice),
        found: size_text(available),
        wanted: size_text(total),
        why: "Others have memory that the limit counts on; the broker refuses clients before the machine has none left.",
        file: None,
    })
}

fn room(budget: &Budget, wish: &Wish) -> Finding {
    let sockets = budget.plan.limit(Account::Sockets) / limits::SOCKET_BYTES;
    let connections = budget.plan.limit(Account::Connections) / USER_BYTES;
    let share = |account, each| {
        let has = size_text(budget.plan.limit(account));
        let needed = size_text(each * wish.connections);
        format!("{needed} of {has} ({})", account.name())
    };
    Finding {
        id: "memory",
        severity: grade(
            sockets.min(connections) >= wish.connections,
            Severity::Missing,
        ),
        found: format!("room for {} connections", sockets.min(connections)),
        wanted: format!(
            "{}: {}, {}",
            wish.connections,
            share(Account::Sockets, limits::SOCKET_BYTES),
            share(Account::Connections, USER_BYTES),
        ),
        why: "An idle connection takes 4 KiB of the kernel and half a KiB of the broker; raise memory_limit or the account (memory_account).",
        file: None,
    }
}

/// What the sockets of connections are bounded to: something to know, and nothing that is missing.
fn buffers(host: &dyn Host, budget: &Budget, config: &Config, wish: &Wish) -> Finding {
    let files = limit_of(host, "Max open files").map(|(_, hard)| hard);
    let connections = resources::connections_with(config, wish.shards, files);
    let account = budget.plan.limit(Account::Sockets);
    Finding {
        id: "sockets.buffers",
        severity: Severity::Ok,
        found: Buffers::choose(account, connections).to_string(),
        wanted: format!(
            "what {} for {connections} connections allow, of which an eighth may be full",
            size_text(account)
        ),
        why: "The more connections there can be the less the kernel may keep for each: max_connections or a lower limit on open files leaves each more.",
        file: None,
    }
}

fn tls(budget: &Budget, config: &Config) -> Option<Finding> {
    let asked = config.memory.tls?;
    let has = budget.plan.limit(Account::Transports);
    Some(Finding {
        id: "tls_memory_limit",
        severity: grade(asked <= has, Severity::Missing),
        found: format!("{} TLS connections", budget.tls_connections()),
        wanted: format!("{} of {}", size_text(asked), size_text(has)),
        why: "TLS connections have what the account transports has at most (memory_account transports).",
        file: None,
    })
}

fn tcp_mem(host: &dyn Host, budget: Option<&Budget>, wish: &Wish) -> Option<Finding> {
    let pages: u64 = host
        .read("/proc/sys/net/ipv4/tcp_mem")?
        .split_whitespace()
        .nth(2)?
        .parse()
        .ok()?;
    let account = budget.map_or(0, |budget| budget.plan.limit(Account::Sockets));
    let least = wish.connections * buffer_bytes(host);
    let wanted = least.max(account).div_ceil(PAGE_BYTES);
    Some(Finding {
        id: "net.ipv4.tcp_mem",
        severity: grade(pages >= wanted, Severity::Missing),
        found: format!("{pages} pages at most"),
        wanted: format!("at least {wanted}"),
        why: "With less than what connections' smallest buffers take, and than the account sockets, the kernel drops data of connections before the broker finds memory short.",
        file: None,
    })
}

fn swap(host: &dyn Host) -> Option<Finding> {
    let total = field(&host.read("/proc/meminfo")?, "SwapTotal")? * 1024;
    Some(Finding {
        id: "swap",
        severity: grade(total == 0, Severity::Advice),
        found: match total {
            0 => "none".into(),
            total => size_text(total),
        },
        wanted: "none".into(),
        why: "It is not needed: the broker stays within its limit, and what is swapped out answers late (MemorySwapMax=0 in a unit).",
        file: None,
    })
}

fn overcommit(host: &dyn Host) -> Option<Finding> {
    let found = host.read("/proc/sys/vm/overcommit_memory")?;
    Some(Finding {
        id: "vm.overcommit_memory",
        severity: grade(found != "2", Severity::Advice),
        found,
        wanted: "0 or 1".into(),
        why: "With 2 the kernel refuses address space that is reserved and not used, though there is memory; the broker ends when it cannot have any.",
        file: None,
    })
}
