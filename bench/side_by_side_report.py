"""What bench/side_by_side.py writes about a set of runs: the machine, and the table."""

import pathlib
import statistics
import subprocess

# A run whose broker was ready to run but had no CPU for longer than this share of the window shared its CPU.
CROWDED = 0.05

SYSCTLS = """net.ipv4.tcp_congestion_control net.core.default_qdisc net.ipv4.tcp_rmem net.ipv4.tcp_wmem
net.core.rmem_max net.core.wmem_max net.core.somaxconn net.ipv4.ip_local_port_range net.ipv4.tcp_tw_reuse""".split()


def output(*command, cwd=None):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=cwd)
        return (done.stdout or done.stderr).strip()
    except (OSError, subprocess.TimeoutExpired) as failure:
        return str(failure)


def machine(tools, root):
    """The machine and the programs, as they were when the runs began."""
    lines = [output("uname", "-srvm"), output("lscpu"), output("free", "-m"), ""]
    for name in SYSCTLS:
        path = pathlib.Path("/proc/sys") / name.replace(".", "/")
        lines.append(f"{name} = {path.read_text().strip() if path.exists() else 'absent'}")
    vulnerabilities = pathlib.Path("/sys/devices/system/cpu/vulnerabilities")
    lines += [f"{path.name}: {path.read_text().strip()}" for path in sorted(vulnerabilities.glob("*"))]
    lines += ["", f"open files: {output('sh', '-c', 'ulimit -n')}"]
    lines += [f"load average at the start: {pathlib.Path('/proc/loadavg').read_text().strip()}", ""]
    lines += [output("rustc", "--version"), "firehose commit: " + output("git", "describe", "--always", "--dirty", cwd=root)]
    lines += [output(tools["mosquitto"], "-h").splitlines()[0], output("dpkg-query", "-W", "mosquitto")]
    return "\n".join(lines) + "\n"


class Medians:
    """Medians over the rounds of one row, of runs that went well."""

    def __init__(self, row, results):
        self.runs = [result for result in results if result["row"] == row.name]

    def values(self, broker, metric):
        good = [run for run in self.runs if run["broker"] == broker and run.get("verified")]
        return [run[metric] for run in good if metric in run]

    def __call__(self, broker, metric):
        values = self.values(broker, metric)
        return statistics.median(values) if values else None

    def spread(self, broker, metric):
        values = self.values(broker, metric)
        if not values:
            return "-"
        return f"{figure(statistics.median(values))} ({figure(min(values))} to {figure(max(values))})"


def figure(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.4g}"


def readme(options, rows, results):
    """The record's README.md: verdicts first, then every figure, then what was wrong with runs."""
    lines = [f"# {options.name}", ""]
    lines += [
        f"Medians of {options.rounds} interleaved rounds, in brackets the least and the most. Each run: a fresh broker"
        f" on CPU 0, the driver on CPU 1, {options.warm:g} s of warm-up, {options.seconds:g} s measured, MQTT"
        f" {'5' if options.v5 else '3.1.1'}. CPU is the broker process's own time, user and system.",
        "",
        "The medians are of verified runs: what was sent arrived, once, to everyone. [raw.jsonl](raw.jsonl) has each run,"
        " [machine.txt](machine.txt) the machine, [commands.txt](commands.txt) the command lines.",
        "",
    ]
    lines += ["## Targets", "", "| load | to reach | measured | met |", "|---|---|---|---|"]
    for row in rows:
        for target in row.targets:
            verdict = target.judge(Medians(row, results))
            measured = "-" if verdict is None else figure(verdict[0]) + (f" x {target.of}" if target.of else "")
            met = "not measured" if verdict is None else "yes" if verdict[1] else "**no**"
            lines.append(f"| {row.text} | {target.text()} | {measured} | {met} |")
    lines += ["", "## Figures", "", "| load | broker | metric | median (least to most) |", "|---|---|---|---|"]
    for row in rows:
        medians = Medians(row, results)
        for broker in dict.fromkeys(run["broker"] for run in medians.runs):
            for metric in row.metrics:
                lines.append(f"| {row.name} | {broker} | {metric} | {medians.spread(broker, metric)} |")
    lines += [""] + troubles(results)
    return "\n".join(lines) + "\n"


def troubles(results):
    """Runs that failed, that were not exact, or that had to share their CPU."""
    lines = []
    for run in results:
        where = f"{run['row']}, {run['broker']}, round {run['round']}"
        if "error" in run:
            lines.append(f"- {where} failed: {run['error']}")
        elif not run["verified"]:
            lines.append(f"- {where} lost, duplicated or reordered messages; it is not in the medians.")
        elif run.get("broker_wait", 0) > CROWDED and run["broker"] != "firehose-2-shards":
            lines.append(f"- {where}: the broker waited for its CPU during {run['broker_wait']:.0%} of the window.")
    return ["## Doubts", "", *lines] if lines else ["No run failed, and no broker had to share its CPU."]
