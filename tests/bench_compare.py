#!/usr/bin/env python3
"""bench/compare against a program that stands in for `firehose bench` and writes plausible reports.

    python3 tests/bench_compare.py

Standard library only.
"""

import importlib.machinery
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMPARE = ROOT / "bench/compare"
sys.dont_write_bytecode = True

# Twice, four times, ... as fast as others; each call a little slower than the one before.
FAKE = """#!/usr/bin/env python3
import json, os, pathlib, sys
args = sys.argv[1:]
if args == ["--version"]:
    sys.exit(print("firehose 9.9.9"))
value = lambda name: args[args.index(name) + 1] if name in args else None
log = pathlib.Path(os.environ["FAKE_LOG"])
calls = len(log.read_text().splitlines()) if log.exists() else 0
broker = (value("--broker") or "ours").split()
conf = pathlib.Path(broker[-1]).read_text() if broker[-1].endswith(".conf") else ""
with log.open("a") as file:
    file.write(json.dumps({"args": args, "conf": conf}) + "\\n")
who = "ours" if broker == ["ours"] else "other"
does = lambda what: os.environ.get("FAKE_" + what, "") in (who, who + " " + args[1])
if does("ERROR"):
    sys.exit((print("bench: too few descriptors"), 3)[1])
slow = (1 if who == "ours" else 4) * (1 + calls / 100)
failed = does("FAIL")
summary = {"delivery_rate_per_s": 4e6 / slow, "broker_cpu_ns_per_delivery": 100 * slow, "lost": 3 if failed else 0,
           "latency_p50_ns": 4e5 * slow, "latency_p99_ns": 1.25e6 * slow, "broker_rss_peak_bytes": 40 * 2**20 * slow}
step = {"broker": {"user_s": 0.5 * slow, "system_s": 0.5}, "operations": None}
if args[1] == "churn":
    summary = {"operations_per_s": 5000.0, "operation_p99_ns": 1e6}
    step["operations"] = {"name": "cycles", "count": 15000, "failed": 0, "rate": 5000.0}
verdict = {"passed": not failed, "failures": ["lost 3 of 9 deliveries at QoS 1"] if failed else [],
           "tester_limits": ["saturated: worker 0"] if does("LIMIT") else [],
           "notes": ["few samples"] if args[1] == "fanout" or who == "ours" else []}
report = {"schema": "firehose-bench/1", "summary": summary, "verdict": verdict, "runs": [{"steps": [step]}]}
pathlib.Path(value("--json")).write_text(json.dumps(report))
sys.exit(1 if failed else 0)
"""

SETS = """
[sets.small]
loads = ["fan", "churn"]
seconds = 2
[loads.fan]
text = "fan-out of ten"
args = "fanout --subscribers 10 --qos 1"
warm_up = 0.5
targets = [
    { figure = "broker_cpu_ns_per_delivery", at_most = 0.5, of = "other" },
    { figure = "latency_p99_ns", at_most = 1e6 },
]
[loads.churn]
text = "come and go"
args = "churn --connections 16"
targets = [{ figure = "broker_cpu_ns_per_operation", at_most = 0.5, of = "other" }]
"""

BROKERS = """
[brokers.other]
command = "/opt/other -p {port} -c {config}"
config = "listen {port}\\n"
version = "echo other 1.0"
"""


def module():
    loader = importlib.machinery.SourceFileLoader("compare", str(COMPARE))
    sys.path.insert(0, str(COMPARE.parent))
    spec = importlib.util.spec_from_loader("compare", loader)
    compare = importlib.util.module_from_spec(spec)
    sys.modules["compare"] = compare
    loader.exec_module(compare)
    return compare


class Compare(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name, text in [("firehose", FAKE), ("sets.toml", SETS), ("brokers.toml", BROKERS)]:
            (self.folder / name).write_text(text)
        (self.folder / "firehose").chmod(0o755)

    def run_it(self, *args, brokers="firehose,other", **fakes):
        """Exit code and output of a run with a small set of its own."""
        command = [str(COMPARE), "--sets", self.folder / "sets.toml", "--set", "small", "--out", self.folder / "perf"]
        command += ["--brokers", self.folder / "brokers.toml", "--only", brokers, "--broker-cpus", "0", "--cpus", "1"]
        command += ["--firehose", self.folder / "firehose", "--name", "try", *args]
        environment = {**os.environ, "FAKE_LOG": str(self.folder / "log"), **fakes}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def calls(self):
        log = self.folder / "log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def record(self, name):
        (folder,) = (self.folder / "perf").iterdir()
        return (folder / name).read_text()

    def test_a_dry_run_prints_the_commands_of_a_round(self):
        code, said = self.run_it("--dry-run", "--rounds", "7")
        self.assertEqual(code, 0)
        lines = said.splitlines()
        self.assertEqual(len(lines), 4)
        common = "--duration 2 --warm-up 0.5 --broker-cpus 0 --cpus 1"
        self.assertIn(f"bench fanout --subscribers 10 --qos 1 {common} --shards 1 --json report.json --quiet", lines[0])
        self.assertNotIn("--broker ", lines[0])
        self.assertTrue(lines[1].endswith(
            f"{common} --broker '/opt/other -p 20001 -c other.conf' --port 20001 --json report.json --quiet"
        ), lines[1])
        self.assertEqual(self.calls(), [])
        self.assertFalse((self.folder / "perf").exists())

    def test_rounds_are_interleaved_and_turned(self):
        code, said = self.run_it("--rounds", "3", "--port", "30000", "--extra=--mqtt 5")
        self.assertEqual(code, 0, said)
        calls = self.calls()
        who = ["other" if "--broker" in call["args"] else "ours" for call in calls]
        ours_first, other_first = ["ours", "other"] * 2, ["other", "ours"] * 2
        self.assertEqual(who, ours_first + other_first + ours_first)
        self.assertEqual([call["args"][1] for call in calls], ["fanout"] * 2 + ["churn"] * 2 + ["fanout"] * 2
                         + ["churn"] * 2 + ["fanout"] * 2 + ["churn"] * 2)
        ports = [int(call["args"][call["args"].index("--port") + 1]) for call in calls if "--port" in call["args"]]
        self.assertEqual(len(set(ports)), 6)
        self.assertEqual(calls[1]["conf"], f"listen {ports[0]}\n")
        self.assertTrue(all("--mqtt" in call["args"] for call in calls))

    def test_the_record_has_medians_spread_ratios_and_targets(self):
        code, said = self.run_it("--rounds", "3")
        self.assertEqual(code, 0, said)
        table = self.record("README.md")
        self.assertIn(table, said)
        self.assertIn("| load | figure | firehose | other | firehose / other |", table)
        # Calls 0, 5 and 8 are ours, 1, 4 and 9 the other's.
        self.assertIn("| fan-out of ten | delivery rate | 3,809,524/s (3,703,704/s to 4,000,000/s) | "
                      "961,538/s (917,431/s to 990,099/s) | 3.96× |", table)
        self.assertIn("|  | latency p99 | 1.31 ms (1.25 ms to 1.35 ms) |", table)
        self.assertIn("|  | broker RSS peak | 42 MiB", table)
        self.assertIn("broker CPU an operation | 69", table)
        self.assertIn("| broker CPU a delivery at most 0.5 × other's | 0.252 × other's | yes |", table)
        self.assertIn("| fan-out of ten | latency p99 at most 1 ms | 1.31 ms | **no** |", table)
        self.assertIn("Every measurement passed", table)
        self.assertIn("- fan, churn with firehose: few samples", table)
        raw = [json.loads(line) for line in self.record("raw.jsonl").splitlines()]
        self.assertEqual(len(raw), 12)
        self.assertEqual((raw[0]["row"], raw[0]["round"], raw[0]["broker"], raw[0]["exit"]), ("fan", 1, "firehose", 0))
        machine = self.record("machine.txt")
        self.assertIn("firehose 9.9.9", machine)
        self.assertIn("other: other 1.0", machine)
        commands = self.record("commands.txt")
        self.assertIn("# other.conf:\n#   listen {port}\n", commands)
        self.assertIn("-c other.conf'", commands)
        self.assertNotIn(str(ROOT), commands + table)

    def test_our_failure_is_an_exit_code_and_in_no_median(self):
        code, _ = self.run_it("--rounds", "1", FAKE_FAIL="ours fanout")
        self.assertEqual(code, 1)
        table = self.record("README.md")
        self.assertIn("| fan-out of ten | delivery rate | failed | 990,099/s | - |", table)
        self.assertIn("- fan, firehose, round 1 is not in the medians: lost 3 of 9 deliveries at QoS 1", table)
        self.assertIn("| - | not measured |", table)

    def test_the_failure_of_another_is_no_failure_of_ours(self):
        code, _ = self.run_it("--rounds", "1", FAKE_FAIL="other", FAKE_ERROR="other churn")
        self.assertEqual(code, 0)
        table = self.record("README.md")
        self.assertIn("- fan, other, round 1 is not in the medians", table)
        self.assertIn("- churn, other, round 1 failed: bench: too few descriptors", table)

    def test_a_measurement_that_could_not_be_made_is_a_failure(self):
        code, said = self.run_it("--rounds", "1", brokers="firehose", FAKE_ERROR="ours")
        self.assertEqual(code, 1)
        self.assertIn("FAILED: bench: too few descriptors", said)
        self.assertIn("| fan-out of ten | delivery rate | failed |", self.record("README.md"))

    def test_where_the_tester_was_the_limit_is_marked(self):
        code, said = self.run_it("--rounds", "2", FAKE_LIMIT="ours fanout")
        self.assertEqual(code, 0)
        self.assertIn("(the tester was the limit)", said)
        table = self.record("README.md")
        fan = next(line for line in table.splitlines() if line.startswith("| fan-out of ten | delivery rate"))
        self.assertEqual([part.strip().endswith("†") for part in fan.split("|")[3:5]], [True, False])
        self.assertIn("- fan, firehose, round 2 † saturated: worker 0", table)
        self.assertNotIn("- churn, firehose, round 2", table)

    def test_usage_errors_and_a_missing_program(self):
        for args, text in [
            (["--set", "none"], "no set none; there are small"),
            (["--loads", "x*"], "no load x*; there are fan, churn"),
            (["--only", "nobody"], "no broker nobody"),
            (["--rounds", "0"], "above 0"),
            (["--brokers", "/nowhere.toml"], "/nowhere.toml: "),
        ]:
            code, said = self.run_it(*args)
            self.assertEqual((code, text in said), (2, True), said)
        (self.folder / "brokers.toml").write_text("[brokers.other]\ncomand = ''\n")
        code, said = self.run_it()
        self.assertEqual((code, "broker other: " in said), (2, True), said)
        (self.folder / "brokers.toml").write_text(BROKERS)
        code, said = self.run_it("--firehose", "/nowhere")
        self.assertEqual(code, 3, said)

    def test_the_sets_of_the_project_make_sense(self):
        compare = module()
        sets = compare.load_file(COMPARE.with_suffix(".toml"))
        named = {name for one in sets["sets"].values() for name in one["loads"]}
        self.assertEqual(named, set(sets["loads"]))
        figures = (ROOT / "src/load/report/figures.rs").read_text() + "broker_cpu_ns_per_operation"
        brokers = {"firehose", "mosquitto", *sets["brokers"]}
        for name, fields in sets["loads"].items():
            load = compare.Load(name=name, **fields)
            self.assertLessEqual(set(load.brokers), brokers, name)
            for target in load.wanted("firehose"):
                self.assertIn(target.metric, load.figures, name)
                self.assertIn(target.of or "firehose", brokers, name)
            for figure in load.figures:
                self.assertIn(figure, figures, name)
        self.assertEqual(sets["sets"]["quick"]["seconds"], 2)
        self.assertEqual(len(sets["sets"]["quick"]["loads"]), 3)

    def test_a_command_that_hangs_is_ended_with_what_it_started(self):
        compare = module()
        compare.STOP_MAX_S = 1
        began = time.monotonic()
        pid = self.folder / "pid"
        script = f"trap '' TERM; sleep 60 & echo $! > {pid}; wait; sleep 60"
        code, said = compare.run_bounded(["sh", "-c", script], 0.5)
        self.assertEqual((code, said), (None, "not done after 0.5 s"))
        self.assertLess(time.monotonic() - began, 20)
        time.sleep(0.2)
        status = pathlib.Path(f"/proc/{pid.read_text().strip()}/stat")
        self.assertTrue(not status.exists() or status.read_text().split()[2] == "Z")


if __name__ == "__main__":
    unittest.main()
