"""Trainings of given architectures, each done once: in threads, with every result on disk at once, resumable.

Small networks leave most of a processor idle, as their operations are too short to be split among its cores. Two
trainings in two threads, which run the same compiled program, take as long as one: 2.0 times the throughput on two
cores, with bit-exact results. Hence `Trainings.start`: architectures that are known early train while the caller does
something that leaves cores idle, such as training shared weights.
"""

import contextlib
import os
import pathlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent import futures
from typing import Any, NamedTuple

import chex
import jax
import numpy as np

from common import types
from common.records import json_files, locks, progress, run_dir

NUMBER_OR_NULL = (*json_files.NUMBER, type(None))  # null: the training failed


class Training(NamedTuple):
    """One training of an architecture.

    Attributes:
      arch: the row.
      number: index among its trainings; each has its own initial parameters.
      part: the images that give its fitness, "validation" or "test".
      epochs: after which it stops; None: all.
    """

    arch: tuple[int, ...]
    number: int = 0
    part: str = "validation"
    epochs: int | None = None


class Result(NamedTuple):
    """Result of a training: `fitness` in [0, 1], NaN if it failed, and the `reason` of the failure, if known."""

    fitness: float
    reason: str = ""


class Trainings:
    """Trainings in threads. The caller is one of the threads: while it waits for results it trains as well."""

    def __init__(self, measure, known, write=lambda training, result: None, pool=None):
        """See `opened`: takes the known results, and what trains one and what writes its result."""
        self._measure, self._found, self._write, self._pool = measure, dict(known), write, pool
        self._lock, self._compiling = threading.Lock(), threading.Lock()
        self._compiled: set[str] = set()  # parts for which one training has run
        self._futures: dict[Training, futures.Future] = {}
        self._on_result = lambda result: None

    def start(self, trainings: Iterable[Training]) -> None:
        """Starts trainings without a result in the other threads, if there are any."""
        if self._pool is None:
            return
        for training in trainings:
            if training not in self._found and training not in self._futures:
                self._futures[training] = self._pool.submit(self._train, training)

    def results(self, trainings: Iterable[Training], *, title: str) -> dict[Training, Result]:
        """Returns the result of each training, training those that have none; equal ones count once."""
        trainings = list(dict.fromkeys(trainings))
        self.start(trainings)
        with progress.Progress(title, total=len(trainings), unit="trainings") as live:

            def show(result):
                done = sum(training in self._found for training in trainings)
                live.update(done, f"fitness {100 * result.fitness:.2f} %" if result.fitness >= 0 else "infeasible")

            self._on_result = show
            try:
                for training in trainings:
                    # Trainings that have not begun in another thread are taken from it.
                    if training not in self._found and (self._pool is None or self._futures[training].cancel()):
                        self._train(training)
                for training in trainings:
                    if training not in self._found:
                        self._futures[training].result()
            finally:
                self._on_result = lambda result: None
        return {training: self._found[training] for training in trainings}

    def _train(self, training):
        if training.part not in self._compiled:
            with self._compiling:  # separately, because it compiles the program that the others run
                if training.part not in self._compiled:
                    self._train_one(training)
                    self._compiled.add(training.part)
                    return
        self._train_one(training)

    def _train_one(self, training):
        result = self._measure(training)
        with self._lock:
            self._found[training] = result
            self._write(training, result)
            self._on_result(result)


def default_num_threads() -> int:
    """Returns the default number of trainings at a time: one per processor core on a CPU, one on an accelerator."""
    if jax.default_backend() != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def opened(path: pathlib.Path, evaluator: types.Evaluator, *, seed: int, num_threads: int = 1) -> Iterator[Trainings]:
    """Yields the trainings of an evaluator, whose results are in a JSON file.

    Args:
      path: the file, in a folder that exists; it is locked in the context.
      evaluator: trains; its protocol is "validation".
      seed: determines initial parameters and the order of images, with the number of the training.
      num_threads: trainings at a time. Results do not depend on it.

    Raises:
      ValueError: the file holds trainings with other settings, or another process uses it.
    """

    def to_row(training, fitness):
        return {"arch": training.arch, "training": training.number, "part": training.part, "accuracy": fitness}

    def from_row(row):
        return Training(tuple(row["arch"]), row["training"], row["part"]), row["accuracy"]

    def measure(training):
        key = jax.random.fold_in(jax.random.key(seed), training.number)
        evaluate = evaluator.test if training.part == "test" else evaluator.evaluate
        return measured(evaluate, key, training)

    with contextlib.ExitStack() as stack:
        stack.enter_context(locks.hold(path.with_suffix(".lock"), what=str(path)))
        shape = {"arch": [int], "training": int, "part": str, "accuracy": NUMBER_OR_NULL}
        known, write = json_rows(path, evaluator.name, "trainings", shape, to_row, from_row)
        pool = None
        if num_threads > 1:
            pool = futures.ThreadPoolExecutor(num_threads - 1)
            stack.callback(pool.shutdown, cancel_futures=True)  # waits for those that have begun
        yield Trainings(measure, known, write, pool)


def measured(evaluate: Callable[..., types.Evaluation], key: chex.PRNGKey, training: Training) -> Result:
    """Returns the result of a training by an evaluator."""
    evaluation = evaluate(key, np.array([training.arch], np.int32))
    if evaluation.ok[0]:
        return Result(float(evaluation.fitness[0]))
    return Result(np.nan, evaluation.reasons[0] if evaluation.reasons else "")


def json_rows(
    path: pathlib.Path,
    trained_as: str,
    name: str,
    shape: Mapping[str, Any],
    to_row: Callable[[Training, float | None], Mapping[str, Any]],
    from_row: Callable[[Mapping[str, Any]], tuple[Training, float | None]],
) -> tuple[dict[Training, Result], Callable[[Training, Result], None]]:
    """Returns (training -> result of the rows under `name` in a JSON file, the function that adds one).

    Raises:
      ValueError: the file is damaged, or of trainings with other settings than `trained_as`.
    """
    rows = []
    if path.exists():
        record = json_files.read(path)
        json_files.check(path, record, {"trained_as": str, name: [shape]})
        if record["trained_as"] != trained_as:
            old, new = ([*text.replace("/", ",").split(",")] for text in (record["trained_as"], trained_as))
            was, now = ([item.strip() for item in one if item not in other] for one, other in ((old, new), (new, old)))
            raise ValueError(
                f"{path} holds trainings with {', '.join(was) or 'fewer settings'}, not {', '.join(now) or 'those'}; "
                "restore the settings, remove the file, or start in a fresh folder"
            )
        rows = record[name]
    known = dict(map(from_row, rows))

    def write(training, result):
        known[training] = result.fitness if np.isfinite(result.fitness) else None
        run_dir.write_json(path, {"trained_as": trained_as, name: [to_row(*one) for one in known.items()]})

    return {one: Result(np.nan if value is None else value) for one, value in known.items()}, write
