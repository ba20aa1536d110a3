//! Who the broker is. Started as root it becomes an ordinary user once everything is open that only root may open, and
//! before any thread exists that serves a client: what an attacker may get hold of is nobody's but its own.

use std::ffi::CString;
use std::io;
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User, geteuid, initgroups, setgid, setuid};

use rustix::fs::{Access, access};
use rustix::io::Errno;

use super::ServeError;
use crate::config::{Files, absolute};
use crate::control::place::user_name;

/// Whom it becomes where the configuration names nobody, and where that one does not exist.
const USERS: [&str; 2] = ["mosquitto", "nobody"];

/// Who the broker is to be.
pub(super) enum Identity {
    /// It was not started as root, and stays who it is.
    Ordinary,
    /// It stays root, because that is asked for.
    Root,
    /// It becomes this user.
    Becoming(User),
}

impl Identity {
    /// By the option `user`; `None` is what is usual.
    ///
    /// # Errors
    /// There is no such user.
    pub(super) fn find(asked: Option<&str>) -> Result<Identity, ServeError> {
        if !geteuid().is_root() {
            return Ok(Identity::Ordinary);
        }
        let names: &[&str] = match &asked {
            Some(name) => &[name],
            None => &USERS,
        };
        for name in names {
            match User::from_name(name) {
                Ok(Some(user)) if user.uid.is_root() => return Ok(Identity::Root),
                Ok(Some(user)) => return Ok(Identity::Becoming(user)),
                Ok(None) => {}
                Err(errno) => return Err(failed(name, errno)),
            }
        }
        let name = names.join(" or ");
        Err(ServeError::NoUser(name))
    }

    /// Whether root is to be given up.
    pub(super) fn is_becoming(&self) -> bool {
        matches!(self, Identity::Becoming(_))
    }

    /// Gives a file that was made as root to whom the broker becomes, so that it can be opened anew and removed.
    pub(super) fn give(&self, path: &Path) {
        if let Identity::Becoming(user) = self {
            // Where it cannot be given, it stays root's, and what needs it later says so. A link is given itself, not what it
            // leads to.
            let _ = lchown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()));
        }
    }

    /// Gives root up, supplementary groups too, for good.
    ///
    /// # Errors
    /// The system does not let it, or lets it take root back.
    pub(super) fn assume(&self) -> Result<(), ServeError> {
        let Identity::Becoming(user) = self else {
            return Ok(());
        };
        let name = CString::new(user.name.as_str()).unwrap_or_default();
        // The order matters: whoever is not root any more may change no group.
        initgroups(&name, user.gid)
            .and_then(|()| setgid(user.gid))
            .and_then(|()| setuid(user.uid))
            .map_err(|errno| failed(&user.name, errno))?;
        let root_group = user.gid.as_raw() == 0;
        let can_return =
            setuid(Uid::from_raw(0)).is_ok() || !root_group && setgid(Gid::from_raw(0)).is_ok();
        match can_return {
            true => Err(ServeError::User {
                name: user.name.clone(),
                source: io::Error::other("root could be taken back"),
            }),
            false => Ok(()),
        }
    }

    /// Files of a configuration that root has read, and that whom the broker has become may not read at a reload.
    pub(super) fn closed(&self, files: &Files) -> Vec<String> {
        let Identity::Becoming(user) = self else {
            return Vec::new();
        };
        let name = &user.name;
        let is_closed = |path: &Path| access(path, Access::READ_OK) == Err(Errno::ACCESS);
        let warning = |(path, is_source): (PathBuf, bool)| {
            let what = match is_source {
                true => "every reload will be refused",
                false => "a reload will not see what is new in it",
            };
            let path = absolute(&path);
            let path = path.display();
            format!("{path} may not be read by the user {name}, {what}: chown {name} {path}")
        };
        let paths = files.paths().into_iter();
        paths
            .filter(|(path, _)| is_closed(path))
            .map(warning)
            .collect()
    }

    /// What an operator should know.
    pub(super) fn warning(&self) -> Option<&'static str> {
        match self {
            Identity::Root => Some(
                "the broker stays root, which it does not need once it listens; see user in the configuration",
            ),
            _ => None,
        }
    }
}

/// The name of who the process is now.
pub(super) fn name() -> String {
    user_name(geteuid().as_raw())
}

fn failed(name: &str, errno: nix::Error) -> ServeError {
    ServeError::User {
        name: name.into(),
        source: errno.into(),
    }
}
