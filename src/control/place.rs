//! Files that the broker writes to, opened while it may still be root, in folders that may belong to somebody else. Whoever
//! owns a folder may put a link there: root neither makes nor opens what it leads to.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::unistd::{Uid, User};
use rustix::process::geteuid;

use crate::config::absolute;

/// Opens a file by options that say how it is written to, and makes it if it is not there. Links are followed by an ordinary user,
/// and in folders that nobody but root can write to.
///
/// # Errors
/// The file can be neither opened nor made; the error names it, and says what to do where its folder is missing.
pub(crate) fn open(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let named = |error: io::Error| {
        let cure = missing_folder(path, &error).unwrap_or_default();
        let text = format!("{}: {error}{cure}", absolute(path).display());
        io::Error::new(error.kind(), text)
    };
    if follows_links(path) {
        return options.clone().create(true).open(path).map_err(named);
    }
    // Neither of the two follows a link, whatever is put there between them.
    let made = options.clone().create_new(true).open(path);
    let opened = match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let options = options.clone().custom_flags(libc::O_NOFOLLOW).to_owned();
            options.open(path)
        }
        other => other,
    };
    opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "{}: it is a link in a folder that is not root's alone, which root does not follow",
                absolute(path).display()
            ),
        ),
        _ => named(error),
    })
}

/// Folders that the service manager makes anew for whom it starts, and the setting of a unit that asks for it.
const MADE_FOLDERS: [(&str, &str); 4] = [
    ("/run", "RuntimeDirectory"),
    ("/var/run", "RuntimeDirectory"),
    ("/var/lib", "StateDirectory"),
    ("/var/log", "LogsDirectory"),
];

/// What to do where a file cannot be made because its folder is missing, to be put behind the error; `None` where that is
/// not the matter.
pub(crate) fn missing_folder(path: &Path, error: &io::Error) -> Option<String> {
    let path = absolute(path);
    let folder = path.parent()?;
    if error.kind() != ErrorKind::NotFound || folder.exists() {
        return None;
    }
    let unit = MADE_FOLDERS.iter().find_map(|(above, setting)| {
        let below = folder.strip_prefix(above).ok()?;
        Some(format!(
            ", or have the service manager do so at each start ({setting}={} in the unit)",
            below.display()
        ))
    });
    Some(format!(
        "; the folder {} does not exist: create it{}",
        folder.display(),
        unit.unwrap_or_default()
    ))
}

/// Who asks, and whose it is, where something may not be read or written; to be put behind the error. `None` where that is not the
/// matter.
pub(crate) fn denied(path: &Path, error: &io::Error) -> Option<String> {
    if error.kind() != ErrorKind::PermissionDenied {
        return None;
    }
    let path = absolute(path);
    // What cannot be looked at is in a folder that is shut, what is not there in one that takes nothing.
    let mut above = path.ancestors();
    let (shut, what) = above.find_map(|above| Some((above, above.metadata().ok()?)))?;
    Some(format!(
        "; this is user {}, and {} belongs to {} and has mode {:04o}",
        user_name(geteuid().as_raw()),
        shut.display(),
        user_name(what.uid()),
        what.mode() & 0o7777
    ))
}

/// The name of a user, by number.
pub(crate) fn user_name(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {uid}"),
    }
}

/// Whether there is something at a path, be it a link that leads nowhere.
pub(crate) fn is_taken(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn follows_links(path: &Path) -> bool {
    if !geteuid().is_root() {
        return true;
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Others may write to a sticky folder, but not replace what is there; they may put something where nothing is.
    folder
        .metadata()
        .is_ok_and(|folder| folder.uid() == 0 && folder.mode() & 0o022 == 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn a_folder_that_is_missing_is_named_with_who_makes_it() {
        let missing = io::Error::from(ErrorKind::NotFound);
        let cure = |path: &str| missing_folder(Path::new(path), &missing).unwrap_or_default();
        for (path, unit) in [
            (
                "/run/no-such/a.pid",
                "(RuntimeDirectory=no-such in the unit)",
            ),
            (
                "/var/run/no/such/a.pid",
                "(RuntimeDirectory=no/such in the unit)",
            ),
            (
                "/var/log/no-such/a.log",
                "(LogsDirectory=no-such in the unit)",
            ),
            (
                "/var/lib/no-such/firehose",
                "(StateDirectory=no-such in the unit)",
            ),
        ] {
            let text = cure(path);
            assert!(text.contains("does not exist: create it, or"), "{text}");
            assert!(text.contains(unit), "{text}");
        }
        let here = std::env::current_dir().unwrap();
        let wanted = format!(
            "; the folder {}/no-such does not exist: create it",
            here.display()
        );
        assert_eq!(cure("no-such/a.pid"), wanted);
        assert_eq!(cure("/tmp/a.pid"), "");
        let denied = io::Error::from(ErrorKind::PermissionDenied);
        assert_eq!(missing_folder(Path::new("/run/no-such/a"), &denied), None);
    }

    #[test]
    fn who_is_denied_hears_whose_it_is() {
        let folder = std::env::temp_dir().join(format!("firehose-denied-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o1500)).unwrap();
        let error = io::Error::from(ErrorKind::PermissionDenied);
        let me = user_name(geteuid().as_raw());
        let wanted = format!(
            "; this is user {me}, and {} belongs to {me} and has mode 1500",
            folder.display()
        );
        for path in [folder.clone(), folder.join("new"), folder.join("new/LOCK")] {
            assert_eq!(denied(&path, &error), Some(wanted.clone()));
        }
        assert_eq!(denied(&folder, &ErrorKind::NotFound.into()), None);
        assert_eq!(user_name(0), "root");
        assert_eq!(user_name(u32::MAX - 7), format!("uid {}", u32::MAX - 7));
        std::fs::remove_dir(&folder).unwrap();
    }

    #[test]
    fn root_follows_no_link_of_somebody_else() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = std::env::temp_dir().join(format!("firehose-place-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let (theirs, target) = (folder.join("theirs"), folder.join("target"));
        std::fs::create_dir(&theirs).unwrap();
        chown(&theirs, Some(65534), Some(65534)).unwrap();
        let mut options = File::options();
        options.append(true);
        // One that leads nowhere, and one that leads to something.
        let link = theirs.join("log");
        symlink(&target, &link).unwrap();
        for _ in 0..2 {
            let error = open(&link, &options).unwrap_err();
            assert!(error.to_string().contains("does not follow"), "{error}");
            assert!(is_taken(&link));
            std::fs::write(&target, "").unwrap();
        }
        // What is no link is made and opened there, and root's own links are followed.
        for _ in 0..2 {
            open(&theirs.join("new"), &options).unwrap();
        }
        let own = folder.join("own");
        std::fs::create_dir(&own).unwrap();
        std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o755)).unwrap();
        symlink(&target, own.join("log")).unwrap();
        open(&own.join("log"), &options).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
