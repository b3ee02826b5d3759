"""What study.json says of algorithms beside means: intervals, targets, comparisons."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from common import history as history_lib
from common import types
from common.statistics import comparison, intervals, reaching, study


class Curves(NamedTuple):
    """How the S searches of one algorithm went, query by query.

    Attributes:
      best_fitness: float32[S, N], the best fitness so far; -inf before the first one measured.
      test_of_best: float32[S, N], the test fitness of the first architecture that has it; NaN where unknown.
      seconds: float64[S, N], seconds of training so far, were everything trained one after another.
    """

    best_fitness: np.ndarray
    test_of_best: np.ndarray
    seconds: np.ndarray


def curves(histories: history_lib.History, test_fitness: np.ndarray) -> Curves:
    """Returns the curves of full histories with a leading axis of seeds.

    Args:
      histories: of S searches of N measurements.
      test_fitness: float32[S, N], from `study.test_fitness`.
    """
    is_measured = np.asarray(histories.status) == types.MEASURED
    best, at = study.best_so_far(np.asarray(histories.fitness), is_measured)
    picked = np.take_along_axis(np.asarray(test_fitness), np.maximum(at, 0), axis=1)
    return Curves(
        best_fitness=best.astype(np.float32),
        test_of_best=np.where(at >= 0, picked, np.nan).astype(np.float32),
        seconds=np.cumsum(np.asarray(histories.cost, np.float64), axis=1),
    )


def of_algorithm(algorithm: Curves, *, after: Sequence[int], targets: Sequence[float]) -> dict[str, Any]:
    """Returns what study.json says of one algorithm.

    Args:
      algorithm: its curves.
      after: numbers of queries.
      targets: values of fitness.

    Returns:
      `intervals`: after each of `after` queries, as text, of the best fitness and of the test fitness of the best the
      mean, the interquartile mean and the median, each as [value, low, high]: 95 % intervals of the bootstrap, of
      the median the quartiles. `targets`: of each target, how many seeds reached it (`found`, a fraction), and of
      queries and seconds of training to it the median and quartiles, null where these lie among seeds that never did.
    """
    statistics = {
        "mean": intervals.mean,
        "interquartile_mean": intervals.interquartile_mean,
        "median": intervals.median,
    }
    at = np.array(after) - 1
    said: dict[str, Any] = {"intervals": {}, "targets": []}
    for name in ("best_fitness", "test_of_best"):
        values = getattr(algorithm, name)[:, at].astype(np.float64)
        bands = {statistic: np.stack(function(values), axis=-1) for statistic, function in statistics.items()}
        said["intervals"][name] = {
            str(queries): {statistic: band[column].tolist() for statistic, band in bands.items()}
            for column, queries in enumerate(after)
        }
    for target in targets:
        queries = reaching.queries_to(algorithm.best_fitness, target)
        seconds = reaching.seconds_to(algorithm.best_fitness, np.diff(algorithm.seconds, prepend=0.0, axis=1), target)
        found = {"target": target, "found": float(np.mean(np.isfinite(queries)))}
        measured = {"queries": queries, "seconds": seconds}
        said["targets"].append(found | {name: list(intervals.median(values)) for name, values in measured.items()})
    return said


def comparisons(algorithms: Mapping[str, Curves], *, targets: Sequence[float]) -> list[dict[str, Any]]:
    """Returns the comparisons of all pairs of algorithms: by what they found in the end, and by queries to targets.

    Returns:
      Of each: `of` ("best_fitness" or "queries"), `target` (of queries), `first`, `second`, `improvement` as
      [probability that the first does better, low, high], `p_value` of the Mann-Whitney test, and `adjusted` by
      Holm's method for the number of pairs.
    """
    found = {name: each.best_fitness[:, -1] for name, each in algorithms.items()}
    told = [{"of": "best_fitness", **_plain(one)} for one in comparison.compare(found)]
    for target in targets:
        queries = {name: reaching.queries_to(each.best_fitness, target) for name, each in algorithms.items()}
        compared = comparison.compare(queries, is_larger_better=False)
        told += [{"of": "queries", "target": target, **_plain(one)} for one in compared]
    return told


def _plain(one):
    return {**one._asdict(), "improvement": list(one.improvement)}
