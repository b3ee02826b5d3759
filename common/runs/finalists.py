"""The best architectures of a search, trained from scratch: each once, with every result on disk, resumable.

Or all for some epochs, and only the best of them for more (`halving`).
"""

import math
import pathlib
import shutil
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from common import one_round, types
from common.evaluators import training as training_evaluator
from common.executors import measuring
from common.records import journal as journals
from common.records import json_files
from common.runs import halving, training_queue

FINALISTS, FINALISTS_JOURNAL = "finalists.json", "finalists.jsonl"
_STATES = "finalists"  # folder of the states of trainings that may continue


class Finalist(NamedTuple):
    """One of the best of a search, trained.

    Attributes:
      arch: the row.
      found: its fitness in the search.
      result: of the training.
      epochs: after which it was dropped, as others were better; None: it was trained in full.
      description: of the architecture, for people.
    """

    arch: tuple[int, ...]
    found: float
    result: training_queue.Result
    epochs: int | None = None
    description: str = ""


def rerank(
    evaluator: types.Evaluator,
    archs: np.ndarray,
    fitness: np.ndarray,
    folder: pathlib.Path,
    *,
    seed: int,
    stops: Sequence[int | None] = (None,),
    factor: int | None = None,
) -> list[Finalist]:
    """Trains the best few of a search on shared weights; results are in `FINALISTS`.

    Args:
      evaluator: for more than one stop see `training.until`.
      archs: int32[R, L].
      fitness: float32[R], on shared weights.
      seed: determines initial parameters and the order of images.
      stops: epochs after which the finalists are compared and the best continue, ascending; None: all.
      factor: one of so many continues.

    Returns:
      The finalists, in the order of `archs`, each with the result of its longest training; then those of earlier
      starts, which may have had more.

    Raises:
      ValueError: the file holds finalists that were trained with other settings.
    """
    shared = dict(zip(map(tuple, archs.tolist()), fitness.tolist(), strict=True))

    def to_row(training, fitness):
        row = {"arch": training.arch, "shared_weights": shared[training.arch], "trained": fitness}
        return row if training.epochs is None else row | {"epochs": training.epochs}

    def from_row(row):
        training = training_queue.Training(tuple(row["arch"]), epochs=row.get("epochs"))
        shared.setdefault(training.arch, row["shared_weights"])
        return training, row["trained"]

    shape = {"arch": [int], "shared_weights": training_queue.NUMBER_OR_NULL, "trained": training_queue.NUMBER_OR_NULL}
    shape["epochs?"] = int
    known, write = training_queue.json_rows(folder / FINALISTS, evaluator.name, "finalists", shape, to_row, from_row)
    key = jax.random.key(seed)
    states = folder / _STATES / f"{zlib.crc32(evaluator.name.encode()):08x}"  # others with other settings
    if len(stops) > 1:
        states.mkdir(parents=True, exist_ok=True)

    def measure(training):
        evaluate = evaluator.evaluate
        if len(stops) > 1:
            evaluate = training_evaluator.until(evaluator, training.epochs, states)
        return training_queue.measured(evaluate, key, training)

    trainings = training_queue.Trainings(measure, known, write)
    found = dict(known)

    def train(rows, stop):
        if not rows:
            return {}
        title = "finalists" if stop is None else f"finalists to epoch {stop}"
        results = trainings.results([training_queue.Training(row, epochs=stop) for row in rows], title=title)
        found.update(results)
        return {one.arch: result.fitness for one, result in results.items() if np.isfinite(result.fitness)}

    rows = list(shared)  # those of earlier starts included
    halving.successive_halving(train(rows, stops[0]), stops, train, factor)
    shutil.rmtree(folder / _STATES, ignore_errors=True)
    longest = {one.arch: one for one in sorted(found, key=_epochs)}
    return [Finalist(row, shared[row], found[longest[row]], longest[row].epochs) for row in rows]


def best(found: Sequence[Finalist]) -> tuple[int, ...]:
    """Returns the row with the best fitness after the longest training; the first of equal ones, or if all failed."""

    def merit(one):
        is_trained = np.isfinite(one.result.fitness)
        return is_trained, _epochs(one), one.result.fitness if is_trained else 0.0

    return max(found, key=merit).arch


def _epochs(one):
    """Returns the epochs of a training or a finalist, for comparisons."""
    return math.inf if one.epochs is None else one.epochs


def num_trained(folder: pathlib.Path) -> int:
    """Returns the number of finalists that were trained in the folder of a search."""
    if (record := json_files.read(folder / FINALISTS)) is None:
        return 0
    json_files.check(folder / FINALISTS, record, {"finalists": [{"arch": [int], "*": object}]})
    return len({tuple(one["arch"]) for one in record["finalists"]})


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
