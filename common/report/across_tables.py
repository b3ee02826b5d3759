"""Studies of several tasks, compared: what they must have in common, and the tables of what they come to."""

from typing import Any, NamedTuple

import numpy as np

from common.report import files, study_page
from common.statistics import across, intervals
from common.statistics import study as study_lib


class Compared(NamedTuple):
    """Studies, and what they come to.

    Attributes:
      studies: of the folders.
      searches: all their searches, on one scale.
      improvements: of all pairs of algorithms, from `across.improvements`.
    """

    studies: files.Studies
    searches: across.Scaled
    improvements: list[dict[str, Any]]


def compare(studies: files.Studies, *, num_queries: int | None = None) -> Compared:
    """Returns what studies come to together.

    Args:
      studies: of two tasks or more.
      num_queries: after which algorithms are compared; by default the budget, where all have the same.

    Raises:
      ValueError: two are of one task; protocols differ, or budgets where `num_queries` is not given; curves are
        missing; or `across.scaled` refuses them.
    """
    reports = {}
    for study in studies.studies:
        task = task_of(study)
        if task in reports:
            raise ValueError(f"two of the studies are of {task}; give one study of each task")
        if len(study.curves) < len(study.report["algorithms"]):
            raise ValueError(f"{study.name} was written by an older version; launch.study with its --workdir mends it")
        reports[task] = study.report
    _all_the_same(reports, "protocol", "fitness of one kind is not comparable with the other")
    if num_queries is None:
        _all_the_same(reports, "budget", "name the number of queries to compare after (--queries)")
        num_queries = min(report["budget"] for report in reports.values())
    searches = across.scaled(
        {task_of(study): study.curves for study in studies.studies},
        {task: report.get("optimum") for task, report in reports.items()},
        num_queries=num_queries,
    )
    return Compared(studies, searches, across.improvements(searches))


def tables_of(compared: Compared) -> list[tuple[str, list[str], list[list[str]]]]:
    """Returns the tables: (name, header, rows) each, of text."""
    searches = compared.searches
    num_seeds, num_queries = sizes(searches)
    after = study_lib.shown(study_lib.checkpoints(num_queries), most=4)
    rows = []
    for name in searches.algorithms:
        bands = [intervals.interquartile_mean(*(task[:, at - 1] for task in searches.regret[name])) for at in after]
        mean = intervals.mean(*(task[:, -1] for task in searches.regret[name]))
        optimum = intervals.mean(*(np.isfinite(task) for task in searches.queries[name]))
        rows.append([name, *map(_number, [*bands, mean]), study_page.percent(optimum, ".0f")])
    header = ["algorithm", *(f"after {queries}" for queries in after)]
    header += [f"mean after {num_queries}", "found the optimum (%)"]
    text = (
        f"Normalised regret (random search = 1, optimum = 0) over {len(searches.tasks)} tasks with {num_seeds} seeds "
        "each: interquartile means after so many queries, and the mean; in brackets 95 % intervals of the bootstrap, "
        "stratified by task."
    )
    return [(text, header, rows), _by_task(searches), _comparisons(compared)]


def _by_task(searches):
    units = ["1 stands for (points)", *(f"{100 * unit[-1]:.3g}" for unit in searches.unit)]
    rows = [
        [name, *(_number(intervals.interquartile_mean(task[:, -1])) for task in searches.regret[name])]
        for name in searches.algorithms
    ]
    num_queries = sizes(searches)[1]
    text = (
        f"Normalised regret after {num_queries} queries by task: interquartile means with 95 % intervals. The first "
        "row is the median regret of random search there, in points of fitness."
    )
    return text, ["algorithm", *searches.tasks], [units, *rows]


def _comparisons(compared):
    by = {"best_fitness": "best fitness", "queries": "queries to the optimum"}
    rows = [
        [one["first"], one["second"], by[one["of"]], study_page.percent(one["improvement"], ".0f")]
        for one in compared.improvements
    ]
    text = (
        "Comparisons: probability that a search of the first does better (ties half), the mean over tasks, with its "
        "95 % interval stratified by task. p-values stand on the pages of the single studies."
    )
    return text, ["first", "second", "by", "first better (%)"], rows


def task_of(study: files.Study) -> str:
    """Returns the name of the task of a study."""
    return f"{study.report['benchmark']}/{study.report['dataset']}"


def sizes(searches: across.Scaled) -> tuple[int, int]:
    """Returns (seeds of each algorithm on each task, queries)."""
    return len(searches.queries[across.BASELINE][0]), len(searches.unit[0])


def _all_the_same(reports, key, advice):
    if len({report[key] for report in reports.values()}) > 1:
        said = ", ".join(f"{task}: {report[key]}" for task, report in reports.items())
        raise ValueError(f"the {key} is not the same in all studies ({said}); {advice}")


def _number(band):
    if not all(map(np.isfinite, band)):
        return "-"
    center, low, high = (f"{value:.3f}" if value else "0" for value in band)
    return f"{center} [{low}, {high}]"
