//! `drive`: the lean benchmark driver. It loads any MQTT broker over loopback TCP from one thread and measures the
//! CPU time that the broker's process spends meanwhile. One run is one scenario and prints one JSON line.
//!
//! `bench/side_by_side.py` starts brokers, interleaves rounds and writes a record under `perf/`.

#[path = "drive/mod.rs"]
mod drive;

fn main() -> std::process::ExitCode {
    drive::main()
}
