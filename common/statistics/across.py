"""Comparison of algorithms over several tasks (datasets, benchmarks): regrets on one scale, and their aggregation.

Where the fitness of all networks is known, a regret is divided by the optimum less their mean: 0 is the optimum, 1 the
mean. Elsewhere it is divided by the median regret of random search after the same number of queries on that task: 1 is
as good as random search, above 1 worse. The latter is the normalized median score of Bayesmark, which ranked the
black-box optimization challenge of NeurIPS 2020 (arXiv:2104.10201), applied to single searches. As there, the points of
reference are fixed, and the intervals do not include their uncertainty.
"""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from common import metrics
from common.statistics import comparison, intervals, study

BASELINE = "random"


class Scaled(NamedTuple):
    """Searches on M tasks on one scale, over their first N queries.

    Attributes:
      tasks: their names.
      algorithms: those present on all tasks.
      left_out: each other algorithm -> the tasks that lack it.
      unit: for each task float64[N], the regret that equals 1, a fraction.
      regret: for each algorithm and task float64[S, N], the regret of the best so far over the unit; NaN or inf before
        the first measurement.
      queries: for each algorithm and task float64[S], queries to the optimum; inf if not found within N.
    """

    tasks: tuple[str, ...]
    algorithms: tuple[str, ...]
    left_out: Mapping[str, tuple[str, ...]]
    unit: tuple[np.ndarray, ...]
    regret: Mapping[str, tuple[np.ndarray, ...]]
    queries: Mapping[str, tuple[np.ndarray, ...]]


def scaled(
    curves: Mapping[str, Mapping[str, study.Curves]],
    optima: Mapping[str, float | None],
    *,
    num_queries: int,
    means: Mapping[str, float] | None = None,
) -> Scaled:
    """Returns the searches of several tasks on one scale.

    Args:
      curves: task -> algorithm -> curves of at least `num_queries` queries.
      optima: task -> its best fitness.
      num_queries: N, after which algorithms are compared.
      means: task -> the mean fitness of all its networks; by default regrets are divided by those of random search.

    Raises:
      ValueError: there are fewer than two tasks, or two algorithms present on all of them; numbers of seeds differ;
        curves are too short; an optimum is unknown; or, without `means`, the baseline is missing, or found the optimum
        of a task in half of its searches, so that its median regret of 0 cannot be the unit.
    """
    if len(curves) < 2:
        raise ValueError(f"give the studies of at least two tasks; got {', '.join(curves) or 'none'}")
    named = list(dict.fromkeys(name for task in curves.values() for name in task))
    left_out = {name: tuple(task for task in curves if name not in curves[task]) for name in named}
    left_out = {name: tasks for name, tasks in left_out.items() if tasks}
    algorithms = tuple(name for name in named if name not in left_out)
    _check(curves, optima, algorithms, left_out, num_queries, needs_baseline=means is None)
    regret: dict[str, tuple] = dict.fromkeys(algorithms, ())
    queries: dict[str, tuple] = dict.fromkeys(algorithms, ())
    units = []
    for task, of_task in curves.items():
        best = {name: np.asarray(of_task[name].best_fitness, np.float64)[:, :num_queries] for name in algorithms}
        if means is None:
            unit = np.asarray(intervals.median(_regret(best[BASELINE], optima[task])).center)
        else:
            unit = np.full(num_queries, optima[task] - means[task])
        if not 0 < unit[-1] < np.inf:
            raise ValueError(
                f"{BASELINE} has a median regret of {unit[-1]:g} on {task} after {num_queries} queries, which cannot "
                "be the unit of others; compare after fewer queries, or leave the task out"
            )
        units.append(unit)
        for name in algorithms:
            with np.errstate(invalid="ignore"):  # nothing measured over nothing measured
                regret[name] += (_regret(best[name], optima[task]) / unit,)
            queries[name] += (study.queries_to(best[name], optima[task]),)
    return Scaled(tuple(curves), algorithms, left_out, tuple(units), regret, queries)


def profile(*samples: np.ndarray, thresholds: np.ndarray) -> intervals.Band:
    """Returns the shares of searches whose value is at most each threshold, the mean over tasks, with intervals.

    The performance profile (run-score distribution) of arXiv:2108.13264, section 4.2, where smaller is better.

    Args:
      *samples: for each task float[S].
      thresholds: float[T], also the shape of the result.
    """
    return intervals.mean(*(np.asarray(values)[:, None] <= thresholds for values in samples))


def improvements(searches: Scaled) -> list[dict[str, Any]]:
    """Returns of all pairs of algorithms how often the first does better, the mean over tasks.

    Returns:
      As `study.comparisons`, without p-values: `of` "best_fitness" after N queries or "queries" to the optimum,
      `first`, `second` and `improvement`.
    """
    compared = []
    final = {name: [-task[:, -1] for task in searches.regret[name]] for name in searches.algorithms}
    queries = {name: [-task for task in searches.queries[name]] for name in searches.algorithms}
    for of, values in (("best_fitness", final), ("queries", queries)):
        for first, second in itertools.combinations(searches.algorithms, 2):
            band = comparison.improvement_across(values[first], values[second])
            compared.append({"of": of, "first": first, "second": second, "improvement": list(band)})
    return compared


def _regret(best, optimum):
    """The optimum minus the best fitness; differences within rounding are 0."""
    regret = optimum - best
    return np.where(regret <= metrics.VALUE_TOLERANCE, 0.0, regret)


def _check(curves, optima, algorithms, left_out, num_queries, needs_baseline):
    if needs_baseline and BASELINE not in algorithms:
        missing = ", ".join(left_out.get(BASELINE, curves))
        raise ValueError(f"regrets are divided by those of {BASELINE}, which is missing on {missing}; run it there too")
    if len(algorithms) < 2:
        present = ", ".join(algorithms) or "no algorithm"
        raise ValueError(f"only {present} is present on all tasks; {', '.join(left_out)} lack some")
    unknown = [task for task in curves if optima[task] is None]
    if unknown:
        raise ValueError(f"the optimum of {', '.join(unknown)} is unknown, so regrets are undefined; leave it out")
    shapes = {(task, name): curves[task][name].best_fitness.shape for task in curves for name in algorithms}
    if len({shape[0] for shape in shapes.values()}) > 1:
        seeds = ", ".join(sorted(f"{name} on {task}: {shape[0]}" for (task, name), shape in shapes.items()))
        raise ValueError(f"numbers of seeds differ, so tasks would have different weights: {seeds}")
    shortest = min(shape[1] for shape in shapes.values())
    if not 1 <= num_queries <= shortest:
        raise ValueError(f"queries to compare after must be 1 to {shortest}, the smallest budget; got {num_queries}")
