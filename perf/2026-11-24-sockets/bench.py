#!/usr/bin/env python3
"""Rates of brokers in turns: bench.py ROUNDS NAME=OPTIONS:PROGRAM... (OPTIONS as activate.py has them)."""

import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LOADS = {
    "fan-out 1 -> 1000, 64 B, 4096 outstanding": "fanout --subscribers 1000 --size 64 --window 4096",
    "fan-out 1 -> 1000, 64 B, 512 outstanding": "fanout --subscribers 1000 --size 64 --window 512",
    "fan-out 1 -> 100, 256 KiB, 16 outstanding": "fanout --subscribers 100 --size 262144 --window 16",
    "fan-out 1 -> 1000, 64 B, QoS 1, 64 outstanding": "fanout --subscribers 1000 --size 64 --window 64 --qos 1",
    "fan-in 100 -> 1, 64 B": "fanin --publishers 100 --size 64 --window 64",
}
TESTER = os.environ["TESTER"]


def run(load, options, program):
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        broker = f"exec python3 {HERE}/activate.py {{port}} {options} {program} serve -p {{port}} --shards 1"
        command = [TESTER, "bench", *load.split(), "--duration", "3s", "--warm-up", "1s", "--quiet",
                   "--broker", broker, "--json", file.name]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, text=True)
        try:
            report = json.load(open(file.name))
        except ValueError:
            print(done.stdout)
            raise
        return report


def main():
    rounds, brokers = int(sys.argv[1]), [one.split("=", 1) for one in sys.argv[2:]]
    for title, load in LOADS.items():
        rows = {name: [] for name, _ in brokers}
        for _ in range(rounds):
            for name, how in brokers:
                options, program = how.split(":")
                rows[name].append(run(load, options, program))
        for name, reports in rows.items():
            yield title, name, reports


if __name__ == "__main__":
    for title, name, reports in main():
        rates = sorted(report["summary"]["delivery_rate_per_s"] for report in reports)
        cpus = sorted(report["summary"]["broker_cpu_ns_per_delivery"] for report in reports)
        p99s = sorted(report["runs"][0]["steps"][-1]["latency"]["delivery_ns"]["p99"] for report in reports)
        middle = len(rates) // 2
        print(f"{title:48} {name:14} {rates[middle] / 1e6:8.3f} M/s {cpus[middle]:9.1f} ns of CPU a delivery, p99 {p99s[middle] / 1e6:6.1f} ms", flush=True)
