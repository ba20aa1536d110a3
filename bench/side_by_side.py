#!/usr/bin/env python3
"""Runs brokers side by side under the same loads and records the outcome under perf/.

Each run is a fresh broker on CPU 0 and a fresh driver (bench/drive.rs) on CPU 1. Rounds are interleaved: every broker
does a row once before any does it again, so that a drifting machine is unfair to nobody. Figures are medians.

    python3 bench/side_by_side.py --name baseline                         # all rows, Mosquitto and firehose
    python3 bench/side_by_side.py --name try --rows fanout-qos0-w1 --rounds 3 --brokers mosquitto,bare
    python3 bench/side_by_side.py --list                                  # rows, loads and targets

Standard library only. Ends the processes that it started, each by its own handle, and no others.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time

from side_by_side_report import machine, readme
from side_by_side_rows import ROWS

ROOT = pathlib.Path(__file__).resolve().parent.parent
BROKER_CPU, LOAD_CPU = "0", "1"
FIRST_PORT = 20_000
START_MAX_S = 10
STOP_MAX_S = 20
RUN_MAX_S = 120  # beyond warm-up and window: connecting 15,000 clients, draining a slow broker's backlog
CONGESTION = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control")

# The same file for every broker: they share the syntax. Queue and in-flight limits are lifted.
CONFIG = """listener {port} 127.0.0.1
allow_anonymous true
max_inflight_messages 0
max_queued_messages 0
set_tcp_nodelay true
persistence false
log_dest none
"""


def broker_command(broker, port, config, tools):
    """The command line that starts a broker on its CPUs."""
    one = ["taskset", "-c", BROKER_CPU]
    firehose = [tools["firehose"], "serve", "-c", config]
    return {
        "mosquitto": one + [tools["mosquitto"], "-c", config],
        "firehose": one + firehose + ["--shards", "1", "--cpus", BROKER_CPU],
        "firehose-2-shards": firehose + ["--shards", "2", "--cpus", f"{BROKER_CPU},{LOAD_CPU}"],
        "bare": one + [tools["drive"], "bare", "--port", str(port)],
    }[broker]


def listening(port):
    """Whether somebody listens on the port, found without connecting to it."""
    tail = f":{port:04X}"
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(tail) and fields[3] == "0A":
            return True
    return False


@contextlib.contextmanager
def running(command, port, log):
    """A broker from the moment it listens until it has ended."""
    with open(log, "wb") as output:
        cpus = os.sched_getaffinity(0)
        os.sched_setaffinity(0, range(os.cpu_count()))  # what the broker inherits; taskset narrows it
        process = subprocess.Popen(command, stdout=output, stderr=output)
        os.sched_setaffinity(0, cpus)
    try:
        deadline = time.monotonic() + START_MAX_S
        while not listening(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{shlex.join(command)} does not listen: {pathlib.Path(log).read_text()[-500:]}")
            time.sleep(0.02)
        time.sleep(0.2)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_MAX_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run_once(row, broker, port, options, tools, work):
    """One broker, one load: the driver's report, or what went wrong instead. Also the commands."""
    config = work / "broker.conf"
    config.write_text(CONFIG.format(port=port))
    command = broker_command(broker, port, str(config), tools)
    # MQTT 5 where asked for; the bare sender knows 3.1.1 only.
    version = ["--v5"] if options.v5 and broker != "bare" else []
    drive = ["taskset", "-c", LOAD_CPU, tools["drive"], *row.load.split(), *version]
    drive += ["--warm", str(options.warm), "--seconds", str(options.seconds)]
    drive += ["--addr", f"127.0.0.1:{port}", "--label", broker, "--pid"]
    limit = options.warm + options.seconds + RUN_MAX_S
    try:
        with running(command, port, work / "broker.log") as process:
            done = subprocess.run(drive + [str(process.pid)], capture_output=True, text=True, timeout=limit)
        result = json.loads(done.stdout) if done.stdout.strip() else {"error": done.stderr.strip()[-500:]}
    except (RuntimeError, OSError, ValueError, subprocess.TimeoutExpired) as failure:
        result = {"error": str(failure)[-500:]}
    return result, [shlex.join(command), shlex.join(drive + ["PID"])]


def build_driver():
    """Builds the driver and returns its path."""
    command = ["cargo", "bench", "--bench", "drive", "--no-run", "--message-format", "json"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("name") == "drive" and message.get("executable"):
            return message["executable"]
    raise SystemExit("side_by_side: cargo built no driver")


@contextlib.contextmanager
def congestion_control(name):
    """TCP congestion control for new sockets, put back at the end."""
    before = CONGESTION.read_text()
    if name:
        CONGESTION.write_text(name)
    try:
        yield
    finally:
        if name:
            CONGESTION.write_text(before)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", help="name of the record: perf/DATE-NAME")
    parser.add_argument("--rows", help="rows to run, by name, separated by commas; a name may be a prefix with *")
    parser.add_argument("--brokers", help="only these brokers: mosquitto,firehose,firehose-2-shards,bare")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="measured window of a run")
    parser.add_argument("--warm", type=float, default=1.0, help="load before the window")
    parser.add_argument("--congestion", help="set tcp_congestion_control for the runs, and put it back")
    parser.add_argument("--v5", action="store_true", help="speak MQTT 5 instead of 3.1.1")
    parser.add_argument("--drive", help="the driver's executable; built when not given")
    parser.add_argument("--firehose", default=str(ROOT / "target/release/firehose"))
    parser.add_argument("--mosquitto", default="/usr/sbin/mosquitto")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "perf")
    parser.add_argument("--list", action="store_true", help="print rows, loads and targets, and end")
    return parser.parse_args()


def chosen_rows(names):
    if not names:
        return ROWS
    names = names.split(",")
    fits = lambda row, name: row.name == name or (name.endswith("*") and row.name.startswith(name[:-1]))
    rows = [row for row in ROWS if any(fits(row, name) for name in names)]
    if not rows:
        raise SystemExit(f"side_by_side: no row is called {','.join(names)}; see --list")
    return rows


def brief(result):
    if "error" in result:
        return "FAILED: " + result["error"]
    shown = ["per_s", "cpu_ns_each", "broker_cpu", "broker_wait", "driver_cpu", "p99_us", "bytes_each", "verified"]
    return "  ".join(f"{key}={result[key]}" for key in shown if key in result)


def main():
    options = arguments()
    if options.list:
        for row in ROWS:
            print(f"{row.name:24} {row.load}\n{'':24} brokers: {', '.join(row.brokers)}; to reach: {row.wanted()}")
        return
    if not options.name:
        raise SystemExit("side_by_side: --name is missing")
    rows = chosen_rows(options.rows)
    tools = {"drive": options.drive or build_driver(), "firehose": options.firehose, "mosquitto": options.mosquitto}
    only = options.brokers.split(",") if options.brokers else None
    out = options.out / f"{datetime.date.today().isoformat()}-{options.name}"
    out.mkdir(parents=True, exist_ok=True)
    os.sched_setaffinity(0, {int(LOAD_CPU)})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    results, commands, port = [], {}, FIRST_PORT
    with congestion_control(options.congestion), tempfile.TemporaryDirectory() as work, open(
        out / "raw.jsonl", "w", encoding="utf-8"
    ) as raw:
        (out / "machine.txt").write_text(machine(tools, ROOT))
        for row in rows:
            brokers = [broker for broker in row.brokers if only is None or broker in only]
            for round_number in range(1, options.rounds + 1):
                for broker in brokers:
                    port += 1
                    result, used = run_once(row, broker, port, options, tools, pathlib.Path(work))
                    commands.setdefault((row.name, broker), used)
                    result = {"row": row.name, "round": round_number, "broker": broker, **result}
                    results.append(result)
                    raw.write(json.dumps(result) + "\n")
                    raw.flush()
                    print(f"{row.name} {round_number}/{options.rounds} {broker}: {brief(result)}", flush=True)

    lines = ["# " + shlex.join(["python3", *sys.argv]), "# broker.conf:"]
    lines += ["#   " + line for line in CONFIG.format(port="PORT").splitlines()]
    for (row, broker), used in commands.items():
        lines += ["", f"# {row}, {broker}", *used]
    text = "\n".join(lines) + "\n"
    # As somebody would type them in the project's folder, not where that lies on this machine.
    text = text.replace(f"{ROOT}/", "")
    text = re.sub(rf"{re.escape(tempfile.gettempdir())}/tmp[^/ ]*/", "", text)
    (out / "commands.txt").write_text(text)
    (out / "README.md").write_text(readme(options, rows, results))
    print((out / "README.md").read_text())


if __name__ == "__main__":
    main()
