"""Searches on simulated clusters of 10, 100 or 1,000 workers, from recorded training times. Nothing is trained.

NAS-Bench-201 records how long each of its architectures trained (200 epochs); simulated workers are busy that long, on
a clock that jumps from event to event. The searches are real: LaNAS proposes, the table answers. Both modes have the
same budget. A synchronous round has one architecture per worker, an asynchronous one a twentieth of that.

    python -m benchmarks.simulated_cluster --data_dir=FOLDER
"""

import collections
import heapq
import os
import time
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from absl import app, flags

import lanas_jax.search
from common import history as history_lib
from common import search, types
from common.evaluators import benchmark
from common.executors import inline

DATASETS = ("cifar10", "cifar100", "imagenet16")
_HOUR = 3600.0


class Run(NamedTuple):
    """Measurements of one search.

    Attributes:
      hours: from the start to the last result.
      idle: idle fraction of the workers' time.
      regret: simple regret of the validation accuracy, in percentage points.
      hours_to_top: until one of the table's 10 best was evaluated; NaN if none was.
      driver_seconds: real time of the search, including simulation and compilation.
    """

    hours: float
    idle: float
    regret: float
    hours_to_top: float
    driver_seconds: float


class Cluster:
    """Executor with a simulated clock: an evaluation takes as long as its recorded training.

    Attributes:
      now: seconds since the start.
      busy: total seconds of work of all workers.
      finished: row of the history -> time of its result.
    """

    def __init__(self, evaluator: types.Evaluator, num_workers: int):
        """Takes a table with costs."""
        self.now, self.busy = 0.0, 0.0
        self.finished: dict[int, float] = {}
        self._table, self._num_workers = inline.make(evaluator), num_workers
        self._waiting: collections.deque[types.Outcome] = collections.deque()
        self._at_work: list[tuple[float, types.Outcome]] = []

    def executor(self) -> types.Executor:
        """Returns the executor."""
        return types.Executor(num_workers=self._num_workers, submit=self._submit, collect=self._collect)

    def _submit(self, candidates):
        self._table.submit(candidates)
        self._waiting += self._table.collect()
        self._hand_out()

    def _hand_out(self):
        while self._waiting and len(self._at_work) < self._num_workers:
            outcome = self._waiting.popleft()
            self.busy += outcome.cost
            heapq.heappush(self._at_work, (self.now + outcome.cost, outcome))

    def _collect(self):
        self.now, outcome = heapq.heappop(self._at_work)
        self.finished[outcome.at] = self.now
        self._hand_out()
        return [outcome]


def _define_flags():
    flags.DEFINE_string(
        "data_dir", os.environ.get("NAS_DATA_DIR"), "folder of the benchmark's file; else $NAS_DATA_DIR"
    )
    flags.DEFINE_enum("dataset", "cifar10", DATASETS, "whose accuracies and training times")
    flags.DEFINE_multi_integer("num_workers", [10, 100, 1000], "workers; repeat for several")
    flags.DEFINE_integer("budget", 3000, "measurements of a search")
    flags.DEFINE_integer("num_seeds", 3, "searches of each kind")


def main(argv: Sequence[str]) -> None:
    """Simulates the searches that the flags name and prints a table."""
    del argv
    args = flags.FLAGS
    evaluator = benchmark.evaluator("nasbench201", dataset=args.dataset, data_dir=args.data_dir)
    searcher = lanas_jax.search.searcher(evaluator.space)
    hours = np.asarray(everything(evaluator).cost) / _HOUR
    print(
        f"nasbench201/{args.dataset}: training takes {np.median(hours):.2f} h (median), from {hours.min():.2f} to "
        f"{hours.max():.2f} h; {args.budget} measurements, LaNAS, "
        f"{args.num_seeds} seeds: mean"
    )
    print(
        f"{'workers':>8} {'mode':>13} {'wall h':>9} {'idle':>7} {'regret':>8} {'h to top 10':>12} "
        f"{'found':>6} {'driver s':>9}"
    )
    for num_workers in args.num_workers:
        for mode in search.MODES:
            runs = [
                simulate(searcher, evaluator, num_workers=num_workers, mode=mode, budget=args.budget, seed=seed)
                for seed in range(args.num_seeds)
            ]
            num_found = sum(np.isfinite(run.hours_to_top) for run in runs)
            mean = Run(*(np.nanmean(values) if num_found else np.mean(values) for values in zip(*runs)))
            print(
                f"{num_workers:8d} {mode:>13} {mean.hours:9.1f} {100 * mean.idle:6.1f}% {mean.regret:8.3f} "
                f"{mean.hours_to_top:12.1f} {f'{num_found}/{len(runs)}':>6} {mean.driver_seconds:9.1f}",
                flush=True,
            )


def everything(evaluator: types.Evaluator) -> types.Evaluation:
    """Returns a table's evaluation of all architectures of its space."""
    return jax.jit(evaluator.evaluate)(jax.random.key(0), evaluator.space.enumerate())


def simulate(
    searcher: types.Searcher, evaluator: types.Evaluator, *, num_workers: int, mode: str, budget: int, seed: int
) -> Run:
    """Runs one search on a simulated cluster.

    Args:
      searcher: the algorithm.
      evaluator: the table.
      num_workers: of the cluster.
      mode: one of `search.MODES`.
      budget: number of evaluations.
      seed: of the search.
    """
    cluster = Cluster(evaluator, num_workers)
    # An asynchronous round is as large as the share of the workers that it may wait for: a twentieth.
    count = num_workers if mode == "synchronous" else max(1, num_workers // 20)
    start = time.perf_counter()
    history = search.run_search(
        jax.random.key(seed), searcher, evaluator, budget=budget, count=count, mode=mode, executor=cluster.executor()
    )
    driver_seconds = time.perf_counter() - start
    fitness = np.asarray(history.fitness)
    tenth = np.sort(np.asarray(everything(evaluator).fitness))[-10]
    top = [cluster.finished[at] for at in np.flatnonzero(fitness >= tenth)]
    _, best = history_lib.best(history)
    return Run(
        hours=cluster.now / _HOUR,
        idle=1 - cluster.busy / (num_workers * cluster.now),
        regret=100 * (evaluator.optimum - float(best)),
        hours_to_top=min(top) / _HOUR if top else float("nan"),
        driver_seconds=driver_seconds,
    )


if __name__ == "__main__":
    _define_flags()
    app.run(main)
