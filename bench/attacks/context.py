"""One attack on one broker: quiet first, then the attack, then quiet again, with everything ended at the end."""

import multiprocessing
import pathlib
import random
import time

import cgroup
import flows
import healthy
import warm
import workers
from broker import Broker, free_port, listening
from doors import Doors
from recorder import Recorder

LOAD_CPUS = {1}
HEALTHY_S = 60
WARM_S = 30


class Context:
    """What an attack is given. It starts jobs, waits, and names phases and events."""

    def __init__(self, options, kind, program, attack, folder):
        self.options, self.kind, self.attack, self.folder = options, kind, attack, pathlib.Path(folder)
        self.seconds, self.seed, self.limit = options.seconds or attack.SECONDS, options.seed, options.limit
        self.scale = options.scale
        self.random = random.Random(options.seed)
        self.counts = workers.Counts()
        self.tasks, self.workers = [], 0
        self.port = options.port or free_port()
        self.group = cgroup.Cgroup(self.limit)
        self.how = self.group.how
        self.broker = self.recorder = self.healthy = None
        self.healthy_result, self.result = {}, {}
        self.doors = self.flows = self.flows_result = None
        self.program = program

    def number(self, full):
        """A size of the attack, scaled."""
        return max(1, int(full * self.scale))

    def spawn(self, job, *args, seconds=None, urgent=False, cpus=None):
        """Runs `job(worker, *args)` in a process. It is over after `seconds`."""
        stop = workers.FORK.Event()
        worker = workers.Worker(self.workers, self.counts.cells, self.counts.row(), stop, self.port, self.seed)
        self.workers += 1
        if seconds is not None:
            worker.until = time.monotonic() + seconds
        task = workers.start(job, worker, multiprocessing.Pipe(), stop, cpus or LOAD_CPUS, urgent, *args)
        self.tasks.append(task)
        return task

    def phase(self, name):
        self.recorder.phase(name)
        self.say(name)

    def say(self, what):
        print(f"  {time.strftime('%H:%M:%S')} {self.attack.NAME} {self.kind}: {what}", flush=True)

    def event(self, what):
        self.recorder.event(what)
        self.say(what)

    def sleep(self, seconds):
        """Waits, unless the broker ends before; whether it lives. Without the healthy clients nothing is measured any more."""
        until = time.monotonic() + seconds
        if self.healthy and not self.healthy.process.is_alive():
            raise RuntimeError("the process of the healthy clients has ended")
        while time.monotonic() < until and self.broker.alive():
            time.sleep(min(0.2, max(0.0, until - time.monotonic())))
        return self.broker.alive()

    def sys(self, name):
        """The last value of a topic below `$SYS/broker/`, or None."""
        return self.recorder.sys.latest.get(name)

    def run(self):
        """All phases. Whatever happens, processes are ended and the group is removed."""
        try:
            self._run()
        finally:
            self._clean()

    def _run(self):
        attack, options = self.attack, self.options
        if listening(self.port):
            raise RuntimeError(f"somebody else listens on port {self.port}: that one would be attacked")
        has_flows = options.flows and self.kind == "firehose"
        doors = None
        if has_flows or getattr(attack, "DOORS", False):
            self.doors = doors = Doors(self.folder, self.port)
        more = getattr(attack, "CONFIG", "") if self.kind == "firehose" else ""
        shards = options.shards or attack.SHARDS
        self.broker = Broker(self.kind, self.program, self.port, self.group, self.folder, shards, more + (doors.lines() if doors else ""),
                             getattr(attack, "BLOCKED_LOG", False))
        self.broker.wait_ready()
        self.recorder = Recorder(self.group, self.broker, workers.Counts())
        self.recorder.phase("start")
        self.recorder.start()
        pipe = self._start_healthy()
        self.recorder.counts = self.counts
        self.spawn(warm.job, seconds=WARM_S).result(WARM_S)
        self.tasks.clear()
        flows_pipe = has_flows and self._start_flows(doors)
        self.phase("quiet")
        self.sleep(options.quiet)
        self.phase("attack")
        try:
            self.result = attack.run(self) or {}
        except OSError as error:  # as a rule the broker has died under it
            self.result = {"interrupted": str(error)}
            self.event(f"interrupted: {error}")
        self.phase("after")
        if self.broker.alive():
            self.sleep(options.after)
        self._end_healthy(pipe)
        if flows_pipe:
            self._end_flows(flows_pipe)
        self.recorder.finish()

    def _start_healthy(self):
        count, rate = self.attack.HEALTHY
        count = max(1, min(count, int(count * max(self.scale, self.options.healthy_scale))))
        here, there = multiprocessing.Pipe()
        stop = workers.FORK.Event()
        self.own_counts = workers.Counts()
        worker = workers.Worker(0, self.own_counts.cells, self.own_counts.row(), stop, self.port, self.seed)
        self.healthy = workers.start(healthy.job, worker, multiprocessing.Pipe(), stop, LOAD_CPUS, True, there, count, rate, 256)
        return expect_ready(here, "healthy clients")

    def _start_flows(self, doors):
        doors.reload_from(self.broker.config)
        here, there = multiprocessing.Pipe()
        stop = workers.FORK.Event()
        worker = workers.Worker(0, self.own_counts.cells, self.own_counts.row(), stop, self.port, self.seed)
        self.flows = workers.start(flows.job, worker, multiprocessing.Pipe(), stop, LOAD_CPUS, False, there, self.options.flows,
                                   doors, self.broker.pid)
        return expect_ready(here, "flows")

    def _end_flows(self, pipe):
        try:
            pipe.send("stop")
        except OSError:
            pass
        self.flows_result = self.flows.result(HEALTHY_S)

    def _end_healthy(self, pipe):
        try:
            pipe.send("stop")
        except OSError:
            pass
        self.healthy_result = self.healthy.result(HEALTHY_S)

    def _clean(self):
        for task in self.tasks + [one for one in (self.healthy, self.flows) if one]:
            task.kill()
        if self.recorder and not self.recorder.ended.is_set():
            self.recorder.finish()
        if self.broker:
            self.broker.stop()
        self.group.close()


def expect_ready(pipe, who):
    """Waits until a process says that its clients are in."""
    if not pipe.poll(HEALTHY_S):
        raise RuntimeError(f"{who} do not get in")
    said = pipe.recv()
    if said != "ready":
        raise RuntimeError(f"{who}: {said}")
    return pipe
