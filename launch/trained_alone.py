"""Architectures that are trained alone, in threads beside the caller; each result is on disk at once.

Small networks leave most of a processor idle, as their operations are too short to be shared among its cores. Two
trainings in two threads, which run the same compiled program, take as long as one: 2.0 times the throughput on two
cores, and each gives what it gives by itself, to the bit. For the same reason what is known early is trained while the
caller does something else that leaves cores idle, such as training shared weights.
"""

import contextlib
import json
import os
import pathlib
import threading
from collections.abc import Iterable
from concurrent import futures
from typing import NamedTuple

import jax
import numpy as np

from common import types
from common.records import locks, progress, run_dir


class Training(NamedTuple):
    """One training of an architecture.

    Attributes:
      arch: the row.
      number: which of its trainings; each has first weights of its own.
      part: the images on which its accuracy is measured, "validation" or "test".
    """

    arch: tuple[int, ...]
    number: int
    part: str


def default_num_threads() -> int:
    """Returns one per processor core of this process on a CPU, and one on an accelerator."""
    if jax.default_backend() != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Trainings:
    """Trainings of one evaluator, in threads and on disk. Use it in a `with` statement.

    The caller is one of the threads: it trains as well while it waits for results.
    """

    def __init__(self, path: pathlib.Path, evaluator: types.Evaluator, *, seed: int, num_threads: int = 1):
        """Names what trains, and where results are.

        Args:
          path: the file, JSON, in a folder that is there; it is locked meanwhile.
          evaluator: trains; its protocol is "validation".
          seed: decides first weights and the order of images.
          num_threads: trainings at the same time. Results do not depend on it.
        """
        self._path, self._evaluator, self._seed, self._num_threads = path, evaluator, seed, num_threads
        self._functions = {"validation": evaluator.evaluate, "test": evaluator.test}
        self._lock, self._compiling = threading.Lock(), threading.Lock()
        self._compiled: set[str] = set()  # parts on which one has been measured
        self._futures: dict[Training, futures.Future] = {}
        self._on_result = lambda accuracy: None

    def start(self, trainings: Iterable[Training]) -> None:
        """Trains what is not known yet in the threads that the caller leaves; does nothing where there is but one."""
        if self._pool is None:
            return
        for training in trainings:
            if training not in self._found and training not in self._futures:
                self._futures[training] = self._pool.submit(self._train, training)

    def results(self, trainings: Iterable[Training], *, title: str) -> dict[Training, float]:
        """Returns the accuracy after each training, NaN where it failed; nothing is trained twice.

        Args:
          trainings: which.
          title: of the progress.
        """
        trainings = list(dict.fromkeys(trainings))
        self.start(trainings)
        with progress.Progress(title, total=len(trainings), unit="trainings") as live:

            def show(accuracy):
                done = sum(training in self._found for training in trainings)
                live.update(done, "infeasible" if accuracy is None else f"accuracy {100 * accuracy:.2f} %")

            self._on_result = show
            try:
                for training in trainings:
                    # What has not begun in another thread is taken from it.
                    if training not in self._found and (self._pool is None or self._futures[training].cancel()):
                        self._train(training)
                for training in trainings:
                    if training not in self._found:
                        self._futures[training].result()
            finally:
                self._on_result = lambda accuracy: None
        return {training: np.nan if self._found[training] is None else self._found[training] for training in trainings}

    def _train(self, training):
        if training.part not in self._compiled:
            with self._compiling:  # by itself, as it compiles what the others run
                if training.part not in self._compiled:
                    self._train_one(training)
                    self._compiled.add(training.part)
                    return
        self._train_one(training)

    def _train_one(self, training):
        key = jax.random.fold_in(jax.random.key(self._seed), training.number)
        evaluation = self._functions[training.part](key, np.array([training.arch], np.int32))
        accuracy = float(evaluation.fitness[0]) if evaluation.ok[0] else None
        with self._lock:
            self._found[training] = accuracy
            _write(self._path, self._evaluator, self._found)
            self._on_result(accuracy)

    def __enter__(self):
        """Reads what is there.

        Raises:
          ValueError: the file holds trainings by other settings, or another process is at it.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(locks.hold(self._path.with_suffix(".lock"), what=str(self._path)))
            self._found = _read(self._path, self._evaluator)
            self._pool = None
            if self._num_threads > 1:
                self._pool = futures.ThreadPoolExecutor(self._num_threads - 1)
                stack.callback(self._pool.shutdown, cancel_futures=True)  # waits for those that have begun
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()


def _read(path, evaluator):
    """Returns training -> accuracy, None where it failed."""
    if not path.exists():
        return {}
    record = json.loads(path.read_text())
    if record["trained_as"] != evaluator.name:
        raise ValueError(
            f"{path} holds trainings as {record['trained_as']}, and now it is {evaluator.name}; set --proxy_... as "
            "before, or start in a fresh folder"
        )
    return {Training(tuple(one["arch"]), one["training"], one["part"]): one["accuracy"] for one in record["trainings"]}


def _write(path, evaluator, found):
    trainings = [
        {"arch": training.arch, "training": training.number, "part": training.part, "accuracy": accuracy}
        for training, accuracy in found.items()
    ]
    run_dir.write_json(path, {"trained_as": evaluator.name, "trainings": trainings})
