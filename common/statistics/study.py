"""Statistics of a study: many searches that differ in nothing but their seed."""

import functools
from collections.abc import Sequence
from typing import Any

import chex
import jax
import numpy as np

from common import history as history_lib
from common import metrics, search, types


def checkpoints(budget: int) -> tuple[int, ...]:
    """Returns after how many measurements a study reports: every 50, and the budget."""
    return (*range(50, budget, 50), budget)


def shown(checkpoints: Sequence[int], *, most: int = 6) -> tuple[int, ...]:
    """Returns at most `most` (3 or more) of the checkpoints: the first ones, the middle and the last."""
    if len(checkpoints) <= most:
        return tuple(checkpoints)
    first = most - 2
    return (*checkpoints[:first], checkpoints[max(first, len(checkpoints) // 2)], checkpoints[-1])


def test_fitness(keys: chex.Array, evaluator: types.Evaluator, archs: chex.Array) -> np.ndarray:
    """Returns the test fitness of every architecture of a study. For reports, after the searches.

    Args:
      keys: key[S], the keys of the searches.
      evaluator: what they measured with; must be traceable.
      archs: int32[S, N, L].

    Returns:
      float32[S, N], NaN where there is none.
    """
    test = evaluator.test
    test = test if isinstance(test, jax.tree_util.Partial) else jax.tree_util.Partial(test)
    evaluation = jax.device_get(_test(test, keys, archs))
    return np.where(evaluation.ok, evaluation.fitness, np.nan).astype(np.float32)


def statistics(
    histories: history_lib.History, *, optimum: float | None, test_fitness: np.ndarray
) -> dict[str, dict[str, float | None]]:
    """Returns what a study says of one algorithm, with the names of study.json.

    Args:
      histories: full histories of S searches of N measurements, with a leading axis of seeds.
      optimum: the best fitness there is, by the metric the searches see; None if nobody knows.
      test_fitness: float32[S, N], from `test_fitness`.

    Returns:
      `queries_to_optimum`: mean, median, sd, se and found (a fraction), empty where the optimum is not
      known. After each of `checkpoints(N)` measurements, as text: `best_fitness`, the mean over seeds of the
      best fitness so far; `test_of_best`, that of the test fitness of the first architecture that has it;
      `simple_regret`, by how much the former is below the optimum; and `best_fitness_se` and
      `test_of_best_se`, standard errors of the means. All are fractions. None stands for what cannot be
      said: nothing was measured yet, or the benchmark publishes no test fitness.
    """
    is_measured = np.asarray(histories.status) == types.MEASURED
    best, best_at = best_so_far(np.asarray(histories.fitness), is_measured)
    picked = np.take_along_axis(test_fitness, np.maximum(best_at, 0), axis=1)
    curves = {"best_fitness": best, "test_of_best": np.where(best_at >= 0, picked, np.nan)}
    if optimum is not None:
        curves["simple_regret"] = optimum - best
    after = checkpoints(is_measured.shape[1])
    summary: dict[str, dict[str, float | None]] = {"queries_to_optimum": {}}
    if optimum is not None:
        summary["queries_to_optimum"] = _queries(np.asarray(histories.fitness), is_measured, optimum)
    for name, curve in curves.items():
        moments = {str(queries): _moments(curve[:, queries - 1]) for queries in after}
        summary[name] = {queries: mean for queries, (mean, _, _) in moments.items()}
        if name != "simple_regret":  # its standard error is that of the best fitness
            summary[f"{name}_se"] = {queries: error for queries, (_, _, error) in moments.items()}
    return summary


def best_so_far(fitness: np.ndarray, is_measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the best fitness after each measurement, and where it is.

    Args:
      fitness: float32[S, N].
      is_measured: bool[S, N].

    Returns:
      (float64[S, N], -inf before the first measured row; int[S, N], the first row with that fitness, -1
      before).
    """
    values = np.where(is_measured, fitness, -np.inf).astype(np.float64)
    best = np.maximum.accumulate(values, axis=1)
    before = np.concatenate([np.full_like(best[:, :1], -np.inf), best[:, :-1]], axis=1)
    at = np.where(best > before, np.arange(values.shape[1])[None], -1)
    return best, np.maximum.accumulate(at, axis=1)


def _queries(fitness, is_measured, optimum):
    count = functools.partial(metrics.queries_to_optimum, budget=fitness.shape[1])
    queries, is_found = jax.device_get(jax.vmap(count, in_axes=(0, 0, None))(fitness, is_measured, optimum))
    mean, sd, error = _moments(queries.astype(np.float64))
    median, found = float(np.median(queries)), float(np.mean(is_found))
    return {"mean": mean, "median": median, "sd": sd, "se": error, "found": found}


def _moments(values: np.ndarray) -> tuple[Any, Any, Any]:
    """Returns mean, standard deviation (n - 1) and standard error of float[S]; None if one is not finite."""
    values = np.asarray(values, np.float64)
    if not np.all(np.isfinite(values)):
        return None, None, None
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return float(np.mean(values)), sd, sd / len(values) ** 0.5


@jax.jit
def _test(test, keys, archs):
    def one(key_and_archs):
        key, archs = key_and_archs
        return test(jax.random.fold_in(key, search.TEST_ROUND), archs)

    return jax.lax.map(one, (keys, archs))
