"""Loss of power at every flush: what a broker wrote and flushed is recorded (faulty.py), and for each flush disks are made as they may be if
the power goes then; a broker starts on each, or with --every each is read by `store dump`, which reads as a start does.
power.py --program P [--seconds S] [--most N | --every]

Two disks for each moment: one that has only what was flushed, names too, and one that has of everything since then a part that chance picks,
block by block of 4 KiB, in any order. On each: `store check` may not say damaged, and who was away gets all that had been acknowledged by that
moment, what was QoS 2 once. Needs root and FUSE, as faulty.py does."""

import argparse
import base64
import concurrent.futures
import json
import os
import pathlib
import pickle
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from disk import Fuse, run
from flows import Broker, Publisher, acknowledged, leave_session, take_all, verdict

BLOCK = 4096


class Image:
    """What a disk has: names and the bytes of files, both flushed and not. Content lies in sparse files below `folder`."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        # By path: the inode; with what was done to names since the last sync of a directory.
        self.names, self.pending_names = {}, []
        # By inode: writes since its last sync.
        self.pending = {}

    def content(self, inode):
        return self.folder / str(inode)

    def write(self, path, offset, data):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if isinstance(data, int):
            # Zeros: a hole where nothing is yet.
            end = os.fstat(descriptor).st_size
            if offset < end:
                os.pwrite(descriptor, b"\0" * min(data, end - offset), offset)
            if offset + data > end:
                os.ftruncate(descriptor, offset + data)
        else:
            os.pwrite(descriptor, data, offset)
        os.close(descriptor)

    def take(self, operation):
        """Takes an operation of the record. Whether it was a flush."""
        kind, *what = operation
        if kind == "write":
            self.pending.setdefault(what[0], []).append(("write", what[1], what[2]))
        elif kind == "truncate":
            self.pending.setdefault(what[0], []).append(("truncate", what[1]))
        elif kind in ("create", "rename", "unlink", "mkdir"):
            self.pending_names.append(operation)
        elif kind == "fsync":
            for one in self.pending.pop(what[0], []):
                self.apply(self.content(what[0]), one)
        elif kind == "fsyncdir":
            for one in self.pending_names:
                self.rename(self.names, one)
            self.pending_names = []
        return kind in ("fsync", "fsyncdir")

    def apply(self, path, change):
        if change[0] == "write":
            self.write(path, change[1], change[2])
        else:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            os.truncate(path, change[1])

    @staticmethod
    def rename(names, operation):
        kind, *what = operation
        if kind == "create":
            names[what[0]] = what[1]
        elif kind == "rename" and what[0] in names:
            names[what[1]] = names.pop(what[0])
        elif kind == "unlink":
            names.pop(what[0], None)

    def disk(self, to, chance=None):
        """Makes a disk below `to`: of what was not flushed nothing, or what chance picks."""
        names = dict(self.names)
        # A journal of a file system keeps the order of names: the first so many.
        kept = chance.randint(0, len(self.pending_names)) if chance else 0
        for one in self.pending_names[:kept]:
            self.rename(names, one)
        (to / "firehose").mkdir(parents=True, mode=0o700)
        for path, inode in names.items():
            new = to / path.lstrip("/")
            content = self.content(inode)
            if content.exists():
                run("cp", "--sparse=always", content, new)
            else:
                new.touch()
            for change in self.pending.get(inode, []) if chance else []:
                self.lose(new, change, chance)

    def lose(self, path, change, chance):
        if change[0] == "truncate":
            if chance.random() < 0.5:
                os.truncate(path, change[1])
            return
        _, offset, data = change
        if isinstance(data, int):
            if chance.random() < 0.5:
                self.write(path, offset, data)
            return
        for at in range(0, len(data), BLOCK):
            if chance.random() < 0.5:
                self.write(path, offset + at, data[at : at + BLOCK])


def record(program, work, seconds):
    """A broker under load, and what it wrote: (file of the record, publishers)."""
    disk = Fuse(work, work / "record")
    broker = Broker(program, work / "conf", disk.mount, lines="autosave_interval 0\n")
    try:
        broker.start()
        leave_session(broker)
        sizes = (300, 20_000)
        publishers = [Publisher(broker, f"q{qos}-{one}", qos, sizes[one], 0.002) for qos in (1, 2) for one in (0, 1)]
        for one in publishers:
            one.start()
        time.sleep(seconds)
        for one in publishers:
            one.stop()
        broker.kill()
    finally:
        if broker.process and broker.is_alive():
            broker.kill()
        disk.close()
    return work / "record", publishers


def read(path):
    with open(path, "rb") as file:
        while True:
            try:
                yield pickle.load(file)
            except EOFError:
                return


def try_disk(program, work, to, publishers, before, subscribed):
    """Starts a broker on a disk: what is wrong, if anything is."""
    has_store = (to / "firehose" / "STORE").exists()
    check = run(program, "store", "check", to, is_checked=False).returncode if has_store else None
    broker = Broker(program, work / "again", to, shards=1)
    try:
        broker.start()
        if before < subscribed:
            # The session was not acknowledged yet: it is enough that the broker starts.
            return {"check": check, "lost": 0, "twice": 0, "acknowledged": 0, "came": 0}
        found = take_all(broker, acknowledged(publishers, before))
    finally:
        if broker.process and broker.is_alive():
            broker.kill()
    return {"check": check, **verdict(publishers, found, before)}


def key(message):
    """Name and number of a message, as its publisher has written them."""
    text = message["payload"] if "payload" in message else base64.b64decode(message["payload_base64"]).decode()
    author, number = text.split(" ")[:2]
    return author, int(number)


def dumped(text, name="away"):
    """How often a session has each message, by name and number: those that wait, and those that a start brings to it from another shard."""
    found, is_there = {}, False
    for line in text.splitlines():
        one = json.loads(line)
        messages = []
        if one["kind"] == "session" and one["client_id"] == name:
            is_there = True
            messages = [delivery["message"] for delivery in one["in_flight"] + one["waiting"]]
        elif one["kind"] == "transit":
            messages = [one]
        for message in messages:
            found[key(message)] = found.get(key(message), 0) + 1
    return found, is_there


def read_disk(program, to, publishers, before, subscribed):
    """Reads the store of a disk: what is wrong, if anything is."""
    none = {"lost": 0, "twice": 0, "acknowledged": 0, "came": 0}
    if not (to / "firehose" / "STORE").exists():
        assert before < subscribed, "there is no store"
        return {"check": None, **none}
    check = run(program, "store", "check", to, is_checked=False).returncode
    done = run(program, "store", "dump", to, "--json", is_checked=False)
    assert done.returncode == 0, done.stderr
    if before < subscribed:
        return {"check": check, **none}
    found, is_there = dumped(done.stdout)
    assert is_there, "the session is not there"
    return {"check": check, **verdict(publishers, found, before)}


class Sums:
    """What came of all disks."""

    def __init__(self):
        self.sums = {"starts": 0, "failed": 0, "damaged": 0, "lost": 0, "twice": 0, "acknowledged": 0, "cut": 0}
        self.lock = threading.Lock()

    def add(self, where, attempt):
        """Adds what an attempt says, or that it failed."""
        try:
            one = attempt()
        except Exception as error:
            with self.lock:
                self.sums["failed"] += 1
                print(json.dumps({**where, "failed": str(error)[-400:]}), flush=True)
            return
        with self.lock:
            self.sums["starts"] += 1
            self.sums["damaged"] += one["check"] == 2
            self.sums["cut"] += one["check"] == 1
            for name in ("lost", "twice", "acknowledged"):
                self.sums[name] += one[name]
            if one["lost"] or one["twice"] or one["check"] == 2:
                print(json.dumps({**where, **one}), flush=True)


class Beside:
    """Disks that are read side by side, so many at once."""

    def __init__(self, most):
        self.pool = concurrent.futures.ThreadPoolExecutor(most)
        self.free = threading.Semaphore(2 * most)

    def run(self, to, attempt):
        """Carries out an attempt on a disk, which is removed behind it."""
        self.free.acquire()

        def whole():
            try:
                attempt()
            finally:
                shutil.rmtree(to, ignore_errors=True)
                self.free.release()

        self.pool.submit(whole)

    def wait(self):
        self.pool.shutdown()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/dev/shm"))
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--most", type=int, default=60, help="flushes that are tried, spread over all")
    parser.add_argument("--every", action="store_true", help="each flush, read by `store check` and `store dump` instead of a start")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lie", action="store_true", help="every third sync of a file does nothing: this has to be found")
    options = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="firehose-power-", dir=options.work))
    chance = random.Random(options.seed)
    try:
        path, publishers = record(options.program, work, options.seconds)
        first = min(at for one in publishers for _, at in one.acked)
        flushes = sum(one[1] in ("fsync", "fsyncdir") for one in read(path))
        # Those of the start are as many as those of its end; the others are many.
        tried = set(range(min(flushes, options.most // 2))) | {chance.randrange(flushes) for _ in range(options.most // 2)}
        if options.every:
            tried = set(range(flushes))
        image, number, sums, beside = Image(work / "image"), -1, Sums(), Beside(2 if options.every else 1)
        last = 0
        for moment, *operation in read(path):
            if operation[0] in ("fsync", "fsyncdir"):
                number += 1
                for way in (None, chance) if number in tried else ():
                    to = work / f"disk-{number}-{bool(way)}"
                    image.disk(to, way)

                    # Whoever had an answer before this flush was answered because of those before it.
                    def attempt(to=to, before=last, where={"flush": number, "way": bool(way)}):
                        of = (publishers, before, first)
                        if options.every:
                            sums.add(where, lambda: read_disk(options.program, to, *of))
                        else:
                            sums.add(where, lambda: try_disk(options.program, work, to, *of))

                    beside.run(to, attempt)
            is_lie = options.lie and operation[0] == "fsync" and number % 3 == 0
            if not is_lie:
                image.take(operation)
            last = moment
        beside.wait()
        print(json.dumps({"scenario": "power", "flushes": flushes, "tried": len(tried), "seed": options.seed, **sums.sums}))
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
