"""The broker on disks that are slow, hang, fail, fill up or break, with flows that are counted. disk.py --program P SCENARIO ...

    slow      50 operations and 1 MB a second, as a memory card: blkio.throttle of control groups, version 1
    hang      a sync that takes 5 s
    syncs     fdatasync fails with EIO: once, then for 3 s
    writes    a write fails with EIO: once, then for 3 s
    full      ext4 on a loop device, filled by somebody else under the broker, and freed again
    broken    ext4 on a loop device that has less room than it says, as a thin volume: real errors of a device

Needs root; hang, syncs and writes need FUSE (see faulty.py). After each the broker is killed with SIGKILL and started again, and who was
away gets all: nothing that was acknowledged may be missing, and nothing of QoS 2 come twice. One line of JSON a measurement."""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from flows import Broker, Bystander, Publisher, acknowledged, leave_session, say, spread, sys_value, take_all, verdict

HERE = pathlib.Path(__file__).resolve().parent
BLKIO = pathlib.Path("/sys/fs/cgroup/blkio")


def run(*command, is_checked=True):
    return subprocess.run([str(one) for one in command], check=is_checked, capture_output=True, text=True)


class Flows:
    """Two publishers with QoS 1 and two with 2, whose messages wait for a session that is away, and two bystanders."""

    def __init__(self, broker, pause=0.0, bytes_=200):
        self.publishers = [Publisher(broker, f"q{qos}-{one}", qos, bytes_, pause) for qos in (1, 2) for one in (0, 1)]
        self.bystanders = [Bystander(broker, 0), Bystander(broker, 1)]
        for one in self.publishers + self.bystanders:
            one.start()

    def stop(self, is_patient=True):
        for one in self.bystanders + self.publishers:
            one.is_over.set()
        for one in self.bystanders + self.publishers:
            one.join(90 if is_patient else 0.5)

    def told(self):
        """How long those took who wait for the disk, and those who do not."""
        return {
            "refused": sum(one.refused for one in self.publishers),
            "puback": spread([took for one in self.publishers if one.qos == 1 for took in one.took]),
            "pubcomp": spread([took for one in self.publishers if one.qos == 2 for took in one.took]),
            "bystander_qos0": spread(self.bystanders[0].took),
            "bystander_qos1": spread(self.bystanders[1].took),
        }


def log_lines(broker):
    """What the log says of the disk."""
    about = [line.split(": ", 1)[-1] for line in broker.log().splitlines() if re.search(r"store|disk|O_DIRECT", line)]
    return [line for line in about if not re.search(r"Memory|account|client|^New|subscri", line)]


def judge(scenario, broker, flows, **more):
    """Kills the broker, starts it again and looks at what is there."""
    flows.stop()
    is_alive = broker.is_alive()
    broker.kill()
    check = run(broker.program, "store", "check", more.pop("store"), is_checked=False)
    broker.start()
    found = take_all(broker, acknowledged(flows.publishers))
    say(scenario, alive=is_alive, check=check.returncode, **verdict(flows.publishers, found), **flows.told(), **more, log=log_lines(broker))
    broker.end()


def slow(program, work):
    """The store is below `work`, on the device of that."""
    device = os.stat(work).st_dev
    group = BLKIO / f"firehose-{os.getpid()}"
    group.mkdir()
    name = f"{os.major(device)}:{os.minor(device)}"
    store = work / "slow"
    store.mkdir()
    inside = lambda: (group / "cgroup.procs").write_text(str(os.getpid()))
    broker = Broker(program, work / "slow-conf", store, inside=inside)
    try:
        took = broker.start()
        leave_session(broker)
        # From here on: the files that a start writes are 256 MiB, which would take minutes.
        for what, limit in (("write_iops", 50), ("write_bps", 1 << 20), ("read_iops", 50)):
            (group / f"blkio.throttle.{what}_device").write_text(f"{name} {limit}")
        flows = Flows(broker)
        time.sleep(20)
        status = {what: sys_value(broker, f"store/{what}") for what in ("state", "sync_max_us")}
        for what in ("write_iops", "write_bps", "read_iops"):
            (group / f"blkio.throttle.{what}_device").write_text(f"{name} 0")
        judge("slow", broker, flows, store=store, start_s=round(took, 2), status=status)
    finally:
        with contextlib.suppress(OSError):
            if broker.process and broker.is_alive():
                broker.kill()
            group.rmdir()


class Fuse:
    """A faulty file system on a directory below `work`."""

    def __init__(self, work, record=None):
        self.below, self.mount, self.control = work / "below", work / "mount", work / "control"
        for path in (self.below, self.mount):
            path.mkdir()
        self.order()
        more = ["--record", record] if record else []
        command = [sys.executable, HERE / "faulty.py", self.below, self.mount, self.control, *more]
        self.process = subprocess.Popen([str(one) for one in command])
        while not os.path.ismount(self.mount):
            assert self.process.poll() is None, "no file system"
            time.sleep(0.02)

    def order(self, **orders):
        new = self.control.with_suffix(".new")
        new.write_text(json.dumps(orders))
        new.rename(self.control)

    def close(self):
        self.order()
        run("umount", "--lazy", self.mount, is_checked=False)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)


def faulty(scenario, program, work, orders):
    """Flows while the file system does as each of `orders` says, for so many seconds, with a pause behind each."""
    disk = Fuse(work)
    broker = Broker(program, work / f"{scenario}-conf", disk.mount)
    try:
        broker.start()
        leave_session(broker)
        flows = Flows(broker)
        time.sleep(2)
        states = []
        for order, seconds in orders:
            disk.order(**order)
            time.sleep(seconds)
            states.append(sys_value(broker, "store/state"))
            disk.order()
            time.sleep(3)
        states.append(sys_value(broker, "store/state"))
        failures = sys_value(broker, "store/failures")
        judge(scenario, broker, flows, store=disk.mount, states=states, failures=failures)
    finally:
        if broker.process and broker.is_alive():
            broker.kill()
        disk.close()


def hang(program, work):
    faulty("hang", program, work, [({"sync_ms": 5000}, 6), ({"sync_ms": 5000}, 6)])


def syncs(program, work):
    faulty("syncs", program, work, [({"fail": {"fsync": ["EIO", 1]}}, 3), ({"fail": {"fsync": ["EIO", -1]}}, 3)])


def writes(program, work):
    faulty("writes", program, work, [({"fail": {"write": ["EIO", 1]}}, 3), ({"fail": {"write": ["EIO", -1]}}, 3)])


class Loop:
    """ext4 of so many MiB on a loop device, whose file lies in memory."""

    def __init__(self, work, mib):
        self.below, self.mount = work / "below", work / "mount"
        for path in (self.below, self.mount):
            path.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={mib + 16}m", "tmpfs", self.below)
        self.file = self.below / "disk"
        run("truncate", "-s", f"{mib}M", self.file)
        run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.file)
        self.device = run("losetup", "-f", "--show", self.file).stdout.strip()
        run("mount", "-o", "errors=remount-ro", self.device, self.mount)

    def run_out(self):
        """From here on what has no room below yet gets none: the device answers with EIO."""
        run("sync", "-f", self.mount)
        room = os.statvfs(self.below)
        used = (room.f_blocks - room.f_bfree) * room.f_frsize
        run("mount", "-o", f"remount,size={used >> 10}k", self.below)

    def come_back(self, mib):
        run("mount", "-o", f"remount,size={mib}m", self.below)

    def close(self):
        for one in (self.mount, self.below):
            run("umount", "--lazy", one, is_checked=False)
            if one == self.mount:
                run("losetup", "-d", self.device, is_checked=False)


def full(program, work):
    disk = Loop(work, 1400)
    broker = Broker(program, work / "full-conf", disk.mount, lines="persistence_max_size 1G\n", memory="4G")
    ballast = disk.mount / "ballast"
    try:
        broker.start()
        leave_session(broker)
        # All that is free is somebody else's now, and segments that are ready are soon used up.
        run("dd", "if=/dev/zero", f"of={ballast}", "bs=1M", is_checked=False)
        flows = Flows(broker, pause=0.002, bytes_=100_000)
        deadline = time.monotonic() + 60
        while sum(one.refused for one in flows.publishers) < 40 and time.monotonic() < deadline:
            time.sleep(0.01)
        for one in flows.publishers:
            one.stop()
        time.sleep(1.5)
        states = [sys_value(broker, "store/state")]
        ballast.unlink()
        time.sleep(4)
        states.append(sys_value(broker, "store/state"))
        judge("full", broker, flows, store=disk.mount, states=states)
    finally:
        if broker.process and broker.is_alive():
            broker.kill()
        disk.close()


def broken(program, work):
    disk = Loop(work, 1400)
    broker = Broker(program, work / "broken-conf", disk.mount, lines="persistence_max_size 1G\n", memory="4G")
    try:
        broker.start()
        leave_session(broker)
        flows = Flows(broker, bytes_=60_000)
        time.sleep(1)
        disk.run_out()
        deadline = time.monotonic() + 60
        while sys_value(broker, "store/state") == "open" and time.monotonic() < deadline:
            time.sleep(0.5)
        states = [sys_value(broker, "store/state")]
        failures = sys_value(broker, "store/failures")
        kept = [len(one.acked) for one in flows.publishers]
        time.sleep(5)
        more = [len(one.acked) for one in flows.publishers]
        said = log_lines(broker)
        flows.stop(is_patient=False)
        is_alive = broker.is_alive()
        broker.kill()
        # The device has all of its room again, and the file system is looked after, as somebody would who replaces a disk.
        run("umount", disk.mount)
        disk.come_back(1500)
        checked = run("e2fsck", "-fy", disk.device, is_checked=False).returncode
        run("mount", disk.device, disk.mount)
        check = run(program, "store", "check", disk.mount, is_checked=False).returncode
        broker.start()
        found = take_all(broker, acknowledged(flows.publishers))
        say(
            "broken",
            alive=is_alive,
            states=states,
            failures=failures,
            acknowledged_while_broken=[after - before for before, after in zip(kept, more)],
            e2fsck=checked,
            check=check,
            **verdict(flows.publishers, found),
            **flows.told(),
            log=said,
        )
        broker.end()
    finally:
        if broker.process and broker.is_alive():
            broker.kill()
        disk.close()


SCENARIOS = {one.__name__: one for one in (slow, hang, syncs, writes, full, broken)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(HERE.parent.parent / "target/release/firehose"))
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()))
    parser.add_argument("scenarios", nargs="+", choices=SCENARIOS)
    options = parser.parse_args()
    for name in options.scenarios:
        work = pathlib.Path(tempfile.mkdtemp(prefix=f"firehose-{name}-", dir=options.work))
        try:
            SCENARIOS[name](options.program, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
