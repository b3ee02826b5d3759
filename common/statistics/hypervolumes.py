"""Progress of searches for several objectives: hypervolume, its gap, and the share of the true front that is found.

Each objective is scaled so that its reference, the worst value, is 0 and its best value is 1; so the hypervolume lies
between 0 and 1. On a table both are those of all its architectures, and the true front is known.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from common import fronts, metrics, types, unseen
from common import history as history_lib
from common import objectives as objectives_lib
from common.executors import measuring
from common.statistics import comparison, intervals


class Scale(NamedTuple):
    """The scale of M objectives, of which larger is better."""

    reference: np.ndarray  # float64[M], the worst values
    ideal: np.ndarray  # float64[M], the best values
    points: np.ndarray  # float64[F, M], those that no other dominates, the front
    is_known: bool  # whether it is the true front of a table, or the best of what was evaluated

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Returns float64[..., M], values with the reference at 0 and the best value at 1."""
        width = self.ideal - self.reference
        return (np.asarray(values, np.float64) - self.reference) / np.where(width > 0, width, 1.0)

    @property
    def front(self) -> np.ndarray:
        """The points of the front, scaled."""
        return self.scaled(self.points)

    @property
    def hypervolume(self) -> float:
        """The hypervolume of the front."""
        return float(fronts.hypervolume(self.front, np.zeros(self.front.shape[1])))


class Curves(NamedTuple):
    """Progress of S searches over N queries."""

    hypervolume: np.ndarray  # float64[S, N], of all rows so far, see `Scale`
    front_found: np.ndarray  # float64[S, N], the share of the points of the front that were evaluated so far


def of_table(evaluator: types.Evaluator, objectives: objectives_lib.Objectives) -> Scale | None:
    """Returns the scale of a table; None if it is no table whose space can be listed, or costs are measured."""
    pool = unseen.pool_of(evaluator.space)
    if not evaluator.is_traceable or evaluator.optimum is None or not len(pool) or objectives.measured:
        return None
    evaluate = measuring.on_device(evaluator.evaluate)
    found = jax.device_get(_evaluated(evaluate, measuring.on_device(objectives), jax.random.key(0), pool))
    return of_values(found, is_known=True)


@jax.jit
def _evaluated(evaluate, objectives, key, archs):
    evaluation = evaluate(key, archs)
    others = objectives_lib.others(objectives, archs, evaluation.costs)
    empty = history_lib.empty(archs.shape[0], archs.shape[1], len(objectives))
    return objectives_lib.values(history_lib.append(empty, archs, evaluation, others))


def of_values(values: np.ndarray, *, is_known: bool = False) -> Scale | None:
    """Returns the scale of float[P, M], larger is better; rows with NaN do not count. None if no row does."""
    values = np.asarray(values, np.float64)
    values = values[np.all(np.isfinite(values), axis=1)]
    if not len(values):
        return None
    return Scale(values.min(axis=0), values.max(axis=0), values[fronts.non_dominated(values)], is_known)


def curves(values: np.ndarray, scale: Scale) -> Curves:
    """Returns the curves of float[S, N, M], the values of S searches, NaN unless measured."""
    values = scale.scaled(values)
    made = [_curve(one, scale.front) for one in values]
    return Curves(*(np.array(column) for column in zip(*made)))


def _curve(values, true):
    """Returns the hypervolume and the share of the front `true` after each of N rows, lists."""
    front, is_left, volume, volumes, found = values[:0], np.ones(len(true), bool), 0.0, [], []
    for value in values:
        if not (np.any(np.isnan(value)) or np.any(np.all(front >= value, axis=1))):
            front = np.concatenate([front[~np.all(front <= value, axis=1)], value[None]])
            volume = float(fronts.hypervolume(front, np.zeros(len(value))))
            is_left &= np.any(np.abs(true - value) > metrics.VALUE_TOLERANCE, axis=1)
        volumes.append(volume)
        found.append(1.0 - np.mean(is_left))
    return volumes, found


def of_algorithm(algorithm: Curves, scale: Scale, *, after: Sequence[int]) -> dict[str, Any]:
    """Returns the entries of an algorithm in study.json.

    Args:
      after: numbers of queries after which to report.

    Returns:
      By number of queries, as text: the means over seeds of the `hypervolume`, of `hypervolume_gap`, 1 minus the
      hypervolume by that of the front, and of `front_found`. `front_intervals`: of each, by number of queries, the mean
      and the median as [value, low, high], 95 % bootstrap intervals, for the median the quartiles.
    """
    at = np.array(after) - 1
    values = {
        "hypervolume": algorithm.hypervolume[:, at],
        "hypervolume_gap": gap(algorithm.hypervolume[:, at], scale),
        "front_found": algorithm.front_found[:, at],
    }
    bands = {name: intervals.by_queries(columns, after, ("mean", "median")) for name, columns in values.items()}
    means = {name: dict(zip(map(str, after), columns.mean(axis=0).tolist())) for name, columns in values.items()}
    return {"front_intervals": bands, **means}


def gap(hypervolume: np.ndarray, scale: Scale) -> np.ndarray:
    """Returns 1 - hypervolume / that of the front, from 0 to 1; 0 where that of the front is 0."""
    return np.maximum(1.0 - hypervolume / scale.hypervolume, 0.0) if scale.hypervolume else np.zeros_like(hypervolume)


def comparisons(algorithms: Mapping[str, Curves]) -> list[dict[str, Any]]:
    """Returns the comparisons of all pairs of algorithms by final hypervolume, as `study.comparisons` does."""
    final = {name: each.hypervolume[:, -1] for name, each in algorithms.items()}
    return [{"of": "hypervolume", **one.to_json()} for one in comparison.compare(final)]


def by_name(values: np.ndarray, objectives: objectives_lib.Objectives) -> dict[str, float]:
    """Returns the values float[M] of one point by name, without their signs."""
    return {name: float(sign * value) for name, sign, value in zip(objectives.names, objectives.signs, values)}


def describe(scale: Scale, objectives: objectives_lib.Objectives) -> dict[str, Any]:
    """Returns the entries of a scale in result.json and study.json.

    Returns:
      `reference` and `ideal`: the values of the objectives that are 0 and 1 in the hypervolume; `front_is_known`;
      `front_values`: the points of the front, with the highest fitness first.
    """
    points = scale.points[np.argsort(-scale.points[:, 0], kind="stable")]
    return {
        "reference": by_name(scale.reference, objectives),
        "ideal": by_name(scale.ideal, objectives),
        "front_is_known": scale.is_known,
        "front_values": [by_name(point, objectives) for point in points],
    }
