"""A memory cgroup of a given size without swap, of version 2 or 1, whichever counts memory here. Needs root.

In version 1 TCP buffers are counted beside memory.usage_in_bytes, with a limit of their own of the same size; what must
stay below the limit is the sum, which is what `usage` says.
"""

import os
import pathlib
import time

MOUNTS = pathlib.Path("/proc/mounts")
BUSY_MAX_S = 5


def _mounts():
    """(version 1 memory hierarchy or None, version 2 hierarchy with a memory controller or None)."""
    first = second = None
    for line in MOUNTS.read_text().splitlines():
        _, where, kind, options = line.split()[:4]
        path = pathlib.Path(where)
        if kind == "cgroup" and "memory" in options.split(","):
            first = path
        elif kind == "cgroup2" and "memory" in (path / "cgroup.controllers").read_text().split():
            second = path
    return first, second


def _fields(path):
    """Lines of `name number` as a dictionary; empty where there is no such file."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    return {name: int(value) for name, value in (line.split()[:2] for line in lines) if value.lstrip("-").isdigit()}


def _number(path):
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def can_be_made():
    """Whether there is a hierarchy that counts memory, and groups can be made in it."""
    try:
        Cgroup(64 << 20).close()
    except (OSError, SystemExit):
        return False
    return True


class Cgroup:
    """A group; `with` removes it."""

    def __init__(self, limit):
        first, second = _mounts()
        if not (first or second):
            raise SystemExit("attacks: no cgroup hierarchy here counts memory")
        self.version = 2 if second else 1
        self.limit = limit
        self.path = (second or first) / f"firehose-attacks-{os.getpid()}"
        if second:
            (second / "cgroup.subtree_control").write_text("+memory")
        self.path.mkdir()
        try:
            self.how = self._limit_v2() if second else self._limit_v1()
        except OSError:
            self.path.rmdir()
            raise

    def _limit_v1(self):
        self._write("memory.limit_in_bytes")
        how = "cgroup v1: memory.limit_in_bytes"
        if (self.path / "memory.memsw.limit_in_bytes").exists():
            self._write("memory.memsw.limit_in_bytes")
            how += ", memory.memsw.limit_in_bytes the same"
        self._write("memory.swappiness", 0)
        self._write("memory.kmem.tcp.limit_in_bytes")  # TCP buffers are only counted where they have a limit
        return how + "; kernel memory in it, TCP buffers counted beside it (limit of the same size) and added here"

    def _limit_v2(self):
        self._write("memory.max")
        how = "cgroup v2: memory.max"
        if (self.path / "memory.swap.max").exists():
            self._write("memory.swap.max", 0)
            how += ", memory.swap.max 0"
        return how + "; kernel memory and socket buffers in it"

    def _write(self, name, value=None):
        (self.path / name).write_text(str(self.limit if value is None else value))

    def join(self):
        """Puts the calling process into the group (between fork and exec)."""
        (self.path / "cgroup.procs").write_text("0")

    def sample(self):
        """What is counted now, in bytes: `usage` is all of it; `level` leaves out pages of files, which cost nobody."""
        return self._sample_v2() if self.version == 2 else self._sample_v1()

    def _sample_v1(self):
        tcp = _number(self.path / "memory.kmem.tcp.usage_in_bytes")
        usage = _number(self.path / "memory.usage_in_bytes") + tcp
        stat = _fields(self.path / "memory.stat")
        oom = _fields(self.path / "memory.oom_control")
        files = stat.get("cache", 0) - stat.get("shmem", 0)
        return {
            "usage": usage,
            # The kernel's own maximum sees what lies between two samples, but not TCP buffers.
            "peak": _number(self.path / "memory.max_usage_in_bytes"),
            "level": usage - files,
            "kernel": _number(self.path / "memory.kmem.usage_in_bytes"),
            "tcp": tcp,
            "files": files,
            "under_oom": oom.get("under_oom", 0),
            "oom_kills": oom.get("oom_kill", 0),
            # With equal limits the kernel counts at that of memory and swap first; some kernels count nothing.
            "limit_hits": _number(self.path / "memory.failcnt") + _number(self.path / "memory.memsw.failcnt"),
            "tcp_limit_hits": _number(self.path / "memory.kmem.tcp.failcnt"),
        }

    def _sample_v2(self):
        stat = _fields(self.path / "memory.stat")
        events = _fields(self.path / "memory.events")
        usage = _number(self.path / "memory.current")
        parts = ("kernel_stack", "pagetables", "percpu", "slab")
        files = stat.get("file", 0) - stat.get("shmem", 0)
        return {
            "usage": usage,
            "peak": _number(self.path / "memory.peak"),
            "level": usage - files,
            "kernel": stat.get("kernel", sum(stat.get(part, 0) for part in parts)),
            "tcp": stat.get("sock", 0),
            "files": files,
            "under_oom": 0,
            "oom_kills": events.get("oom_kill", 0),
            "limit_hits": events.get("max", 0),
            "tcp_limit_hits": 0,
        }

    def close(self):
        """Removes the group, which stays busy for a moment after its last process has ended."""
        deadline = time.monotonic() + BUSY_MAX_S
        while True:
            try:
                return self.path.rmdir()
            except FileNotFoundError:
                return None
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
