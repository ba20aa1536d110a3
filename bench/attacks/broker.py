"""The broker under attack: started in the cgroup, pinned, watched by its pid, and ended by it."""

import os
import pathlib
import resource
import signal
import subprocess
import time

from workers import die_with_parent

START_MAX_S = 15
PORTS = 20_000
STOP_MAX_S = 20
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

# What an operator has by default, with TCP_NODELAY and counters once a second.
COMMON = """listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
sys_interval 1
persistence false
log_dest stderr
"""
MOSQUITTO = "user root\nlog_type error\nlog_type warning\nlog_type notice\n"
FIREHOSE = "connection_messages false\n"
# A listener of firehose's accepts from all of 127/8 and loopback has no bound per address unless it is asked for.


def listening(port):
    """Whether somebody listens on the port, found without connecting to it."""
    tail = f":{port:04X}"
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(tail) and fields[3] == "0A":
            return True
    return False


def free_port():
    """A port below those of clients that nobody listens on: one per harness, should two run beside each other."""
    return next(port for port in range(PORTS + os.getpid() % 10_000, 32_000) if not listening(port))


class Broker:
    """A running broker. `kind` is "firehose" or "mosquitto"."""

    def __init__(self, kind, program, port, group, folder, shards=1, more="", blocked_log=False):
        self.kind, self.port, self.shards = kind, port, shards
        self.config = folder / "broker.conf"
        self.log = folder / "broker.log"
        extra = MOSQUITTO if kind == "mosquitto" else FIREHOSE
        self.config.write_text(COMMON.format(port=port) + extra + more)
        cpus = set(range(min(shards, os.cpu_count()))) if kind == "firehose" else {0}
        command = [str(program), "-c", str(self.config)]
        if kind == "firehose":
            names = ",".join(map(str, sorted(cpus)))
            command = [str(program), "serve", "-c", str(self.config), "--shards", str(shards), "--cpus", names]
        self.command = command

        def inside():
            die_with_parent()
            group.join()
            os.sched_setaffinity(0, cpus)
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            os.setsid()

        # A pipe that nobody reads, or a file.
        self.unread, blocked = os.pipe() if blocked_log else (None, None)
        with open(blocked, "wb") if blocked_log else open(self.log, "wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=inside
            )
        self.pid = self.process.pid
        self.cause = None

    def wait_ready(self):
        """Returns when somebody listens on the port."""
        deadline = time.monotonic() + START_MAX_S
        while not listening(self.port):
            if not self.alive() or time.monotonic() > deadline:
                raise RuntimeError(f"the broker does not listen: {self.tail()}")
            time.sleep(0.05)

    def alive(self):
        """Whether it runs; when it has ended by itself, `cause` says how."""
        code = self.process.poll()
        if code is not None and self.cause is None:
            self.cause = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return code is None

    def tail(self):
        """The end of its log."""
        if self.unread is not None:
            return "not read"
        return self.log.read_text(errors="replace")[-600:]

    def sample(self):
        """Resident bytes and seconds of CPU; empty when it is gone."""
        try:
            resident = int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE
            fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            return {}
        return {"rss": resident, "cpu": (int(fields[11]) + int(fields[12])) / TICK, "cpu_wait": self._waited()}

    def _waited(self):
        """Seconds that its threads were ready and had no CPU, together: other programs' doing, not its own."""
        waited = 0
        for task in pathlib.Path(f"/proc/{self.pid}/task").glob("*/schedstat"):
            try:
                waited += int(task.read_text().split()[1])
            except (OSError, IndexError):
                pass
        return waited / 1e9

    def stop(self):
        """Ends it, if need be by force, and says how it ended: None when that was we."""
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(STOP_MAX_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                self.cause = f"did not end within {STOP_MAX_S} s of SIGTERM"
        return self.cause
