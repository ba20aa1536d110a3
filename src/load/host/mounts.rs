//! Where this machine's memory cgroups are, and in which of them one more may be made.

use std::path::{Path, PathBuf};

use super::read_trimmed;

/// The interface of a hierarchy of cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    version: Version,
    /// The part of the hierarchy that is mounted.
    root: String,
    at: PathBuf,
}

/// The group below which one of our own can be made, with its interface; the error says why there is none.
pub(super) fn parent() -> Result<(PathBuf, Version), String> {
    let mounts = mounts(&read_trimmed("/proc/self/mountinfo").unwrap_or_default());
    let own = read_trimmed("/proc/self/cgroup").unwrap_or_default();
    let mut why = Vec::new();
    for mount in &mounts {
        let found = match mount.version {
            Version::V1 => own_dir(mount, &own),
            Version::V2 => own_dir(mount, &own).and_then(|dir| delegating(&dir, &mount.at)),
        };
        match found {
            Ok(dir) => return Ok((dir, mount.version)),
            Err(reason) => why.push(reason),
        }
    }
    if why.is_empty() {
        why.push("no memory cgroups are mounted".into());
    }
    Err(why.join("; "))
}

/// The hierarchies that can count memory: version 1 with that controller, and version 2, which may have it.
fn mounts(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(mount).collect()
}

fn mount(line: &str) -> Option<Mount> {
    // Optional fields stand before the dash.
    let (place, kind) = line.split_once(" - ")?;
    let mut kind = kind.split(' ');
    let version = match kind.next()? {
        "cgroup" => Version::V1,
        "cgroup2" => Version::V2,
        _ => return None,
    };
    let options = kind.nth(1)?;
    if version == Version::V1 && !options.split(',').any(|option| option == "memory") {
        return None;
    }
    let mut place = place.split(' ').skip(3);
    Some(Mount {
        version,
        root: unescaped(place.next()?),
        at: unescaped(place.next()?).into(),
    })
}

/// A path of mountinfo: white space and backslashes are written as octal numbers.
fn unescaped(text: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (code, is)| text.replace(code, is))
}

/// The directory of the group that this process is in. `own` is /proc/self/cgroup.
fn own_dir(mount: &Mount, own: &str) -> Result<PathBuf, String> {
    let path = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let is_it = match mount.version {
            Version::V1 => controllers.split(',').any(|name| name == "memory"),
            Version::V2 => controllers.is_empty(),
        };
        is_it.then_some(path)
    });
    let hidden = || {
        format!(
            "this process's memory cgroup is not to be seen in {}",
            mount.at.display()
        )
    };
    let path = path.ok_or_else(hidden)?;
    let below = if mount.root == "/" {
        path
    } else {
        // `/a` is not above `/ab`.
        path.strip_prefix(mount.root.as_str())
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
            .ok_or_else(hidden)?
    };
    if below.split('/').any(|part| part == "..") {
        return Err(hidden());
    }
    Ok(mount.at.join(below.trim_start_matches('/')))
}

/// The nearest group of version 2, from this one up, whose children have the memory controller. A group with processes
/// in it cannot give it to children, and turning it on would change the group for others, so nothing is turned on.
fn delegating(own: &Path, top: &Path) -> Result<PathBuf, String> {
    let lists_memory = |dir: &Path, file: &str| {
        let list = read_trimmed(dir.join(file)).unwrap_or_default();
        list.split_whitespace().any(|name| name == "memory")
    };
    let above = own.ancestors().take_while(|dir| dir.starts_with(top));
    let mut found = above.filter(|dir| lists_memory(dir, "cgroup.subtree_control"));
    match found.next() {
        Some(dir) => Ok(dir.to_owned()),
        None if lists_memory(top, "cgroup.controllers") => Err(format!(
            "no cgroup from {} up gives its children the memory controller (cgroup.subtree_control)",
            own.display()
        )),
        None => Err(format!("{} has no memory controller", top.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::folder::Folder;
    use super::*;

    const V1: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        34 31 0:31 / /sys/fs/cgroup/cpuset rw shared:9 - cgroup cgroup rw,cpuset\n\
        35 31 0:32 /docker/ab /sys/fs/my\\040memory rw shared:9 master:1 - cgroup cgroup rw,memory\n";
    const V2: &str =
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn mounts_are_found() {
        let v1 = Mount {
            version: Version::V1,
            root: "/docker/ab".into(),
            at: "/sys/fs/my memory".into(),
        };
        let v2 = Mount {
            version: Version::V2,
            root: "/".into(),
            at: "/sys/fs/cgroup".into(),
        };
        assert_eq!(mounts(V1), [v1]);
        assert_eq!(mounts(V2), [v2]);
        assert_eq!(mounts("nonsense\n1 2 3 - cgroup\n"), []);
    }

    #[test]
    fn the_own_group_is_found() {
        let dir = |mountinfo: &str, own: &str| own_dir(&mounts(mountinfo)[0], own).ok();
        let v1 = |own: &str| dir(V1, &format!("5:cpu,cpuacct:/x\n4:memory:{own}\n0::/y\n"));
        assert_eq!(v1("/docker/ab"), Some("/sys/fs/my memory/".into()));
        assert_eq!(v1("/docker/ab/c:d"), Some("/sys/fs/my memory/c:d".into()));
        assert_eq!(v1("/docker/abc"), None);
        assert_eq!(v1("/"), None);
        assert_eq!(
            dir(V2, "0::/a.slice/b\n"),
            Some("/sys/fs/cgroup/a.slice/b".into())
        );
        assert_eq!(dir(V2, "0::/../other\n"), None);
        assert_eq!(dir(V2, "4:memory:/a\n"), None);
    }

    #[test]
    fn the_nearest_that_gives_memory_is_taken() {
        let top = Folder::create().unwrap();
        let own = top.path().join("slice/scope/leaf");
        fs::create_dir_all(&own).unwrap();
        let give = |dir: &str, names: &str| {
            fs::write(top.path().join(dir).join("cgroup.subtree_control"), names).unwrap();
        };
        assert!(
            delegating(&own, top.path())
                .unwrap_err()
                .contains("no memory controller")
        );
        fs::write(top.path().join("cgroup.controllers"), "cpu memory\n").unwrap();
        assert!(
            delegating(&own, top.path())
                .unwrap_err()
                .contains("subtree_control")
        );
        give("", "cpu memory\n");
        assert_eq!(delegating(&own, top.path()).unwrap(), top.path());
        give("slice", "memory\n");
        give("slice/scope", "cpu pids\n");
        assert_eq!(
            delegating(&own, top.path()).unwrap(),
            top.path().join("slice")
        );
    }
}
