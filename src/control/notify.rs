//! What the service manager is told (sd_notify(3)); nothing where there is none. A message that cannot be sent is given
//! up: the manager's timeout says the rest.

use std::time::Duration;

use sd_notify::NotifyState;

/// Everything listens and runs: after the start, and after each reload.
pub(crate) fn ready(status: &str) {
    let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Something that whoever looks after the service should know.
pub(crate) fn status(text: &str) {
    let _ = sd_notify::notify(&[NotifyState::Status(text)]);
}

/// A reload begins; `ready` ends it. The clock is what `Type=notify-reload` asks for.
pub(crate) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        let _ = sd_notify::notify(&[NotifyState::Reloading, now]);
    }
}

/// The end begins.
pub(crate) fn stopping() {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}

/// The broker does what it is for.
pub(crate) fn watchdog() {
    let _ = sd_notify::notify(&[NotifyState::Watchdog]);
}

/// How often `watchdog` is to be called: half of what the manager waits for (`WatchdogSec=`); `None` if it does not.
pub(crate) fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
        .map(|most| most / 2)
        .filter(|interval| !interval.is_zero())
}
