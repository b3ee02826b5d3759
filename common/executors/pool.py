"""Worker pool of the executors with several workers.

Candidates are assigned to free workers in order. A lost worker is replaced and its candidate retried, up to
`max_retries` times; a worker that exceeds the time-out is stopped, and its candidate is infeasible. The clock of a
candidate starts when a ready worker takes it. A `Backend` starts workers, communicates with them and stops them.

A candidate that takes longer than `copy_after` may be evaluated by a second worker that is idle. The first result
counts, and the other worker is stopped; losing one of the two is not a failure.
"""

import collections
import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from absl import logging

from common import types
from common.executors import config as config_lib
from common.executors import measuring

_SECONDS_BETWEEN_WARNINGS = 60.0


class Ready(NamedTuple):
    """The worker has built its evaluator."""


class Broken(NamedTuple):
    """The worker cannot build its evaluator, nor could another one."""

    reason: str


class Lost(NamedTuple):
    """The worker has ended unexpectedly."""

    reason: str


Event = Ready | Broken | Lost | types.Outcome


class Backend(NamedTuple):
    """Worker backend interface. A handle stands for one worker.

    Attributes:
      start: slot -> handle, without waiting for the worker to be ready.
      send: (handle, candidate) -> None; the loss of a worker is reported by `wait`.
      wait: (handles, seconds or None) -> [(handle, event)]; returns as soon as there is an event.
      stop: (handle, is_idle) -> None; an idle worker may shut down cleanly.
    """

    start: Callable[[int], Any]
    send: Callable[[Any, types.Candidate], None]
    wait: Callable[[list[Any], float | None], list[tuple[Any, Event]]]
    stop: Callable[[Any, bool], None]


@contextlib.contextmanager
def executor(
    backend: Backend, config: config_lib.Config, *, num_workers: int, clock: Callable[[], float] = time.monotonic
) -> Iterator[types.Executor]:
    """Yields an executor with up to `num_workers` workers, which start on demand and are stopped at exit."""
    pool = _Pool(backend, config, num_workers, clock)
    try:
        yield types.Executor(num_workers=num_workers, submit=pool.submit, collect=pool.collect)
    finally:
        pool.stop()


class _Worker:
    """A worker and its candidate."""

    def __init__(self, handle):
        self.handle = handle
        self.is_ready = False
        self.candidate: types.Candidate | None = None
        self.since = 0.0
        self.deadline: float | None = None
        self.num_measured = 0


class _Pool:
    def __init__(self, backend, config, num_workers, clock):
        self._backend, self._config, self._clock = backend, config, clock
        self._slots: list[_Worker | None] = [None] * num_workers
        self._waiting: collections.deque[types.Candidate] = collections.deque()
        self._num_losses: collections.Counter[int] = collections.Counter()  # of the worker, by candidate
        self._num_failed_starts = 0  # since a worker was last ready
        self._next_warning = clock() + _SECONDS_BETWEEN_WARNINGS

    def submit(self, candidates):
        self._waiting.extend(candidates)
        self._hand_out()

    def collect(self):
        while self._waiting or any(worker and worker.candidate for worker in self._slots):
            self._hand_out()
            outcomes = self._expire()
            if outcomes:
                return outcomes
            workers = [worker for worker in self._slots if worker is not None]
            seconds = self._seconds_left(workers)
            for handle, event in self._backend.wait([worker.handle for worker in workers], seconds):
                slots = [at for at, worker in enumerate(self._slots) if worker and worker.handle is handle]
                for slot in slots:  # none, if it was stopped because of another event of this batch
                    outcomes += self._take(slot, event)
            if outcomes:
                self._hand_out()
                return outcomes
        return []

    def stop(self):
        for slot, worker in enumerate(self._slots):
            if worker is not None:
                self._stop(slot)

    def _hand_out(self):
        """Assigns waiting candidates to ready workers, and starts as many workers as the rest can use."""
        for worker in self._idle():
            if self._waiting:
                self._send(worker, self._waiting.popleft())
            elif slow := self._slow(self._clock()):
                logging.warning("The evaluation of row %d is slow; a second worker starts it.", slow[0].candidate.at)
                self._send(worker, slow[0].candidate)
        num_starting = sum(worker is not None and not worker.is_ready for worker in self._slots)
        free = [slot for slot, worker in enumerate(self._slots) if worker is None]
        for slot in free[: max(0, len(self._waiting) - num_starting)]:
            self._slots[slot] = _Worker(self._backend.start(slot))

    def _send(self, worker, candidate):
        worker.candidate, worker.since = candidate, self._clock()
        if self._config.candidate_timeout is not None:
            worker.deadline = worker.since + self._config.candidate_timeout
        self._backend.send(worker.handle, candidate)

    def _idle(self):
        return [worker for worker in self._slots if worker and worker.is_ready and worker.candidate is None]

    def _at_work_on(self, at):
        """The slots of the workers that evaluate a row of the history."""
        found = [(slot, worker.candidate) for slot, worker in enumerate(self._slots) if worker]
        return [slot for slot, candidate in found if candidate is not None and candidate.at == at]

    def _slow(self, now):
        """The workers whose candidates may be started a second time at `now`, the slowest first."""
        if self._config.copy_after is None:
            return []
        slow = [worker for worker in self._slots if worker and worker.candidate is not None]
        slow = [worker for worker in slow if worker.since + self._config.copy_after <= now]
        slow = [worker for worker in slow if len(self._at_work_on(worker.candidate.at)) == 1]
        return sorted(slow, key=lambda worker: worker.since)

    def _take(self, slot, event):
        """Handles an event of a worker and returns the resulting outcomes."""
        worker = self._slots[slot]
        if isinstance(event, Ready):
            worker.is_ready, self._num_failed_starts = True, 0
            return []
        if isinstance(event, Broken):
            raise ValueError(f"a worker cannot build the evaluator: {event.reason}")
        if isinstance(event, Lost):
            return self._lose(slot, event.reason)
        worker.candidate, worker.deadline = None, None
        worker.num_measured += 1
        for other in self._at_work_on(event.at):
            self._stop(other)
        if worker.num_measured == self._config.recycle_after:
            self._stop(slot)
        return [event]

    def _lose(self, slot, reason):
        worker = self._slots[slot]
        self._stop(slot)
        if not worker.is_ready:
            self._num_failed_starts += 1
            if self._num_failed_starts > self._config.max_retries + len(self._slots):
                raise ValueError(f"no worker could start: {reason}")
            logging.warning("A worker was lost before it was ready (%s); starting another.", reason)
            return []
        if worker.candidate is None:
            logging.warning("An idle worker was lost (%s).", reason)
            return []
        at = worker.candidate.at
        if self._at_work_on(at):
            logging.warning("One of two workers on row %d was lost (%s).", at, reason)
            return []
        self._num_losses[at] += 1
        times = self._num_losses[at]
        if times > self._config.max_retries:
            reason = reason if times == 1 else f"{reason}; tried {times} times"
            logging.warning("The evaluation of row %d failed: %s.", at, reason)
            return [measuring.failed(at, reason)]
        logging.warning("The evaluation of row %d is retried: %s.", at, reason)
        self._waiting.appendleft(worker.candidate)
        return []

    def _expire(self):
        """Stops the workers past their deadline; returns the outcomes of their candidates."""
        now, outcomes = self._clock(), []
        for slot, worker in enumerate(self._slots):
            if worker and worker.deadline is not None and worker.deadline <= now:
                seconds = f"{self._config.candidate_timeout:g}"
                logging.warning("The evaluation of row %d was stopped after %s s.", worker.candidate.at, seconds)
                self._stop(slot)
                if not self._at_work_on(worker.candidate.at):
                    outcomes.append(measuring.failed(worker.candidate.at, f"timed out after {seconds} s"))
        return outcomes

    def _seconds_left(self, workers):
        """Maximum seconds to wait for an event; None: unlimited."""
        now = self._clock()
        limits = [worker.deadline for worker in workers if worker.deadline is not None]
        if self._idle():
            limits += [worker.since + self._config.copy_after for worker in self._slow(math.inf)]
        if not any(worker.is_ready for worker in workers):
            if now >= self._next_warning:
                logging.warning("%d workers are starting and none is ready yet.", len(workers))
                self._next_warning = now + _SECONDS_BETWEEN_WARNINGS
            limits.append(self._next_warning)
        return max(0.0, min(limits) - now) if limits else None

    def _stop(self, slot):
        worker, self._slots[slot] = self._slots[slot], None
        self._backend.stop(worker.handle, worker.is_ready and worker.candidate is None)
