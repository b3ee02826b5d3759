"""The history of one search from its journal, also while it runs."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from common import history as history_lib
from common import objectives as objectives_lib
from common import types
from common.records import journal as journals
from common.records import json_files, run_dir


def read(folder: pathlib.Path, config: Mapping[str, Any], budget: int) -> tuple[history_lib.History, int]:
    """Returns (the first `budget` evaluations of the search in a folder, how many rows are earlier measurements).

    Raises:
      NothingYetError: the search has proposed nothing yet.
      ValueError: a file is damaged.
    """
    journal = journals.read(folder / run_dir.JOURNAL)
    earlier, num_earlier = journal.earlier, 0 if journal.earlier is None else len(journal.earlier.archs)
    parts = [*([earlier.archs] if num_earlier else []), *journal.proposed.values()]
    if not parts:
        raise json_files.NothingYetError("the search has proposed nothing yet; wait for its first round")
    archs = np.concatenate(parts)[: num_earlier + budget].astype(np.int32)
    signs = objectives_lib.parse(config.get("objectives", "fitness"))
    fitness, cost = np.full(len(archs), np.nan, np.float32), np.zeros(len(archs), np.float32)
    status = np.full(len(archs), types.PENDING, np.int32)
    others = np.full((len(archs), len(signs) - 1), np.nan, np.float32)
    if num_earlier:
        fitness[:num_earlier], cost[:num_earlier] = earlier.fitness, np.nan_to_num(earlier.cost)
        status[:num_earlier] = np.where(np.isfinite(earlier.fitness), types.MEASURED, types.INFEASIBLE)
    for at, one in journal.measured.items():
        if at < len(archs):
            fitness[at], cost[at] = one.fitness, np.nan_to_num(one.cost)
            status[at] = types.MEASURED if one.ok else types.INFEASIBLE
            if one.ok:
                others[at] = [sign * one.costs.get(name, np.nan) for name, sign in list(signs.items())[1:]]
    path = folder / run_dir.HISTORY
    if num_earlier and others.size and path.exists():  # the journal lacks the objectives of earlier measurements
        others[:num_earlier] = run_dir.read_history(path)[0].others[:num_earlier]
    history = history_lib.History(
        archs=archs, fitness=fitness, cost=cost, status=status, size=len(archs), others=others
    )
    return history, num_earlier
