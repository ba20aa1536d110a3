//! Who asks: a user name and its password (HTTP Basic, RFC 7617), checked by the threads that check passwords.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crossbeam_channel::{TryRecvError, bounded};
use glommio::timer;
use subtle::ConstantTimeEq;

use super::ask::Ask;
use super::gate::Gate;
use crate::access::Passwords;
use crate::broker::{Verdict, Verify};
use crate::ids::ConnId;
use crate::limits;
use crate::shard::Check;

/// A login that was right, for as long as its connection lasts: who asks every second is not checked every second.
#[derive(Default)]
pub(super) struct Remembered(RefCell<Option<Login>>);

struct Login {
    header: String,
    passwords: Arc<Passwords>,
    user: String,
}

impl Remembered {
    /// The user, if this header was right for the same passwords.
    fn user(&self, header: &str, passwords: &Arc<Passwords>) -> Option<String> {
        let login = self.0.borrow();
        let login = login.as_ref()?;
        let is_same = bool::from(login.header.as_bytes().ct_eq(header.as_bytes()));
        let holds = is_same && Arc::ptr_eq(&login.passwords, passwords);
        holds.then(|| login.user.clone())
    }
}

/// The name and the password that a header has.
pub(super) fn credentials(header: &str) -> Option<(String, Vec<u8>)> {
    let (scheme, rest) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = STANDARD.decode(rest.trim()).ok()?;
    let colon = pair.iter().position(|&byte| byte == b':')?;
    let user = String::from_utf8(pair[..colon].to_vec()).ok()?;
    Some((user, pair[colon + 1..].to_vec()))
}

/// Who asks, by his password.
///
/// # Errors
/// It is not his, or nobody can check it now.
pub(super) async fn user(
    ask: &Ask,
    header: &str,
    passwords: &Arc<Passwords>,
    (gate, remembered): (&Gate, &Remembered),
) -> Result<String, Verdict> {
    if let Some(user) = remembered.user(header, passwords) {
        return Ok(user);
    }
    let (user, password) = credentials(header).ok_or(Verdict::Wrong)?;
    let verify = Verify {
        // Of no connection of MQTT.
        conn: ConnId(u32::MAX),
        ticket: 0,
        address: ask.from,
        passwords: passwords.clone(),
        user: user.as_str().into(),
        password: password.into(),
    };
    match verified(verify, gate).await {
        Verdict::Right => {
            let login = Login {
                header: header.into(),
                passwords: passwords.clone(),
                user: user.clone(),
            };
            *remembered.0.borrow_mut() = Some(login);
            Ok(user)
        }
        other => Err(other),
    }
}

async fn verified(verify: Verify, gate: &Gate) -> Verdict {
    let (to, answer) = bounded(1);
    let Some(check) = Check::for_caller(Box::new(verify), &gate.shared, to) else {
        return Verdict::Busy;
    };
    if gate.checks.try_send(check).is_err() {
        return Verdict::Busy;
    }
    loop {
        match answer.try_recv() {
            Ok(verdict) => return verdict,
            Err(TryRecvError::Disconnected) => return Verdict::Busy,
            Err(TryRecvError::Empty) => {
                timer::sleep(Duration::from_millis(limits::HTTP_CHECK_LOOK_MS)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_a_name_and_a_password() {
        let header = |text: &str| credentials(&format!("Basic {}", STANDARD.encode(text)));
        assert_eq!(header("a:b:c"), Some(("a".into(), b"b:c".to_vec())));
        assert_eq!(header(":"), Some((String::new(), Vec::new())));
        assert_eq!(header("no colon"), None);
        assert_eq!(
            credentials("bAsIc  YTpi "),
            Some(("a".into(), b"b".to_vec()))
        );
        for other in ["", "Basic", "Basic ", "Basic ???", "Bearer YTpi"] {
            assert_eq!(credentials(other), None, "{other}");
        }
    }
}
