"""The front of a search for several objectives, as result.json has it."""

import pathlib
from typing import Any

import jax
import numpy as np

from common import fronts, types
from common import history as history_lib
from common import objectives as objectives_lib
from common.records import run_dir
from common.statistics import hypervolumes


def rows_of(history: history_lib.History) -> np.ndarray:
    """Returns int[F], the rows of a history that no other dominates, the highest fitness first."""
    values = np.asarray(objectives_lib.values(history))
    rows = np.flatnonzero(fronts.non_dominated(values))
    return rows[np.argsort(-values[rows, 0], kind="stable")]


def ranked(folder: pathlib.Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (int32[F, L], float32[F]), the front of the run in a folder and its fitness, the highest first.

    Args:
      count: if not 0, so many of its architectures, spread along the front.
    """
    history, _ = run_dir.read_history(folder / run_dir.HISTORY)
    rows = rows_of(history)
    if count:
        rows = rows[fronts.spread(objectives_lib.values(history)[rows], count)]
    return history.archs[rows], history.fitness[rows]


def of_search(
    history: history_lib.History, evaluator: types.Evaluator, objectives: objectives_lib.Objectives, *, key: jax.Array
) -> dict[str, Any]:
    """Returns the entries of result.json of a search for several objectives.

    Args:
      objectives: more than one.
      key: random key of the test evaluation.

    Returns:
      `objectives`, texts; `front`, the evaluated architectures that no other dominates, with the highest fitness first:
      `arch`, `description`, `fitness`, `test` (of traceable evaluators; others train again for it) and `costs` by name.
      Unless all failed also `hypervolume`, `reference` and `ideal`, the values that are 0 and 1 in it, of each
      objective: its worst and its best value in the table, elsewhere among all that was evaluated; and of a table
      `hypervolume_gap` and `front_found`, see `hypervolumes.of_algorithm`.
    """
    rows = rows_of(history)
    archs, values = np.asarray(history.archs)[rows], np.asarray(objectives_lib.values(history), np.float64)
    test = evaluator.test(key, archs) if evaluator.test is not None and evaluator.is_traceable and len(rows) else None
    found = []
    for at, arch in enumerate(archs):
        costs = hypervolumes.by_name(values[rows[at]], objectives)
        found.append(
            {
                "arch": arch.tolist(),
                "description": evaluator.space.describe(arch),
                "fitness": costs.pop("fitness"),
                "test": float(test.fitness[at]) if test is not None and bool(test.ok[at]) else None,
                "costs": costs,
            }
        )
    result = {"objectives": list(objectives.texts), "front": found}
    scale = hypervolumes.of_table(evaluator, objectives) or hypervolumes.of_values(values)
    if scale is None:
        return result
    curves = hypervolumes.curves(values[None, rows], scale)
    described = hypervolumes.describe(scale, objectives)
    result |= {"hypervolume": float(curves.hypervolume[0, -1])} | {
        name: described[name] for name in ("reference", "ideal")
    }
    if scale.is_known:
        result["hypervolume_gap"] = float(hypervolumes.gap(curves.hypervolume[0, -1], scale))
        result["front_found"] = float(curves.front_found[0, -1])
    return result
