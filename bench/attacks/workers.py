"""Processes of the attackers: each pinned to the load's CPU, gone when the harness is, with counters of its own.

A job is a function `job(worker, ...)` that runs in a process; what it returns comes back by `Task.result`. It looks at
`worker.over` (its time is up or it was told to stop) at least several times a second.
"""

import ctypes
import itertools
import multiprocessing
import os
import resource
import signal
import time

COUNTERS = (
    "attempts", "connected", "refused", "closed", "offered", "acked", "rejected", "received", "received_bytes", "sent_bytes",
    "filters",
)
ROWS = 256
PR_SET_PDEATHSIG = 1
SOURCES = 120  # addresses 127.0.1.x to connect from: each has 28,000 ports
FORK = multiprocessing.get_context("fork")


def die_with_parent():
    """The kernel ends this process when its parent is gone, whatever happened to that one."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Counts:
    """Counters that workers raise and the recorder reads: one row each, so that none needs a lock."""

    def __init__(self):
        self.cells = FORK.RawArray("Q", ROWS * len(COUNTERS))
        self.next = 0

    def row(self):
        """The place of a new worker's row."""
        self.next += 1
        return (self.next - 1) % ROWS * len(COUNTERS)

    def totals(self):
        """Sums over all workers."""
        cells = list(self.cells)
        return {name: sum(cells[place :: len(COUNTERS)]) for place, name in enumerate(COUNTERS)}


class Worker:
    """What a job sees of the harness, in its own process."""

    def __init__(self, number, cells, row, stop, port, seed):
        self.number, self.port, self.seed = number, port, seed
        self._cells, self._row, self._stop = cells, row, stop
        self.until = float("inf")
        first = number * 7
        self.sources = itertools.cycle(f"127.0.1.{1 + (first + i) % SOURCES}" for i in range(SOURCES))

    def count(self, name, number=1):
        self._cells[self._row + COUNTERS.index(name)] += number

    @property
    def over(self):
        return self._stop.is_set() or time.monotonic() > self.until


class Task:
    """A running job, in the harness."""

    def __init__(self, process, pipe, stop):
        self.process, self.pipe, self._stop = process, pipe, stop
        self._result = None

    def stop(self):
        self._stop.set()

    def result(self, timeout):
        """What the job returned; it is told to stop after `timeout` seconds and ended some time after that."""
        try:
            if not self.pipe.poll(timeout):
                self.stop()
                if not self.pipe.poll(20):
                    self.process.kill()
                    return {"failed": "did not stop"}
            self._result = self.pipe.recv()
        except EOFError:
            self._result = {"failed": f"ended, exit code {self.process.exitcode}"}
        self.process.join(5)
        return self._result

    def kill(self):
        if self.process.is_alive():
            self.process.kill()
        self.process.join(5)


def start(job, worker, pipe, stop, cpus, urgent, *args):
    """A task that runs the job. `urgent`: ahead of everything else on its CPU, so that it measures others, not itself."""
    here, there = pipe

    def body():
        die_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.sched_setaffinity(0, cpus)
        if urgent:
            try:
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            except PermissionError:
                os.setpriority(os.PRIO_PROCESS, 0, -20)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        here.close()
        there.send(job(worker, *args))

    process = FORK.Process(target=body, daemon=True)
    process.start()
    there.close()
    return Task(process, here, stop)
