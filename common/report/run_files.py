"""The folder of one search, read: also one that is being written, or was when its search was killed."""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from common import history as history_lib
from common import types
from common.records import journal as journals
from common.records import run_dir
from common.report import json_files, pool_files, training_files, units


class Run(NamedTuple):
    """One search.

    Attributes:
      name: of its folder.
      config: config.json.
      result: result.json; empty while the search has not ended.
      history: what was measured so far, in the order proposed; NumPy arrays. Of a search with a pool that is renewed
        the last pool, best first.
      num_earlier: rows of the history that were measured before the search.
      rounds: the lines of metrics.jsonl.
      budget: measurements asked for.
      is_finished: whether they are all done.
      unit: in which fitness is shown.
      shared: the training of its shared weights, where it trained some.
      blocks: of a search with a pool the scores float32[P] after every block of training; else empty.
      finalists: the best few, trained alone.
    """

    name: str
    config: Mapping[str, Any]
    result: Mapping[str, Any]
    history: history_lib.History
    num_earlier: int
    rounds: list[Mapping[str, Any]]
    budget: int
    is_finished: bool
    unit: units.Unit = units.PERCENT
    shared: training_files.Training | None = None
    blocks: tuple[np.ndarray, ...] = ()
    finalists: tuple[pool_files.Finalist, ...] = ()


def read(folder: pathlib.Path, config: Mapping[str, Any]) -> Run:
    """Returns the search in a folder whose config.json is `config`.

    Raises:
      ValueError: the folder is of something else, the search has measured nothing yet, or a file is damaged.
    """
    if pool_files.is_of_pools(config):
        config = pool_files.completed(config)
    if not {"flags", "benchmark", "space", "algorithm", "seed", "protocol"} <= config.keys():
        raise ValueError(
            f"{folder} is of launch.{config.get('command')}; reports are of searches, trainings and studies"
        )
    blocks, num_earlier = (), 0
    if pool_files.is_of_pools(config):
        history, blocks = pool_files.read(folder)
        budget = int(config["schedule"]["num_blocks"])
        is_done = len(blocks) >= budget
    elif (folder / run_dir.JOURNAL).exists():
        journal = journals.read(folder / run_dir.JOURNAL)
        budget = int(config["flags"]["budget"])
        history, num_earlier = _history(journal, budget)
        is_done = _num_done(history) >= budget + num_earlier
    elif (folder / run_dir.HISTORY).exists():
        history, _ = run_dir.read_history(folder / run_dir.HISTORY)
        budget = len(history.status)
        is_done = _num_done(history) >= budget
    else:
        raise json_files.NothingYetError(f"{folder} has no {run_dir.JOURNAL}: its search has measured nothing yet")
    result = json_files.read(folder / run_dir.RESULT) or {}
    is_finished = bool(result) and is_done
    shared = training_files.read_shared(folder)
    return Run(
        name=folder.resolve().name,
        config=config,
        result=result if is_finished else {},
        history=history,
        num_earlier=num_earlier,
        rounds=json_files.read_lines(folder / run_dir.METRICS) if not blocks else [],
        budget=budget,
        is_finished=is_finished,
        unit=_unit(config, shared),
        shared=shared,
        blocks=blocks,
        finalists=pool_files.read_finalists(folder, history),
    )


def _num_done(history):
    return int(np.sum(np.isin(history.status, (types.MEASURED, types.INFEASIBLE))))


def _unit(config, shared):
    """Perplexity of recurrent cells, where the number of words is known."""
    for told in (config, {} if shared is None else shared.config):
        if isinstance(told.get("vocabulary_size"), int):
            return units.perplexity(told["vocabulary_size"])
    return units.PERCENT


def _history(journal, budget):
    """Returns (the history that a journal tells, how many rows of it are earlier)."""
    num_earlier = 0 if journal.earlier is None else len(journal.earlier.archs)
    parts = list(journal.proposed.values())
    if num_earlier:
        parts.insert(0, journal.earlier.archs)
    if not parts:
        raise json_files.NothingYetError("the search has proposed nothing yet; wait for its first round")
    archs = np.concatenate(parts)[: num_earlier + budget].astype(np.int32)
    fitness, cost = np.full(len(archs), np.nan, np.float32), np.zeros(len(archs), np.float32)
    status = np.full(len(archs), types.PENDING, np.int32)
    if num_earlier:
        fitness[:num_earlier], cost[:num_earlier] = journal.earlier.fitness, np.nan_to_num(journal.earlier.cost)
        status[:num_earlier] = np.where(np.isfinite(journal.earlier.fitness), types.MEASURED, types.INFEASIBLE)
    for at, one in journal.measured.items():
        if at < len(archs):
            fitness[at], cost[at] = one.fitness, np.nan_to_num(one.cost)
            status[at] = types.MEASURED if one.ok else types.INFEASIBLE
    return history_lib.History(archs=archs, fitness=fitness, cost=cost, status=status, size=len(archs)), num_earlier
