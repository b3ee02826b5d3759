"""Summary of algorithms over the tasks of a suite, from the contents of their study.json."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from common.statistics import intervals

REFERENCE = "regularized_evolution"


class Summary(NamedTuple):
    """One algorithm on M tasks; bands are means over tasks with 95 % bootstrap intervals, stratified by task.

    Attributes:
      found: the fraction of searches that found the optimum.
      queries: queries to the optimum; a search that did not find it counts as its budget.
      normalized_regret: by checkpoint, as text.
      better_left: by checkpoint the mean number of networks better than the best found.
      rank: mean over tasks of the rank by mean normalized regret after the budget, 1 is best, ties share the mean rank.
      worse: tasks on which that mean is above the reference's.
      worst_seed: tasks on which the largest regret after the budget of any seed is above the reference's median.
    """

    found: intervals.Band
    queries: intervals.Band
    normalized_regret: Mapping[str, intervals.Band]
    better_left: Mapping[str, float]
    rank: float
    worse: tuple[str, ...]
    worst_seed: tuple[str, ...]


def reference_of(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns `REFERENCE`, or the first algorithm where it is not present on all tasks."""
    names = _algorithms(reports)
    return REFERENCE if REFERENCE in names else names[0]


def summarize(reports: Mapping[str, Mapping[str, Any]]) -> dict[str, Summary]:
    """Returns the summary of each algorithm that is present on all tasks, from study.json by task.

    Raises:
      ValueError: no algorithm is present on all tasks, budgets differ, or a task has no normalized regret.
    """
    names, reference = _algorithms(reports), reference_of(reports)
    if len(budgets := {report["budget"] for report in reports.values()}) > 1:
        raise ValueError(f"budgets of the tasks differ: {', '.join(map(str, sorted(budgets)))}")
    (budget,) = budgets
    for task, report in reports.items():
        if any("by_seed" not in report["algorithms"][name] for name in names):
            raise ValueError(f"{task} has no normalized regret: its optimum is unknown, or its space cannot be listed")
    by_seed = {name: [report["algorithms"][name]["by_seed"] for report in reports.values()] for name in names}
    final = {name: [_numbers(one["normalized_regret"][str(budget)]) for one in by_seed[name]] for name in names}
    ranks = np.array([stats.rankdata([final[name][at].mean() for name in names]) for at in range(len(reports))])
    return {
        name: _summary(by_seed[name], final[name], final[reference], ranks[:, at].mean(), tuple(reports), budget)
        for at, name in enumerate(names)
    }


def _summary(by_seed, final, of_reference, rank, tasks, budget):
    queries = [_numbers(one["queries"]) for one in by_seed]
    regret, left = ({}, {})
    for after in by_seed[0]["normalized_regret"]:
        regret[after] = intervals.mean(*(_numbers(one["normalized_regret"][after]) for one in by_seed))
        left[after] = float(np.mean([np.mean(one["better_left"][after]) for one in by_seed]))
    pairs = list(zip(tasks, final, of_reference, strict=True))
    return Summary(
        found=intervals.mean(*(np.isfinite(one).astype(float) for one in queries)),
        queries=intervals.mean(*(np.where(np.isfinite(one), one, budget) for one in queries)),
        normalized_regret=regret,
        better_left=left,
        rank=float(rank),
        worse=tuple(task for task, own, other in pairs if own.mean() > other.mean()),
        worst_seed=tuple(task for task, own, other in pairs if own.max() > np.median(other)),
    )


def _algorithms(reports):
    first, *others = [report["algorithms"] for report in reports.values()]
    names = [name for name in first if all(name in other for other in others)]
    if not names:
        raise ValueError("no algorithm is present on all tasks")
    return names


def _numbers(values):
    return np.array([np.inf if value is None else value for value in values], np.float64)
