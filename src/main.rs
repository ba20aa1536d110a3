//! The program: the allocator, the command line, an exit code.

use std::process::ExitCode;

/// Small blocks come and go with every message: an allocator with a free list per thread keeps that off the shards'
/// profile.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    firehose::cli::run(std::env::args_os(), firehose::server::serve)
}
