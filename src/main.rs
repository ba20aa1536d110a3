//! The program: the allocator, the command line, an exit code.

use std::process::ExitCode;

/// Small blocks come and go with every message: an allocator with a free list per thread keeps that off the shards'
/// profile. Without transparent huge pages (`no_thp`): it touches a little of many places, and a huge page behind each
/// of them would triple what an idle broker holds.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    firehose::cli::run(std::env::args_os(), firehose::server::serve)
}
