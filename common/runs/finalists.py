"""Trainings of given architectures, each done once: in threads, with every result on disk at once, resumable.

Small networks leave most of a processor idle, as their operations are too short to be split among its cores. Two
trainings in two threads, which run the same compiled program, take as long as one: 2.0 times the throughput on two
cores, with bit-exact results. Hence `Trainings.start`: what is known early trains while
the caller does something that leaves cores idle, such as training shared weights.
"""

import contextlib
import os
import pathlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent import futures
from typing import Any, NamedTuple

import jax
import numpy as np

from common import one_round, types
from common.executors import measuring
from common.records import journal as journals
from common.records import json_files, locks, progress, run_dir

FINALISTS, FINALISTS_JOURNAL = "finalists.json", "finalists.jsonl"
_MAYBE = (*json_files.NUMBER, type(None))  # a number, null where a training failed


class Training(NamedTuple):
    """One training of an architecture.

    Attributes:
      arch: the row.
      number: index among its trainings; each has its own initial parameters.
      part: the images that give its fitness, "validation" or "test".
    """

    arch: tuple[int, ...]
    number: int = 0
    part: str = "validation"


class Result(NamedTuple):
    """Result of a training: `fitness` in [0, 1], NaN if it failed, and the `reason` of the failure, if known."""

    fitness: float
    reason: str = ""


class Finalist(NamedTuple):
    """One of the best of a search, trained: its row, its fitness in the search, and the result of the training."""

    arch: tuple[int, ...]
    found: float
    result: Result


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
        """Returns the result of each training, training those that have none.

        Args:
          trainings: the trainings; equal ones count once.
          title: of the progress line.
        """
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
        return _measured(evaluate, key, training)

    with contextlib.ExitStack() as stack:
        stack.enter_context(locks.hold(path.with_suffix(".lock"), what=str(path)))
        shape = {"arch": [int], "training": int, "part": str, "accuracy": _MAYBE}
        known, write = _json_rows(path, evaluator.name, "trainings", shape, to_row, from_row)
        pool = None
        if num_threads > 1:
            pool = futures.ThreadPoolExecutor(num_threads - 1)
            stack.callback(pool.shutdown, cancel_futures=True)  # waits for those that have begun
        yield Trainings(measure, known, write, pool)


def rerank(
    evaluator: types.Evaluator, archs: np.ndarray, fitness: np.ndarray, folder: pathlib.Path, *, seed: int
) -> list[Finalist]:
    """Trains the best few of a search on shared weights; results are in `FINALISTS`.

    Args:
      evaluator: trains.
      archs: int32[R, L].
      fitness: float32[R], on shared weights.
      folder: of the run.
      seed: determines initial parameters and the order of images.

    Returns:
      The finalists, in the order of `archs`; then those of earlier starts, which may have had more.

    Raises:
      ValueError: the file holds finalists that were trained with other settings.
    """
    trainings = [Training(tuple(arch)) for arch in archs.tolist()]
    shared = dict(zip(trainings, fitness.tolist(), strict=True))

    def to_row(training, fitness):
        return {"arch": training.arch, "shared_weights": shared[training], "trained": fitness}

    def from_row(row):
        training = Training(tuple(row["arch"]))
        shared.setdefault(training, row["shared_weights"])
        return training, row["trained"]

    shape = {"arch": [int], "shared_weights": _MAYBE, "trained": _MAYBE}
    known, write = _json_rows(folder / FINALISTS, evaluator.name, "finalists", shape, to_row, from_row)
    key = jax.random.key(seed)
    found = Trainings(lambda training: _measured(evaluator.evaluate, key, training), known, write)
    results = found.results([*trainings, *known], title="finalists")
    return [Finalist(training.arch, shared[training], result) for training, result in results.items()]


def num_trained(folder: pathlib.Path) -> int:
    """Returns the number of finalists that were trained in the folder of a search."""
    if (record := json_files.read(folder / FINALISTS)) is None:
        return 0
    json_files.check(folder / FINALISTS, record, {"finalists": list})
    return len(record["finalists"])


def rerank_journaled(
    evaluator: types.Evaluator, archs: np.ndarray, folder: pathlib.Path, *, header: Mapping[str, Any], seed: int
) -> dict[tuple[int, ...], Result]:
    """Trains the best few of a search; results are in the journal `FINALISTS_JOURNAL`.

    Args:
      evaluator: trains.
      archs: int32[R, L].
      folder: of the run.
      header: of the journal: the settings of the trainings.
      seed: determines initial parameters and the order of the data, with the architecture.

    Returns:
      The results by row, in the order of `archs`; then those of earlier starts, which may have had others.

    Raises:
      ValueError: the journal holds finalists that were trained with other settings.
    """
    wanted = [tuple(arch) for arch in archs.tolist()]
    with journals.open_journal(folder / FINALISTS_JOURNAL, header) as journal:
        rows = [tuple(arch) for proposed in journal.proposed.values() for arch in proposed.tolist()]
        if new := [arch for arch in wanted if arch not in rows]:
            journal.write_proposed(len(journal.proposed), np.array(new, np.int32))
            rows += new
        if not rows:
            return {}
        candidates = one_round.candidates(jax.random.key(seed), range(len(rows)), np.array(rows, np.int32))

        def measure(training):
            outcome = measuring.measure_on_host(evaluator.evaluate, candidates[rows.index(training.arch)])
            journal.write_measured([outcome])
            return _result(outcome)

        known = {Training(rows[at]): _result(outcome) for at, outcome in journal.measured.items()}
        trainings = [*map(Training, wanted), *known]
        found = Trainings(measure, known).results(trainings, title="finalists")
        return {training.arch: result for training, result in found.items()}


def _measured(evaluate, key, training):
    evaluation = evaluate(key, np.array([training.arch], np.int32))
    if evaluation.ok[0]:
        return Result(float(evaluation.fitness[0]))
    return Result(np.nan, evaluation.reasons[0] if evaluation.reasons else "")


def _result(outcome):
    return Result(outcome.fitness if outcome.ok else np.nan, outcome.reason)


def _json_rows(path, trained_as, name, shape, to_row, from_row):
    """Returns (training -> result of the rows under `name` in a JSON file, the function that adds one)."""
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
