//! Tells the program what it is built from: revision and date, compiler, target and options (`firehose --version`).
//!
//! The revision is looked at in builds with optimisations only: it changes with each commit, and a build for tests would be made
//! anew each time. Without git it is what FIREHOSE_REVISION says, and the date that of SOURCE_DATE_EPOCH.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["FIREHOSE_REVISION", "SOURCE_DATE_EPOCH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let is_release = variable("PROFILE") == "release";
    tell("FIREHOSE_REVISION", &revision(is_release));
    tell("FIREHOSE_DATE", &date());
    let rustc = output(&variable("RUSTC"), &["--version"]);
    let rustc = rustc.unwrap_or_else(|| "rustc of unknown version".into());
    tell("FIREHOSE_RUSTC", &rustc);
    let mut options = format!(
        "{}, {}, opt-level {}",
        variable("TARGET"),
        variable("PROFILE"),
        variable("OPT_LEVEL")
    );
    if variable("CARGO_CFG_TARGET_FEATURE").contains("crt-static") {
        options.push_str(", static");
    }
    if env::var_os("CARGO_FEATURE_CANARY").is_some() {
        options.push_str(", feature canary");
    }
    tell("FIREHOSE_OPTIONS", &options);
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn tell(name: &str, value: &str) {
    println!("cargo::rustc-env={name}={value}");
}

/// What a program prints, if it runs and something comes.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).env("TZ", "UTC").output().ok();
    let output = output.filter(|done| done.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The commit, with `-dirty` where files differ from it; empty where nothing is known.
fn revision(is_release: bool) -> String {
    match variable("FIREHOSE_REVISION") {
        given if !given.is_empty() => return given,
        _ if !is_release => return "development".into(),
        _ => {}
    }
    for path in ["HEAD", "logs/HEAD"] {
        if let Some(path) = output("git", &["rev-parse", "--git-path", path]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=Cargo.lock");
    output(
        "git",
        &[
            "describe",
            "--always",
            "--dirty",
            "--abbrev=12",
            "--exclude=*",
        ],
    )
    .unwrap_or_default()
}

/// The day of the commit, or of SOURCE_DATE_EPOCH.
fn date() -> String {
    if let Ok(seconds) = variable("SOURCE_DATE_EPOCH").parse::<i64>() {
        let day = output("date", &["--utc", "--date", &format!("@{seconds}"), "+%F"]);
        if let Some(day) = day {
            return day;
        }
    }
    let day = [
        "show",
        "--no-patch",
        "--format=%cd",
        "--date=format-local:%F",
    ];
    output("git", &day).unwrap_or_else(|| "1970-01-01".into())
}
