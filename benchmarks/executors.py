"""Overhead of the driver and the executors: time per candidate with 1,000 open, and trivial candidates per second.

Driver: an asynchronous random search on NAS-Bench-201's space, whose 1,000 simulated workers answer immediately, one at
a time, so that all of the time is the driver's: proposals, the journal on disk, the history. The cost of the journal is
the difference to a search whose journal is in memory.

Executor: table look-ups submitted without a search, to warm workers.

    python -m benchmarks.executors
    python -m benchmarks.executors --executors=ray --num_workers=8
"""

import collections
import os
import pathlib
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from absl import app, flags

from common import baselines, executors, search, spaces, types
from common.evaluators import benchmark, synthetic
from common.executors import config as executor_config
from common.records import journal as journal_lib


class Rate(NamedTuple):
    """Seconds until the first result, and candidates per second after it."""

    start_seconds: float
    per_second: float


def _define_flags():
    flags.DEFINE_integer("num_open", 1000, "candidates open at a time")
    flags.DEFINE_integer("budget", 3000, "evaluations of the search that times the driver")
    flags.DEFINE_multi_enum("executors", list(executors.EXECUTORS), executors.EXECUTORS, "executors to time")
    flags.DEFINE_integer("num_workers", 2, "workers per executor")
    flags.DEFINE_integer("num_candidates", 2000, "candidates per executor")
    flags.DEFINE_string("folder", None, "folder of the journal; default: a temporary one")


def main(argv: Sequence[str]) -> None:
    """Times the driver and the executors that the flags name, and prints the results."""
    del argv
    args = flags.FLAGS
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; jax {jax.__version__}, {jax.default_backend()}")
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for what, path in (("in memory", None), ("on disk", pathlib.Path(folder, "journal.jsonl"))):
            seconds = driver_seconds(args.num_open, args.budget, path)
            median, most = np.median(seconds), np.percentile(seconds, 99)
            print(
                f"driver, {args.num_open} open, journal {what}: {1e3 * median:.2f} ms a candidate (median), "
                f"{1e3 * most:.2f} ms (99th percentile)",
                flush=True,
            )
    for name in args.executors:
        rate = executor_rate(name, num_workers=args.num_workers, num_candidates=args.num_candidates)
        print(
            f"{name}, {args.num_workers} workers: {rate.per_second:,.0f} candidates a second; the first after "
            f"{rate.start_seconds:.1f} s",
            flush=True,
        )


def driver_seconds(num_open: int, budget: int, path: pathlib.Path | None) -> np.ndarray:
    """Returns float[B], seconds of the driver per candidate while `num_open` candidates are open.

    Args:
      num_open: workers of the simulated cluster.
      budget: evaluations of the search, more than `num_open`.
      path: the journal, or None for one in memory.
    """
    if budget <= num_open:
        raise ValueError(f"budget is {budget}; it must be more than num_open, {num_open}")
    space = spaces.get("nasbench201")
    evaluator = synthetic.evaluator(space)
    waiting: collections.deque[types.Candidate] = collections.deque()
    answered = []

    def collect():
        answered.append(time.perf_counter())
        return [types.Outcome(at=waiting.popleft().at, fitness=0.5, cost=1.0, ok=True)]

    journal = journal_lib.Journal() if path is None else journal_lib.open_journal(path, {"benchmark": "executors"})
    with journal:
        search.run_search(
            jax.random.key(0),
            baselines.ALGORITHMS["random"].searcher(space),
            evaluator,
            budget=budget,
            count=1,
            mode="asynchronous",
            executor=types.Executor(num_workers=num_open, submit=waiting.extend, collect=collect),
            journal=journal,
        )
    return np.diff(answered[: budget - num_open + 1])


def executor_rate(name: str, *, num_workers: int, num_candidates: int) -> Rate:
    """Returns the rate of an executor on trivial candidates."""
    evaluator = benchmark.evaluator("digits_convnet")
    archs = evaluator.space.enumerate()
    words = np.asarray(jax.random.key_data(jax.random.split(jax.random.key(0), num_candidates))).tolist()
    candidates = [
        types.Candidate(at, tuple(archs[at % len(archs)].tolist()), tuple(words[at]), "threefry2x32")
        for at in range(num_candidates)
    ]
    config = executor_config.Config(num_workers=num_workers, ray_address="local")
    start = time.perf_counter()
    with executors.EXECUTORS[name](evaluator, config) as executor:
        executor.submit(candidates[:1])
        executor.collect()
        start_seconds = time.perf_counter() - start
        # Every worker is warm before timing starts, and inline has compiled for the batch sizes that follow.
        _measure(executor, candidates)
        start = time.perf_counter()
        _measure(executor, candidates)
        return Rate(start_seconds, num_candidates / (time.perf_counter() - start))


def _measure(executor, candidates):
    executor.submit(candidates)
    num_left = len(candidates)
    while num_left:
        num_left -= len(executor.collect())


if __name__ == "__main__":
    _define_flags()
    app.run(main)
