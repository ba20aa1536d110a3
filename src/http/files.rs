//! Files of a directory (`http_dir`): nothing that lies outside of it, whatever path or link leads there.

use std::fs::File;
use std::io;
use std::path::Path;

use super::closer::Opened;
use super::kinds;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

/// A file that is served.
#[derive(Debug)]
pub(super) struct Served {
    pub file: Opened,
    /// How long it was when it was opened.
    pub bytes: u64,
    /// `Content-Type`.
    pub kind: &'static str,
}

/// What a path of a request, without `%`, names below a directory, without a `/` in front; `index.html` where the path ends in `/`. It is what
/// rights are asked for: one file has one name, however it is written. `None`: it names nothing. Files and folders whose names begin with
/// a dot are nobody's business: passwords of other servers, and what editors and versions leave.
pub(super) fn name(path: &str) -> Option<String> {
    let text = path.strip_prefix('/')?;
    let parts = text.split('/').filter(|part| !matches!(*part, "" | "."));
    let mut all: Vec<&str> = parts.collect();
    if all.iter().any(|part| part.starts_with('.')) {
        return None;
    }
    if text.is_empty() || text.ends_with('/') {
        all.push("index.html");
    }
    Some(all.join("/"))
}

/// Opens the file of a name below a directory. `None`: there is no such file. May take as long as the disk takes.
pub(super) fn open(directory: &Path, name: &str) -> Option<Served> {
    let file = Opened::open(|| open_beneath(directory, Path::new(name))).ok()?;
    let metadata = file.as_file().ok()?.metadata().ok();
    let metadata = metadata.filter(|found| found.is_file())?;
    Some(Served {
        file,
        bytes: metadata.len(),
        kind: kinds::of(Path::new(name)),
    })
}

/// The kernel sees to it that no step of the path leads out, be it by a link that somebody puts there meanwhile.
fn open_beneath(directory: &Path, name: &Path) -> io::Result<File> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(CWD, directory, folder, Mode::empty())?;
    // A FIFO would be waited for.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let opened = openat2(folder, name, flags, Mode::empty(), within)?;
    Ok(File::from(opened))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::http::decoded;

    #[test]
    fn a_file_is_found_below_its_directory_only() {
        let scratch = std::env::temp_dir().join(format!("firehose-http-{}", std::process::id()));
        let folder = scratch.join("pages");
        fs::create_dir_all(folder.join("a b")).unwrap();
        fs::write(folder.join("index.html"), "<p>").unwrap();
        fs::write(folder.join("a b/x.JS"), "1;").unwrap();
        fs::create_dir_all(folder.join(".git")).unwrap();
        for dotted in [".htpasswd", ".git/config", "a b/.x"] {
            fs::write(folder.join(dotted), "x").unwrap();
        }
        fs::write(scratch.join("secret"), "x").unwrap();
        fs::write(scratch.join("pages-too"), "x").unwrap();
        symlink("index.html", folder.join("inside")).unwrap();
        symlink("../secret", folder.join("outside")).unwrap();
        symlink("/etc/hostname", folder.join("absolute")).unwrap();
        symlink("/proc/self/exe", folder.join("magic")).unwrap();
        let found = |path| {
            let served = open(&folder, &name(&decoded(path).ok()?)?)?;
            Some((served.bytes, served.kind))
        };
        let html = (3, "text/html; charset=utf-8");
        assert_eq!(found("/"), Some(html));
        assert_eq!(found("/index.html"), Some(html));
        assert_eq!(found("//./index.html"), Some(html));
        assert_eq!(found("/%69ndex.html"), Some(html));
        let script = (2, "text/javascript; charset=utf-8");
        assert_eq!(found("/a%20b/x.JS"), Some(script));
        assert_eq!(found("/inside").map(|(bytes, _)| bytes), Some(3));
        for path in [
            "",
            "index.html",
            "/none",
            "/a%20b",
            "/a%20b/",
            "/../secret",
            "/%2e%2e/secret",
            "/a%20b/../../secret",
            "/..%2fsecret",
            "/outside",
            "/absolute",
            "/magic",
            "/.htpasswd",
            "/%2ehtpasswd",
            "/.git/config",
            "/a%20b/.x",
            "/index.html%00",
            "/%",
            "/%zz",
            "/../pages-too",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
        fs::remove_dir_all(&scratch).unwrap();
        assert_eq!(name("/a//./b/").as_deref(), Some("a/b/index.html"));
    }
}
