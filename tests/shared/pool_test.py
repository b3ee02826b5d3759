"""Worker pool with simulated workers, which follow a script for each candidate."""

import collections
import contextlib

import pytest
from absl.testing import parameterized

from common import types
from common.executors import config as configs
from common.executors import pool


def candidates(*rows):
    return [types.Candidate(at=at, arch=(at,), key=(0, at), impl="threefry2x32") for at in rows]


def done(at):
    return types.Outcome(at=at, fitness=0.5, cost=1.0, ok=True)


class Workers:
    """A backend whose clock moves only while it waits.

    Attributes:
      script: row -> what comes of it at each try: (seconds, event); by default it is measured in a second.
      starts: (seconds, event) of each start; by default ready in a second.
      log: (time, event), for the tests.
    """

    def __init__(self, script=None, starts=()):
        self.script = {row: collections.deque(tries) for row, tries in (script or {}).items()}
        self.starts = collections.deque(starts)
        self.now, self.log, self.coming = 0.0, [], {}
        self.num_started = 0

    def backend(self):
        return pool.Backend(start=self.start, send=self.send, wait=self.wait, stop=self.stop)

    def start(self, slot):
        handle = f"{slot}.{self.num_started}"
        self.num_started += 1
        seconds, event = self.starts.popleft() if self.starts else (1.0, pool.Ready())
        self.coming[handle] = (self.now + seconds, event)
        return handle

    def send(self, handle, candidate):
        assert handle not in self.coming, "one thing at a time"
        tries = self.script.get(candidate.at)
        seconds, event = tries.popleft() if tries else (1.0, done(candidate.at))
        self.coming[handle] = (self.now + seconds, event)
        self.log.append((self.now, handle, candidate.at))

    def wait(self, handles, seconds):
        assert handles
        times = [self.coming[handle][0] for handle in handles if handle in self.coming]
        until = min(times, default=float("inf"))
        limit = float("inf") if seconds is None else self.now + seconds
        assert min(until, limit) < 1e6, "this would hang"
        self.now = max(self.now, min(until, limit))
        arrived = [handle for handle in handles if self.coming.get(handle, (float("inf"),))[0] <= self.now]
        return [(handle, self.coming.pop(handle)[1]) for handle in arrived]

    def stop(self, handle, is_idle):
        self.coming.pop(handle, None)
        self.log.append((self.now, handle, "ended" if is_idle else "killed"))


@contextlib.contextmanager
def running(workers, *, num_workers=2, **config):
    made = pool.executor(
        workers.backend(), configs.Config(**config), num_workers=num_workers, clock=lambda: workers.now
    )
    with made as executor:
        yield executor


def collect_all(executor, count):
    outcomes = []
    while len(outcomes) < count:
        came = executor.collect()
        assert came
        outcomes += came
    assert executor.collect() == []
    return outcomes


class PoolTest(parameterized.TestCase):
    def test_in_order_and_side_by_side(self):
        workers = Workers({0: [(5.0, done(0))]})
        with running(workers) as executor:
            executor.submit(candidates(0, 1, 2, 3))
            outcomes = collect_all(executor, 4)
        assert [one.at for one in outcomes] == [1, 2, 3, 0]
        assert [(time, row) for time, _, row in workers.log[:4]] == [(1.0, 0), (1.0, 1), (2.0, 2), (3.0, 3)]
        assert workers.num_started == 2
        assert [what for _, _, what in workers.log[4:]] == ["ended", "ended"]

    def test_no_more_workers_than_there_is_to_do(self):
        workers = Workers()
        with running(workers, num_workers=8) as executor:
            assert (executor.collect(), workers.num_started) == ([], 0)
            executor.submit(candidates(0, 1))
            assert workers.num_started == 2
            collect_all(executor, 2)
            executor.submit(candidates(2, 3))
            collect_all(executor, 2)
        assert workers.num_started == 2

    def test_a_lost_worker_is_replaced_and_its_candidate_comes_next(self):
        workers = Workers({0: [(1.0, pool.Lost("SIGKILL"))]})
        with running(workers, num_workers=1) as executor:
            executor.submit(candidates(0, 1))
            outcomes = collect_all(executor, 2)
        assert (outcomes, workers.num_started) == ([done(0), done(1)], 2)

    @parameterized.parameters((0, "gone"), (2, "gone; tried 3 times"))
    def test_retries_are_bounded(self, max_retries, reason):
        workers = Workers({0: [(1.0, pool.Lost("gone"))] * 9})
        with running(workers, max_retries=max_retries) as executor:
            executor.submit(candidates(0, 1))
            outcomes = {one.at: one for one in collect_all(executor, 2)}
        assert outcomes[1].ok
        assert (outcomes[0].ok, outcomes[0].reason) == (False, reason)
        assert sum(row == 0 for _, _, row in workers.log) == max_retries + 1

    def test_time_out(self):
        workers = Workers({0: [(99.0, done(0))], 1: [(2.5, done(1))]}, starts=[(50.0, pool.Ready())])
        with running(workers, num_workers=1, candidate_timeout=3.0) as executor:
            executor.submit(candidates(0, 1, 2))
            outcomes = collect_all(executor, 3)
        assert [(one.at, one.ok, one.reason) for one in outcomes] == [
            *((0, False, "timed out after 3 s"), (1, True, ""), (2, True, ""))
        ]
        # The clock starts when the worker is ready (at 50), and the next worker needs a second.
        assert [entry for entry in workers.log if entry[2] in (0, 1, "killed")] == [
            *((50.0, "0.0", 0), (53.0, "0.0", "killed"), (54.0, "0.1", 1))
        ]

    def test_a_straggler_holds_up_nobody(self):
        workers = Workers({0: [(1000.0, done(0))]})
        with running(workers) as executor:
            executor.submit(candidates(*range(20)))
            outcomes = collect_all(executor, 20)
        assert [one.at for one in outcomes] == [*range(1, 20), 0]

    def test_recycled(self):
        workers = Workers()
        with running(workers, num_workers=1, recycle_after=2) as executor:
            executor.submit(candidates(*range(5)))
            collect_all(executor, 5)
        handles = [handle for _, handle, row in workers.log if isinstance(row, int)]
        assert handles == ["0.0", "0.0", "0.1", "0.1", "0.2"]

    def test_starts_that_fail(self):
        lost = (1.0, pool.Lost("gone"))
        workers = Workers(starts=[lost, lost])
        with running(workers, num_workers=1) as executor:
            executor.submit(candidates(0))
            assert collect_all(executor, 1) == [done(0)]
        workers = Workers(starts=[lost] * 99)
        with running(workers) as executor:
            executor.submit(candidates(0))
            with pytest.raises(ValueError, match="no worker could start: gone"):
                executor.collect()
        assert workers.num_started < 10
        workers = Workers(starts=[(1.0, pool.Broken("no data at /nowhere"))])
        with running(workers) as executor:
            executor.submit(candidates(0))
            with pytest.raises(ValueError, match="a worker cannot build the evaluator: no data at /nowhere"):
                executor.collect()
        assert not workers.coming, "all workers are stopped"

    def test_a_slow_start_is_told_of(self):
        workers = Workers(starts=[(150.0, pool.Ready())])
        with running(workers, num_workers=1) as executor, self.assertLogs("absl", "WARNING") as logs:
            executor.submit(candidates(0))
            collect_all(executor, 1)
        assert logs.output == ["WARNING:absl:1 workers are starting and none is ready yet."] * 2

    def test_an_idle_worker_that_is_lost_costs_no_try(self):
        workers = Workers()
        with running(workers, max_retries=0) as executor:
            executor.submit(candidates(0, 1))
            collect_all(executor, 2)
            executor.submit(candidates(2))  # goes to the first
            workers.coming["1.1"] = (workers.now + 0.5, pool.Lost("gone"))
            assert collect_all(executor, 1) == [done(2)]


class CopyTest(parameterized.TestCase):
    """Workers are ready after a second; the first takes row 0, the second a copy of it."""

    def run_two(self, *tries, copy_after=5.0, **config):
        workers = Workers({0: list(tries)})
        with running(workers, copy_after=copy_after, **config) as executor:
            executor.submit(candidates(0, 1, 2))
            outcomes = collect_all(executor, 3)
        return workers, {one.at: one for one in outcomes}

    def test_the_first_result_counts(self):
        """Row 0 begins at 1, rows 1 and 2 are done at 3; its copy begins at 6 and is done at 8."""
        workers, outcomes = self.run_two((99.0, done(0)), (2.0, done(0)))
        assert outcomes == {row: done(row) for row in range(3)}
        assert [(time, handle) for time, handle, row in workers.log if row == 0] == [(1.0, "0.0"), (6.0, "1.1")]
        assert (8.0, "0.0", "killed") in workers.log
        assert workers.now == 8.0

    def test_the_first_worker_may_be_first_or_both_at_once(self):
        for seconds in (6.0, 7.0):
            workers, outcomes = self.run_two((seconds, done(0)), (2.0, done(0)))
            assert (outcomes[0], workers.now) == (done(0), seconds + 1)
            assert [what for _, _, what in workers.log[-2:]] == ["killed", "ended"]

    def test_no_copy_of_a_copy_nor_where_others_wait_nor_by_default(self):
        workers, _ = self.run_two((99.0, done(0)), (50.0, done(0)))
        assert sum(row == 0 for _, _, row in workers.log) == 2
        workers, _ = self.run_two((99.0, done(0)), copy_after=None)
        assert sum(row == 0 for _, _, row in workers.log) == 1
        assert workers.now == 100.0
        workers = Workers({0: [(20.0, done(0))]})
        with running(workers, copy_after=5.0) as executor:
            executor.submit(candidates(*range(25)))
            collect_all(executor, 25)
        assert sum(row == 0 for _, _, row in workers.log) == 1

    def test_while_one_of_two_is_at_it_the_loss_of_the_other_is_no_failure(self):
        lost = pool.Lost("gone")
        for first, second in (((20.0, done(0)), (2.0, lost)), ((6.0, lost), (20.0, done(0)))):
            _, outcomes = self.run_two(first, second, max_retries=0)
            assert outcomes[0] == done(0)
        _, outcomes = self.run_two((6.0, lost), (2.0, lost), max_retries=0)
        assert (outcomes[0].ok, outcomes[0].reason) == (False, "gone")

    def test_time_out_of_both(self):
        workers, outcomes = self.run_two((99.0, done(0)), (8.0, done(0)), candidate_timeout=10.0)
        assert outcomes[0] == done(0)
        assert (11.0, "0.0", "killed") in workers.log
        workers, outcomes = self.run_two((99.0, done(0)), (99.0, done(0)), candidate_timeout=10.0)
        assert outcomes[0].reason == "timed out after 10 s"
        assert workers.now >= 16.0


class ConfigTest(parameterized.TestCase):
    def test_an_address_is_given(self):
        with pytest.raises(ValueError, match="ray_address is empty; choose auto, local, or host:port"):
            configs.Config(ray_address="")
