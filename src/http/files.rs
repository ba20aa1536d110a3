//! Files of a directory (`http_dir`): nothing that lies outside of it, whatever path or link leads there.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

/// A file that is served.
#[derive(Debug)]
pub(crate) struct Served {
    pub file: File,
    /// How long it was when it was opened.
    pub bytes: u64,
    /// `Content-Type`.
    pub kind: &'static str,
}

/// Types by the ends of names; what is not here is bytes.
const KINDS: [(&str, &str); 18] = [
    ("css", "text/css; charset=utf-8"),
    ("gif", "image/gif"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/vnd.microsoft.icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webp", "image/webp"),
    ("woff2", "font/woff2"),
];

/// What a path of a request names below a directory, without a `/` in front; `index.html` where the path ends in `/`. It is what
/// rights are asked for: one file has one name, however it is written. `None`: it names nothing.
pub(super) fn name(path: &str) -> Option<String> {
    let bytes = decoded(path.strip_prefix('/')?)?;
    let text = String::from_utf8(bytes).ok()?;
    let parts = text.split('/').filter(|part| !matches!(*part, "" | "."));
    let mut all: Vec<&str> = parts.collect();
    if all.contains(&"..") {
        return None;
    }
    if text.is_empty() || text.ends_with('/') {
        all.push("index.html");
    }
    Some(all.join("/"))
}

/// Opens the file of a name below a directory. `None`: there is no such file. May take as long as the disk takes.
pub(super) fn open(directory: &Path, name: &str) -> Option<Served> {
    let file = open_beneath(directory, Path::new(name)).ok()?;
    let metadata = file.metadata().ok().filter(|found| found.is_file())?;
    Some(Served {
        file,
        bytes: metadata.len(),
        kind: kind(Path::new(name)),
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

/// What stands for `%41` and the like. `None` where a `%` stands for nothing, or for what is in no path.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut all = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                (16 * high + low) as u8
            }
            byte => byte,
        };
        if byte == 0 {
            return None;
        }
        all.push(byte);
    }
    Some(all)
}

fn kind(name: &Path) -> &'static str {
    let end = name.extension().and_then(|end| end.to_str());
    let end = end.unwrap_or_default().to_ascii_lowercase();
    let found = KINDS.iter().find(|(known, _)| *known == end);
    found.map_or("application/octet-stream", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_found_below_its_directory_only() {
        let scratch = std::env::temp_dir().join(format!("firehose-http-{}", std::process::id()));
        let folder = scratch.join("pages");
        fs::create_dir_all(folder.join("a b")).unwrap();
        fs::write(folder.join("index.html"), "<p>").unwrap();
        fs::write(folder.join("a b/x.JS"), "1;").unwrap();
        fs::write(scratch.join("secret"), "x").unwrap();
        fs::write(scratch.join("pages-too"), "x").unwrap();
        symlink("index.html", folder.join("inside")).unwrap();
        symlink("../secret", folder.join("outside")).unwrap();
        symlink("/etc/hostname", folder.join("absolute")).unwrap();
        symlink("/proc/self/exe", folder.join("magic")).unwrap();
        let found = |path| {
            let served = open(&folder, &name(path)?)?;
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
            "/index.html%00",
            "/%",
            "/%zz",
            "/../pages-too",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
        fs::remove_dir_all(&scratch).unwrap();
        assert_eq!(name("/%61//./b/").as_deref(), Some("a/b/index.html"));
    }
}
