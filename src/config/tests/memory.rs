//! Sizes, the limit on memory, accounts.

use super::*;
use crate::budget::Account;

#[test]
fn sizes_are_read() {
    for (text, bytes) in [
        ("0", 0),
        ("1048576", 1 << 20),
        ("512k", 512 << 10),
        ("1800M", 1800 << 20),
        ("2G", 2 << 30),
        ("2GiB", 2 << 30),
        ("7b", 7),
        ("1T", 1 << 40),
    ] {
        assert_eq!(size(text), Some(bytes), "{text}");
    }
    for text in [
        "",
        "G",
        "-1",
        "1.5G",
        "2 G",
        "2GG",
        "99999999999G",
        "9223372036854775808",
        "+1",
    ] {
        assert_eq!(size(text), None, "{text}");
    }
}

#[test]
fn sizes_are_shown() {
    for (bytes, text) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1 << 20, "1.0 MiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (100 << 20, "100 MiB"),
        (1800 << 20, "1.8 GiB"),
        (u64::MAX, "16384 PiB"),
    ] {
        assert_eq!(size_text(bytes), text, "{bytes}");
    }
}

#[test]
fn limit_and_accounts_are_taken() {
    let with = config(
        "memory_limit 1800M\nmemory_account retained 512M # many\nmemory_account backlog 0\n",
    );
    assert_eq!(with.memory.limit, Some(1800 << 20));
    assert_eq!(
        with.memory.sizes[Account::Retained as usize],
        Some(512 << 20)
    );
    assert_eq!(with.memory.sizes[Account::Backlog as usize], Some(0));
    assert_eq!(with.memory.sizes[Account::Outbound as usize], None);
    assert_eq!(config("memory_limit 0\n").memory.limit, None);
    assert_eq!(
        config("tls_memory_limit 536870912\n").memory.tls,
        Some(512 << 20)
    );
    assert_eq!(config("").memory, Memory::default());
}

#[test]
fn what_is_wrong_is_named() {
    for (text, expected) in [
        ("memory_limit\n", "1: memory_limit: the value is missing"),
        (
            "memory_limit much\n",
            "1: memory_limit: `much`: a size is a number of bytes, or one with K, M, G or T behind it, like 512M or 2G",
        ),
        (
            "memory_account cheese 1M\n",
            "1: memory_account: `cheese` is none of program, sockets, buffers, connections, transports, packets, outbound, backlog, subscriptions, retained, mesh, journal, http",
        ),
        (
            "memory_account retained\n",
            "1: memory_account: ``: a size is a number of bytes, or one with K, M, G or T behind it, like 512M or 2G",
        ),
        (
            "memory_account retained 1M\nmemory_account retained 2M\n",
            "2: memory_account: retained is given twice",
        ),
        (
            "memory_account retained 1G\nmemory_limit 512M\n",
            "1: memory_account: the accounts come to 1.0 GiB, more than memory_limit has (512 MiB); raise the limit or make accounts smaller",
        ),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}
