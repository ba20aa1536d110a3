//! What `ps` shows of this process: its command line with the secrets written over.
//!
//! The kernel shows the memory in which it put the arguments (proc(5), `cmdline`). That memory is written through
//! `/proc/self/mem`, and only after it has been found to hold these arguments. From its start until then whoever looks
//! sees what was typed: a password in a file or in the environment is never seen.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

/// Fields of `/proc/PID/stat` behind the name of the program, which may hold spaces: where the arguments begin and end.
const ARG_START: usize = 48 - 3;
const ARG_END: usize = 49 - 3;

/// Bytes of arguments that are looked through at most: more than a password's place.
const ARGUMENTS_BYTES_MAX: u64 = 4 << 20;

/// What a secret is written over with.
const COVER: u8 = b'*';

/// Writes over the secrets in the arguments of this process. Where the system does not let it be, they stay: nothing
/// depends on it.
pub(super) fn hide(arguments: &[OsString], places: &[(usize, std::ops::Range<usize>)]) {
    if !places.is_empty() {
        let _ = cover(arguments, places);
    }
}

fn cover(arguments: &[OsString], places: &[(usize, std::ops::Range<usize>)]) -> Option<()> {
    let (start, end) = bounds(&std::fs::read_to_string("/proc/self/stat").ok()?)?;
    let memory = File::options()
        .read(true)
        .write(true)
        .open("/proc/self/mem")
        .ok()?;
    let mut held = vec![0; usize::try_from(end - start).ok()?];
    memory.read_exact_at(&mut held, start).ok()?;
    let mut offsets = Vec::with_capacity(arguments.len());
    let mut all = Vec::with_capacity(held.len());
    for argument in arguments {
        offsets.push(all.len());
        all.extend_from_slice(argument.as_bytes());
        all.push(0);
    }
    // A loader that was started with the program's name has arguments of its own in front.
    let own = held.len().checked_sub(all.len())?;
    if held[own..] != all {
        return None;
    }
    for (argument, range) in places {
        let at = start + (own + offsets.get(*argument)? + range.start) as u64;
        memory.write_all_at(&vec![COVER; range.len()], at).ok()?;
    }
    Some(())
}

/// Where the arguments lie, by the text of `/proc/self/stat`.
fn bounds(stat: &str) -> Option<(u64, u64)> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let field = |at: usize| fields.split_whitespace().nth(at)?.parse::<u64>().ok();
    let (start, end) = (field(ARG_START)?, field(ARG_END)?);
    let is_sound = start > 0 && start < end && end - start <= ARGUMENTS_BYTES_MAX;
    is_sound.then_some((start, end))
}
