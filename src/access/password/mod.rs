//! Passwords as mosquitto_passwd writes them, and whether one is right.
//!
//! Checking is slow by design: it is for threads that have nothing else to do, never for a shard. It takes as long for
//! a user who does not exist as for one who does.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

use super::error::{Cause, Note};
use super::parse::lines;
use crate::limits::{ARGON2_KIB_MAX, ARGON2_PASSES_MAX, PASSWORD_ITERATIONS_MAX};

/// Bytes of a SHA-512 hash.
const SHA512_BYTES: usize = 64;

/// How a password is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `$6$`: once with SHA-512.
    Sha512,
    /// `$7$`: PBKDF2 with HMAC-SHA-512.
    Pbkdf2 { iterations: u32 },
    /// `$argon2id$`.
    Argon2id { kib: u32, passes: u32, lanes: u32 },
}

/// One user's password, hashed. It is never printed but where it is meant to be written to a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    scheme: Scheme,
    salt: Box<[u8]>,
    hash: Box<[u8]>,
}

impl Passwords {
    /// Whether a user's password is the same as in `other`, as far as the files tell: hashed anew it is another one.
    pub fn has_same(&self, other: &Passwords, user: &str) -> bool {
        match (self.users.get(user), other.users.get(user)) {
            (Some(Some(one)), Some(Some(two))) => one == two,
            _ => false,
        }
    }
}

/// The users of a password file.
#[derive(Clone, PartialEq)]
pub struct Passwords {
    /// `None` where a line is wrong: nobody logs in by that name.
    users: HashMap<Box<str>, Option<Credential>, FixedState>,
    /// Stands in for users that do not exist.
    decoy: Credential,
}

impl Scheme {
    /// The one that is used where nothing else is asked for, as by mosquitto_passwd 2.0.
    pub const DEFAULT: Scheme = Scheme::Pbkdf2 { iterations: 101 };

    /// argon2id as OWASP recommends it: some 15 ms and 19 MiB.
    pub const ARGON2ID_DEFAULT: Scheme = Scheme::Argon2id {
        kib: 19 << 10,
        passes: 2,
        lanes: 1,
    };

    /// Fills `out` with the hash of a password; false if the parameters are not possible.
    fn hash(self, password: &[u8], salt: &[u8], out: &mut [u8]) -> bool {
        match self {
            Scheme::Sha512 => {
                let hash = Sha512::new().chain_update(password).chain_update(salt);
                let hash = hash.finalize();
                let fits = out.len() == hash.len();
                if fits {
                    out.copy_from_slice(&hash);
                }
                fits
            }
            Scheme::Pbkdf2 { iterations } => {
                pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, out);
                true
            }
            Scheme::Argon2id { kib, passes, lanes } => {
                let Ok(params) = Params::new(kib, passes, lanes, Some(out.len())) else {
                    return false;
                };
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(password, salt, out)
                    .is_ok()
            }
        }
    }
}

impl Credential {
    /// Hashes a password with a salt that nobody can foresee. `None` if the scheme cannot be used with these.
    pub fn new(scheme: Scheme, password: &[u8], salt: &[u8]) -> Option<Credential> {
        let length = match scheme {
            Scheme::Argon2id { .. } => 32,
            _ => SHA512_BYTES,
        };
        let mut hash = vec![0; length];
        scheme.hash(password, salt, &mut hash).then(|| Credential {
            scheme,
            salt: salt.into(),
            hash: hash.into(),
        })
    }

    /// Whether this is the password. Slow by design.
    pub fn matches(&self, password: &[u8]) -> bool {
        let mut hash = vec![0; self.hash.len()];
        self.scheme.hash(password, &self.salt, &mut hash) && bool::from(hash.ct_eq(&self.hash))
    }

    /// As it stands in a file, behind the user name and a colon.
    pub fn encoded(&self) -> String {
        let (salt, hash) = (&self.salt, &self.hash);
        match self.scheme {
            Scheme::Sha512 => format!("$6${}${}", STANDARD.encode(salt), STANDARD.encode(hash)),
            Scheme::Pbkdf2 { iterations } => format!(
                "$7${iterations}${}${}",
                STANDARD.encode(salt),
                STANDARD.encode(hash)
            ),
            Scheme::Argon2id { kib, passes, lanes } => format!(
                "$argon2id$v=19$m={kib},t={passes},p={lanes}${}${}",
                STANDARD_NO_PAD.encode(salt),
                STANDARD_NO_PAD.encode(hash)
            ),
        }
    }

    /// Reads what `encoded` writes.
    ///
    /// # Errors
    /// What is wrong with it, without the text itself: it may be a password that was never hashed.
    pub fn parse(text: &str) -> Result<Credential, &'static str> {
        let rest = text.strip_prefix('$').ok_or("the password is not hashed")?;
        let parts: Vec<&str> = rest.split('$').collect();
        match parts[..] {
            ["6", salt, hash] => Credential::decoded(Scheme::Sha512, salt, hash),
            ["7", iterations, salt, hash] => {
                let iterations = number(iterations, PASSWORD_ITERATIONS_MAX)
                    .ok_or("the number of iterations is out of range")?;
                Credential::decoded(Scheme::Pbkdf2 { iterations }, salt, hash)
            }
            ["argon2id", "v=19", params, salt, hash] => {
                let scheme = argon2id(params).ok_or("the parameters of argon2id are wrong")?;
                Credential::decoded(scheme, salt, hash)
            }
            ["6" | "7" | "argon2id", ..] => Err("parts of the hash are missing"),
            _ => Err("the kind of hash is unknown; known are $6$, $7$ and $argon2id$"),
        }
    }

    fn decoded(scheme: Scheme, salt: &str, hash: &str) -> Result<Credential, &'static str> {
        let (engine, valid): (_, fn(usize) -> bool) = match scheme {
            Scheme::Argon2id { .. } => (&STANDARD_NO_PAD, |length| (16..=64).contains(&length)),
            _ => (&STANDARD, |length| length == SHA512_BYTES),
        };
        let salt = engine.decode(salt).ok().filter(|salt| !salt.is_empty());
        let salt = salt.ok_or("the salt is not base64")?;
        let hash = engine.decode(hash).ok().filter(|hash| valid(hash.len()));
        let hash = hash.ok_or("the hash is not base64 of the right length")?;
        Ok(Credential {
            scheme,
            salt: salt.into(),
            hash: hash.into(),
        })
    }
}

fn number(text: &str, max: u32) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number: u32 = text.parse().ok().filter(|_| is_plain)?;
    (1..=max).contains(&number).then_some(number)
}

/// `m=19456,t=2,p=1`.
fn argon2id(params: &str) -> Option<Scheme> {
    let mut parts = params.split(',');
    let mut next = |name, max| number(parts.next()?.strip_prefix(name)?, max);
    let (kib, passes) = (next("m=", ARGON2_KIB_MAX)?, next("t=", ARGON2_PASSES_MAX)?);
    let lanes = next("p=", kib / 8)?;
    parts
        .next()
        .is_none()
        .then_some(Scheme::Argon2id { kib, passes, lanes })
}

impl Passwords {
    /// Reads a password file: `NAME:HASH` a line, and comments. As in Mosquitto, the last line of a user counts, and a line that
    /// is wrong costs its own user only. But it does cost him: where any line of a name is wrong, no other one lets in, be it
    /// the one from before his password was changed. Whoever is not known is not let in.
    pub fn parse(text: &[u8]) -> (Passwords, Vec<Note>) {
        let mut users: HashMap<Box<str>, Option<Credential>, FixedState> =
            HashMap::with_hasher(FixedState::with_seed(0));
        // Where the line stands that counts for a user.
        let mut places: HashMap<&str, usize, FixedState> =
            HashMap::with_hasher(FixedState::with_seed(0));
        let mut notes = Vec::new();
        for (index, bytes) in lines(text).enumerate() {
            let problem = match entry(bytes) {
                Ok(None) => continue,
                Ok(Some((name, credential))) => match users.get_mut(name) {
                    Some(Some(before)) => {
                        *before = credential;
                        let line = places.insert(name, index).unwrap_or(index) + 1;
                        format!("the user of line {line} once more: the last line counts").into()
                    }
                    Some(None) => {
                        "a user of whom another line is wrong: nobody logs in by this name".into()
                    }
                    None => {
                        users.insert(name.into(), Some(credential));
                        places.insert(name, index);
                        continue;
                    }
                },
                Err(cause) => match name_in(bytes) {
                    Some(name) => {
                        users.insert(name.into(), None);
                        format!("{cause}; nobody logs in by this name, whatever other lines say")
                    }
                    None => format!("{cause}; the line is passed over"),
                }
                .into(),
            };
            notes.push(Note {
                line: index as u32 + 1,
                text: problem,
            });
        }
        let mut known = users.values().flatten();
        let scheme = known.next().map(|credential| credential.scheme);
        let decoy = Credential {
            scheme: scheme.unwrap_or(Scheme::DEFAULT),
            salt: [0; 16].into(),
            hash: [0; SHA512_BYTES].into(),
        };
        (Passwords { users, decoy }, notes)
    }

    /// Whether this is the user's password. Slow by design, whether there is such a user or not.
    pub fn check(&self, user: &str, password: &[u8]) -> bool {
        match self.users.get(user) {
            Some(Some(credential)) => credential.matches(password),
            Some(None) | None => {
                self.decoy.matches(password);
                false
            }
        }
    }
}

/// Whom a line that is wrong is about. Without a colon it may be a password, or a piece of a line: it is about the user of this
/// very name, if there is one.
fn name_in(bytes: &[u8]) -> Option<&str> {
    let name = bytes.split(|&byte| byte == b':').next()?;
    let name = std::str::from_utf8(name).ok()?.trim();
    (!name.is_empty() && name.len() <= usize::from(u16::MAX)).then_some(name)
}

/// A line's user; `None` for an empty line and a comment.
fn entry(bytes: &[u8]) -> Result<Option<(&str, Credential)>, Cause> {
    if bytes.starts_with(b"#") {
        return Ok(None);
    }
    let line = std::str::from_utf8(bytes).map_err(|_| Cause::NotText)?;
    if line.trim().is_empty() {
        return Ok(None);
    }
    let (name, hash) = line.split_once(':').ok_or(Cause::NoPassword)?;
    let name = name.trim();
    if name.is_empty() || name.len() > usize::from(u16::MAX) {
        return Err(Cause::NoUser);
    }
    let hash = hash.trim();
    if hash.is_empty() {
        return Err(Cause::NoPassword);
    }
    let credential = Credential::parse(hash).map_err(|rule| Cause::BadPassword {
        user: name.into(),
        rule,
    })?;
    Ok(Some((name, credential)))
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({:?})", self.scheme)
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passwords({} users)", self.users.len())
    }
}

#[cfg(test)]
mod tests;
