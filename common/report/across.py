"""Studies of several tasks compared on one scale: checks, tables and page."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from common.records import json_files, run_dir
from common.report import canvas, checklist, page, study, units
from common.statistics import across, intervals, suite
from common.statistics import study as statistics

_METHOD = (
    "Points of accuracy differ in meaning between tasks. So the regret of each search (the optimum minus its best "
    "fitness) is divided by that of {}. Interquartile means, intervals, profiles and probabilities of improvement "
    "follow rliable (arXiv:2108.13264)."
)
UNITS = {  # whether the fitness of all networks is known -> (the unit in full, in short)
    True: ("the mean of all networks of the task", "mean of all networks"),
    False: (
        "the median of random search after as many queries on the same task (Bayesmark, arXiv:2104.10201)",
        "random search",
    ),
}


class Studies(NamedTuple):
    """Studies of several tasks."""

    name: str  # of the folder, or folders
    studies: tuple[study.Study, ...]  # those with at least one finished algorithm
    missing: tuple[str, ...]  # the other tasks
    is_finished: bool


class Compared(NamedTuple):
    """Studies and their comparison."""

    studies: Studies
    searches: across.Scaled  # all their searches, on one scale
    improvements: list[dict[str, Any]]  # of all pairs of algorithms, from `across.improvements`
    is_known: bool  # whether the fitness of all networks is known, and its mean the unit

    @property
    def num_seeds(self) -> int:
        """Seeds of each algorithm on each task."""
        return len(next(iter(self.searches.queries.values()))[0])

    @property
    def num_queries(self) -> int:
        """Queries after which the algorithms are compared."""
        return len(self.searches.unit[0])


def read(folder: pathlib.Path, tasks: Mapping[str, str]) -> Studies:
    """Returns the studies in a folder, from tasks and names of folders; ValueError if none is begun, or one damaged."""
    for task, name in tasks.items():
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise ValueError(f"{folder / run_dir.CONFIG} is damaged: the folder of {task} is {name!r:.60}; restore it")
    folders = {task: folder / name for task, name in tasks.items() if (folder / name / run_dir.STUDY).exists()}
    if not folders:
        raise ValueError(f"{folder} has no task with a finished algorithm yet")
    studies = tuple(study.read(inner, json_files.read(inner / run_dir.CONFIG) or {}) for inner in folders.values())
    missing = tuple(task for task in tasks if task not in folders)
    return Studies(folder.resolve().name, studies, missing, not missing and all(one.is_finished for one in studies))


def compare(studies: Studies, *, num_queries: int | None = None) -> Compared:
    """Returns studies on one scale, compared after `num_queries` or, by default, their budget.

    Raises:
      ValueError: two are of one task; protocols differ, or budgets without `num_queries`; curves are missing; or
        `across.scaled` raises.
    """
    reports = {}
    for one in studies.studies:
        if one.task in reports:
            raise ValueError(f"two of the studies are of {one.task}; give one study of each task")
        if len(one.curves) < len(one.report["algorithms"]):
            raise ValueError(f"{one.name} lacks curves; launch.study with its --workdir writes them")
        reports[one.task] = one.report
    if num_queries is None:
        _check_equal(reports, "budget", "give the number of queries to compare after (--queries)")
        num_queries = min(report["budget"] for report in reports.values())
    is_known = all("mean_fitness" in report for report in reports.values())
    searches = across.scaled(
        {one.task: one.curves for one in studies.studies},
        {task: report.get("optimum") for task, report in reports.items()},
        num_queries=num_queries,
        means={task: report["mean_fitness"] for task, report in reports.items()} if is_known else None,
    )
    return Compared(studies, searches, across.improvements(searches), is_known)


def _check_equal(reports, key, advice):
    if len({report[key] for report in reports.values()}) > 1:
        values = ", ".join(f"{task}: {report[key]}" for task, report in reports.items())
        raise ValueError(f"the {key} differs between the studies ({values}); {advice}")


def tables(compared: Compared) -> list[study.Table]:
    """Returns the tables, of text."""
    searches, last = compared.searches, compared.num_queries
    after = statistics.shown(statistics.checkpoints(last), most=4)
    rows, by_task = [], [[task, f"{100 * unit[-1]:.3g}"] for task, unit in zip(searches.tasks, searches.unit)]
    for name in searches.algorithms:
        regret = searches.regret[name]
        bands = [intervals.interquartile_mean(*(task[:, at - 1] for task in regret)) for at in after]
        bands.append(intervals.mean(*(task[:, -1] for task in regret)))
        optimum = intervals.mean(*(np.isfinite(task) for task in searches.queries[name]))
        rows.append([name, *map(_number, bands), units.interval(optimum, ".0f")])
        for row, task in zip(by_task, regret, strict=True):
            row.append(_number(intervals.interquartile_mean(task[:, -1])))
    header = ["algorithm", *(f"after {queries}" for queries in after), f"mean after {last}", "found the optimum (%)"]
    text = (
        f"Normalized regret ({UNITS[compared.is_known][1]} = 1, optimum = 0) over {len(searches.tasks)} tasks, "
        f"{compared.num_seeds} seeds each: interquartile means after these numbers of queries, and the mean; in "
        "brackets 95 % bootstrap intervals, stratified by task."
    )
    task_text = (
        f"Normalized regret after {last} queries by task: interquartile means with 95 % intervals. 1 equals the "
        f"regret of the {UNITS[compared.is_known][1]}, in points of fitness."
    )
    pairs, by = [], {"best_fitness": "best fitness", "queries": "queries to the optimum"}
    for one in compared.improvements:
        pairs.append([one["first"], one["second"], by[one["of"]], units.interval(one["improvement"], ".0f")])
    pair_text = (
        "Comparisons: probability that a search of the first does better (ties half), mean over tasks, with its 95 % "
        "interval stratified by task. The pages of the single studies have p-values."
    )
    return [
        *_summary(compared),
        (text, header, rows),
        (task_text, ["task", "1 equals (points)", *searches.algorithms], by_task),
        (pair_text, ["first", "second", "by", "first better (%)"], pairs),
    ]


def _summary(compared):
    """The table of found optima, better networks left and ranks after the budget, where all networks are known."""
    reports = {one.task: one.report for one in compared.studies.studies}
    if not compared.is_known or len({report["budget"] for report in reports.values()}) > 1:
        return []
    reference, summary, rows = suite.reference_of(reports), suite.summarize(reports), []
    for name, one in summary.items():
        bands = [units.interval(one.found, ".0f"), units.interval(one.queries, ".1f", 1)]
        left = " / ".join(f"{number:.1f}" for number in one.better_left.values())
        rows.append([name, *bands, left, f"{one.rank:.2f}", str(len(one.worse)), str(len(one.worst_seed))])
    after = " / ".join(next(iter(summary.values())).better_left)
    text = (
        f"Optimum found, means over {len(reports)} tasks: a search that did not find it counts as its budget; networks "
        f"better than the best found after {after} queries; rank by mean normalized regret; tasks on which this is "
        f"above that of {reference}, and on which that of the worst seed is above its median."
    )
    worse, worst = f"worse than {reference}", "worst seed worse than its median"
    return [(text, ["algorithm", "found (%)", "queries", "better left", "rank", worse, worst], rows)]


def _number(band):
    if not all(map(np.isfinite, band)):
        return "-"
    center, low, high = (f"{value:.3f}" if value else "0" for value in band)
    return f"{center} [{low}, {high}]"


def document(compared: Compared, made: Sequence[canvas.Picture], found: Sequence[study.Table]) -> str:
    """Returns the page, an HTML document, of the pictures `made` and the tables `found`."""
    studies, searches = compared.studies, compared.searches
    subtitle = f"{studies.name}: {compared.num_seeds} seeds on each task, compared after {compared.num_queries} queries"
    *parts, last = [page.paragraph(caption) + page.table(header, rows) for caption, header, rows in found]
    parts = [*map(page.note, notes(compared)), page.paragraph(_METHOD.format(UNITS[compared.is_known][0])), *parts]
    parts.append(page.folded("Comparisons of all pairs", last))
    flags = [checklist.flags(one.config, f"All flags of {one.task}, as a flagfile") for one in studies.studies]
    machines = [{name: one.config.get(name, {}) for name in ("device", "versions")} for one in studies.studies]
    sections = [
        page.Section("Results", "".join(parts)),
        page.Section("Pictures", page.pictures(made)),
        page.Section("Tables to copy", study.to_copy(found)),
        *checklist.sections(
            machines[0] if all(one == machines[0] for one in machines) else {},
            _stated(compared),
            seconds=_seconds(compared),
            test="on the pages of the single studies",
            settings="".join(flags),
        ),
    ]
    title = f"Study of {len(searches.tasks)} tasks"
    return page.document(title, subtitle, sections, is_finished=studies.is_finished)


def notes(compared: Compared) -> list[str]:
    """Returns notes on what is left out of the comparison, or differs between tasks."""
    studies, searches = compared.studies, compared.searches
    text, left_out = "{} is left out of the comparison: it is missing on {}.", searches.left_out
    texts = [text.format(name, ", ".join(tasks)) for name, tasks in left_out.items()]
    if studies.missing:
        texts.append(f"Nothing is done yet on {', '.join(studies.missing)}; start the study again to resume.")
    texts += [f"The study of {one.task} is unfinished." for one in studies.studies if not one.is_finished]
    budgets = {one.task: one.report["budget"] for one in studies.studies}
    longer = [f"{task} ({budget})" for task, budget in budgets.items() if budget > compared.num_queries]
    if longer:
        texts.append(f"Searches had larger budgets than the number of queries compared here: {', '.join(longer)}.")
    protocols = {one.task: one.report["protocol"] for one in studies.studies}
    if len(set(protocols.values())) > 1:
        texts.append(f"Protocols differ: {', '.join(f'{task} {protocol}' for task, protocol in protocols.items())}.")
    firsts = {one.task: one.report["seed"] for one in studies.studies}
    if len(set(firsts.values())) > 1:
        texts.append(f"First seeds differ: {', '.join(f'{task} {seed}' for task, seed in firsts.items())}.")
    return texts


def _seconds(compared):
    texts, reports = [], [one.report for one in compared.studies.studies]
    for name in compared.searches.algorithms:
        each = [report["algorithms"][name]["seconds_per_search"] for report in reports]
        compiling = sum(report["algorithms"][name]["compile_seconds"] for report in reports)
        texts.append(f"{name} {min(each):.3g} to {max(each):.3g} s per search and {compiling:.1f} s of compilation")
    return ", ".join(texts)


def _stated(compared):
    searches, reports = compared.searches, [one.report for one in compared.studies.studies]
    firsts = " or ".join(str(seed) for seed in sorted({report["seed"] for report in reports}))
    seeds = f"{compared.num_seeds} on each task, starting from {firsts}, intervals in the tables"
    seeds, baselines = (seeds, compared.num_seeds > 1), (", ".join(searches.algorithms), True)
    tasks, budget = ", ".join(searches.tasks), f"{compared.num_queries} architectures per search"
    protocols = " or ".join(sorted({report["protocol"] for report in reports}))
    return checklist.of_searches(tasks, protocols, budget, seeds=seeds, baselines=baselines)
