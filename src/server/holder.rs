//! Who listens at a place already: a broker of the same configuration, which is no obstacle to looking whether it could be
//! started, or somebody else.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// Who listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The broker of this configuration, by its process.
    Ours(u32),
    /// Another program, by its process and its command line.
    Other(u32, String),
    /// Somebody whose process may not be looked at.
    Unknown,
}

/// The state of a socket that listens, as in /proc/net/tcp.
const LISTENS: &str = "0A";

/// Who listens at an address. `config` is the file of our configuration, `pid_file` where its broker writes its number.
pub(crate) fn holder(
    address: SocketAddr,
    config: Option<&Path>,
    pid_file: Option<&Path>,
) -> Holder {
    let ours = Ours::of(config, pid_file);
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| inodes(&table, address))
        .collect();
    let mut hidden = Vec::new();
    for pid in processes() {
        match has_socket(pid, &inodes) {
            Some(true) => {
                return match ours.is(pid) {
                    true => Holder::Ours(pid),
                    false => Holder::Other(pid, command_line(pid).join(" ")),
                };
            }
            Some(false) => {}
            None => hidden.push(pid),
        }
    }
    // Whose descriptors may not be looked at has a command line nevertheless.
    let found = hidden.into_iter().find(|pid| ours.is(*pid));
    found.map_or(Holder::Unknown, Holder::Ours)
}

/// What our broker is known by.
struct Ours {
    config: Option<PathBuf>,
    pid: Option<u32>,
}

/// Whether a process is the broker of a configuration, by its file and the file where it writes its number.
pub(crate) fn is_ours(pid: u32, config: Option<&Path>, pid_file: Option<&Path>) -> bool {
    Ours::of(config, pid_file).is(pid)
}

impl Ours {
    fn of(config: Option<&Path>, pid_file: Option<&Path>) -> Ours {
        Ours {
            config: config.map(|path| fs::canonicalize(path).unwrap_or_else(|_| path.into())),
            pid: pid_file
                .and_then(|path| fs::read_to_string(path).ok())
                .and_then(|text| text.trim().parse().ok()),
        }
    }

    /// Whether a process is a broker of this program with the same configuration.
    fn is(&self, pid: u32) -> bool {
        let arguments = command_line(pid);
        let is_broker = arguments.get(1).is_some_and(|command| command == "serve");
        if !is_broker || pid == std::process::id() {
            return false;
        }
        if self.pid == Some(pid) {
            return true;
        }
        let config = option(&arguments).map(|path| {
            let path = match fs::read_link(format!("/proc/{pid}/cwd")) {
                Ok(folder) => folder.join(&path),
                Err(_) => path,
            };
            fs::canonicalize(&path).unwrap_or(path)
        });
        config == self.config && self.config.is_some()
    }
}

/// The configuration file that a command line names.
fn option(arguments: &[String]) -> Option<PathBuf> {
    let mut arguments = arguments.iter().skip(2);
    while let Some(argument) = arguments.next() {
        let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
        match (name, value) {
            ("-c" | "--config-file", "") => return arguments.next().map(PathBuf::from),
            ("-c" | "--config-file", value) => return Some(value.into()),
            (name, "") if name.len() > 2 && name.starts_with("-c") => {
                return Some(name[2..].into());
            }
            _ => {}
        }
    }
    None
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn command_line(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes
        .split(|&byte| byte == 0)
        .filter(|word| !word.is_empty());
    words
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// Whether a process has one of these sockets; `None`: it may not be looked at.
fn has_socket(pid: u32, inodes: &[String]) -> Option<bool> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let links = entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok());
    let mut names = links.filter_map(|link| {
        let name = link.to_str()?.strip_prefix("socket:[")?;
        Some(name.strip_suffix(']')?.to_owned())
    });
    Some(names.any(|inode| inodes.contains(&inode)))
}

/// The inodes of sockets that keep others from listening at an address.
fn inodes(table: &str, wanted: SocketAddr) -> Vec<String> {
    let lines = table.lines().skip(1);
    let inode = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (ip, port) = words.get(1)?.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let is_in_the_way = words.get(3) == Some(&LISTENS)
            && port == wanted.port()
            && overlap(parse_ip(ip)?, wanted.ip());
        is_in_the_way.then(|| words.get(9).map(|inode| (*inode).to_owned()))?
    };
    lines.filter_map(inode).collect()
}

/// Whether two addresses with one port are in each other's way. An IPv6 socket for all addresses may take IPv4 too.
fn overlap(listening: IpAddr, wanted: IpAddr) -> bool {
    listening == wanted
        || listening.is_unspecified() && (listening.is_ipv6() || wanted.is_ipv4())
        || wanted.is_unspecified() && (wanted.is_ipv6() || listening.is_ipv4())
}

/// An address as the kernel prints it: words of 32 bits in the machine's order.
fn parse_ip(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(text.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match text.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            Some(IpAddr::from(bytes))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_listens_is_found_by_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let own = std::process::id();
        for wanted in ["127.0.0.1", "0.0.0.0", "::"] {
            let wanted = SocketAddr::new(wanted.parse().unwrap(), address.port());
            let found = holder(wanted, None, None);
            assert!(
                matches!(found, Holder::Other(pid, _) if pid == own),
                "{found:?}"
            );
        }
        let elsewhere = SocketAddr::new("127.0.0.2".parse().unwrap(), address.port());
        assert_eq!(holder(elsewhere, None, None), Holder::Unknown);
    }

    #[test]
    fn tables_of_the_kernel_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100\n\
            1: 0100007F:075B 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 100\n";
        if cfg!(target_endian = "little") {
            let address = "127.0.0.1:1883".parse().unwrap();
            assert_eq!(inodes(table, address), ["4242"]);
            assert!(inodes(table, "127.0.0.1:1884".parse().unwrap()).is_empty());
        }
    }

    #[test]
    fn command_lines_name_their_file() {
        for (line, file) in [
            ("firehose serve -c a", Some("a")),
            ("firehose serve --shards 2 --config-file=a", Some("a")),
            ("firehose serve -ca", Some("a")),
            ("firehose serve --cpus 1", None),
        ] {
            let words: Vec<String> = line.split(' ').map(String::from).collect();
            assert_eq!(option(&words), file.map(PathBuf::from), "{line}");
        }
    }
}
