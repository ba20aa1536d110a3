//! Exit codes that all commands have in common.

/// The exit code of a wrong command line or configuration.
pub const EXIT_USAGE: u8 = 2;
