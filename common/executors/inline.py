"""Executor in the process of the search: one evaluation, or one compiled batch, after another."""

import collections
import contextlib
from collections.abc import Iterator

from common import types
from common.executors import config as config_lib
from common.executors import measuring


@contextlib.contextmanager
def executor(evaluator: types.Evaluator, config: config_lib.Config) -> Iterator[types.Executor]:
    """Yields the executor.

    Raises:
      ValueError: a time-out is set, which takes another process to enforce.
    """
    if config.candidate_timeout is not None:
        raise ValueError("executor inline cannot stop an evaluation; choose process or ray for candidate_timeout")
    yield make(evaluator, num_workers=config.num_workers or 1)


def make(evaluator: types.Evaluator, *, num_workers: int = 1) -> types.Executor:
    """Returns the executor.

    A traceable evaluator evaluates all waiting candidates in one compiled call. Others evaluate one architecture at a
    time, so that an interrupted search loses at most one evaluation. The number of workers only changes how far an
    asynchronous search runs ahead.
    """
    waiting: collections.deque[types.Candidate] = collections.deque()
    evaluate = measuring.on_device(evaluator.evaluate) if evaluator.is_traceable else evaluator.evaluate

    def collect():
        if not waiting:
            return []
        if not evaluator.is_traceable:
            # It leaves the queue after its evaluation, so that an interrupt leaves it open.
            outcome = measuring.measure_on_host(evaluate, waiting[0])
            waiting.popleft()
            return [outcome]
        candidates = list(waiting)
        waiting.clear()
        return measuring.measure_traced(evaluate, candidates)

    return types.Executor(num_workers=num_workers, submit=waiting.extend, collect=collect)
