"""The best architectures of a search, trained from scratch: each once, with every result on disk, resumable."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from common import one_round, types
from common.executors import measuring
from common.records import journal as journals
from common.records import json_files
from common.runs import training_queue

FINALISTS, FINALISTS_JOURNAL = "finalists.json", "finalists.jsonl"


class Finalist(NamedTuple):
    """One of the best of a search, trained: its row, its fitness in the search, and the result of the training."""

    arch: tuple[int, ...]
    found: float
    result: training_queue.Result


def rerank(
    evaluator: types.Evaluator, archs: np.ndarray, fitness: np.ndarray, folder: pathlib.Path, *, seed: int
) -> list[Finalist]:
    """Trains the best few of a search on shared weights; results are in `FINALISTS`.

    Args:
      archs: int32[R, L].
      fitness: float32[R], on shared weights.
      seed: determines initial parameters and the order of images.

    Returns:
      The finalists, in the order of `archs`; then those of earlier starts, which may have had more.

    Raises:
      ValueError: the file holds finalists that were trained with other settings.
    """
    wanted = [training_queue.Training(tuple(arch)) for arch in archs.tolist()]
    shared = dict(zip(wanted, fitness.tolist(), strict=True))

    def to_row(training, fitness):
        return {"arch": training.arch, "shared_weights": shared[training], "trained": fitness}

    def from_row(row):
        training = training_queue.Training(tuple(row["arch"]))
        shared.setdefault(training, row["shared_weights"])
        return training, row["trained"]

    shape = {"arch": [int], "shared_weights": training_queue.NUMBER_OR_NULL, "trained": training_queue.NUMBER_OR_NULL}
    known, write = training_queue.json_rows(folder / FINALISTS, evaluator.name, "finalists", shape, to_row, from_row)
    key = jax.random.key(seed)
    found = training_queue.Trainings(
        lambda training: training_queue.measured(evaluator.evaluate, key, training), known, write
    )
    results = found.results([*wanted, *known], title="finalists")
    return [Finalist(training.arch, shared[training], result) for training, result in results.items()]


def best(found: Sequence[Finalist]) -> tuple[int, ...]:
    """Returns the row with the best fitness after training; the first of equal ones, or if all failed."""
    return max(found, key=lambda one: np.nan_to_num(one.result.fitness, nan=-1.0)).arch


def num_trained(folder: pathlib.Path) -> int:
    """Returns the number of finalists that were trained in the folder of a search."""
    if (record := json_files.read(folder / FINALISTS)) is None:
        return 0
    json_files.check(folder / FINALISTS, record, {"finalists": list})
    return len(record["finalists"])


def rerank_journaled(
    evaluator: types.Evaluator, archs: np.ndarray, folder: pathlib.Path, *, header: Mapping[str, Any], seed: int
) -> dict[tuple[int, ...], training_queue.Result]:
    """Trains the best few of a search; results are in the journal `FINALISTS_JOURNAL`.

    Args:
      archs: int32[R, L].
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

        known = {training_queue.Training(rows[at]): _result(outcome) for at, outcome in journal.measured.items()}
        each = [*map(training_queue.Training, wanted), *known]
        found = training_queue.Trainings(measure, known).results(each, title="finalists")
        return {training.arch: result for training, result in found.items()}


def _result(outcome):
    return training_queue.Result(outcome.fitness if outcome.ok else np.nan, outcome.reason)
