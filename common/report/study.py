"""A study: its folder, its tables and its page."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from common.file_formats import npz
from common.records import json_files, run_dir
from common.report import canvas, checklist, front_study, page, study_pictures, units
from common.statistics import study as statistics
from common.statistics import tables as texts

Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]  # caption, header, rows

_NUMBER, _MAYBE = json_files.NUMBER, (*json_files.NUMBER, type(None))
_BAND = (_MAYBE,) * 3
_BANDS = {"*": {"mean": _BAND, "interquartile_mean": _BAND, "median": _BAND}}
_STUDY = {  # study.json
    **{"benchmark": str, "dataset": str, "protocol": str, "budget": int, "num_seeds": int, "seed": int},
    "optimum?": _NUMBER,
    "algorithms": {
        "*": {
            **{"seconds_per_search": _NUMBER, "compile_seconds": _NUMBER, "queries_to_optimum?": {"*": _MAYBE}},
            **{"best_fitness": {"*": _MAYBE}, "test_of_best": {"*": _MAYBE}},
            "intervals?": {"best_fitness": _BANDS, "test_of_best": _BANDS},
            "front_intervals?": {"*": {"*": {"*": _BAND}}},
            "targets?": [{"target": _NUMBER, "found": _NUMBER, "queries": _BAND, "seconds": _BAND}],
        }
    },
    **{"objectives?": [str], "front_is_known?": bool, "front_values?": [{"*": _NUMBER}]},
    **{"reference?": {"*": _NUMBER}, "ideal?": {"*": _NUMBER}},
    "comparisons?": [
        {
            **{"of": str, "target?": _NUMBER, "first": str, "second": str, "improvement": _BAND},
            **{"p_value": _MAYBE, "adjusted": _MAYBE},
        }
    ],
}


class Study(NamedTuple):
    """Searches of several algorithms, with many seeds."""

    name: str  # of its folder
    config: Mapping[str, Any]  # config.json
    report: Mapping[str, Any]  # study.json
    curves: Mapping[str, statistics.Curves]  # by algorithm, for those that have a file
    fronts: front_study.Fronts | None = None  # of several objectives

    @property
    def missing(self) -> list[str]:
        """The algorithms that are not done yet."""
        names = self.config.get("algorithms", self.config["flags"].get("algorithms", ()))  # the latter: older versions
        return [name for name in names if name not in self.report["algorithms"]]

    @property
    def is_finished(self) -> bool:
        """Whether all algorithms are done."""
        return not self.missing

    @property
    def task(self) -> str:
        """The name of its task."""
        return f"{self.report['benchmark']}/{self.report['dataset']}".rstrip("/")


def read(folder: pathlib.Path, config: Mapping[str, Any]) -> Study:
    """Returns the study in a folder whose config.json is `config`; ValueError if nothing is done yet or damaged."""
    report = json_files.read(folder / run_dir.STUDY)
    if not report or not report.get("algorithms"):
        raise ValueError(f"{folder} has no complete {run_dir.STUDY}: none of its algorithms is done yet")
    json_files.check(folder / run_dir.STUDY, report, _STUDY)
    json_files.check(folder / run_dir.CONFIG, config, {"flags": dict, "algorithms?": [str]})
    num_targets = {len(record.get("targets") or ()) for record in report["algorithms"].values()}
    if len(num_targets) > 1:
        raise ValueError(f"{folder / run_dir.STUDY} is damaged: its algorithms have different targets; restore it")
    curves = {}
    for name, record in report["algorithms"].items():
        if "normalised_regret" in (by_seed := record.get("by_seed", {})):  # as earlier versions spelled it
            by_seed["normalized_regret"] = by_seed.pop("normalised_regret")
        path = folder / run_dir.CURVES.format(name)
        if path.exists():
            curves[name] = _read_curves(path)
    return Study(folder.resolve().name, config, report, curves, front_study.read(folder, report))


def _read_curves(path):
    arrays = npz.read(path, statistics.Curves._fields)
    shape = arrays["seconds"].shape if "seconds" in arrays else ()
    for name in statistics.Curves._fields:
        values = arrays.get(name)
        if values is None or values.shape != shape or values.ndim != 2 or not np.issubdtype(values.dtype, np.floating):
            raise ValueError(f"{path} is damaged: the array {name} must be numbers by seed and query")
    return statistics.Curves(**arrays)


def targets(study: Study) -> list[float]:
    """Returns the targets of the study, the largest first."""
    return [one["target"] for one in next(iter(study.report["algorithms"].values())).get("targets", ())]


def pictures(study: Study) -> list[canvas.Picture]:
    """Returns all pictures that the files of a study suffice for."""
    made = [] if study.fronts is None else front_study.pictures(study.fronts)
    made += [study_pictures.curves(study, of="best_fitness", statistic=name) for name in ("mean", "median")]
    if study.report["protocol"] != "test":
        made.append(study_pictures.curves(study, of="test_of_best", statistic="mean"))
    made += [study_pictures.reached(study, target, by=by) for target in targets(study) for by in ("queries", "seconds")]
    made.append(study_pictures.improvements(study.report))
    return [one for one in made if one is not None]


def document(study: Study, made: Sequence[canvas.Picture]) -> str:
    """Returns the page, an HTML document."""
    report, found = study.report, tables(study)
    subtitle = f"{study.name}: {report['num_seeds']} seeds, {report['budget']} queries"
    note = "" if study.is_finished else page.unfinished("study", f"{', '.join(study.missing)} still to run.")
    parts = [page.paragraph(caption) + page.table(header, rows) for caption, header, rows in found]
    if report.get("comparisons"):
        parts[-1] = page.folded("Comparisons of all pairs", parts[-1])
    seconds = ", ".join(
        f"{name} {record['seconds_per_search']:.3g} s per search and {record['compile_seconds']:.1f} s of compilation"
        for name, record in report["algorithms"].items()
    )
    tests = {value for record in report["algorithms"].values() for value in record["test_of_best"].values()}
    test = "in the table, of the best so far" if tests - {None} else None
    sections = [
        page.Section("Results", note + "".join(parts)),
        page.Section("Pictures", page.pictures(made)),
        page.Section("Tables to copy", to_copy(found)),
        *checklist.sections(study.config, _stated(study), seconds=seconds, test=test),
    ]
    return page.document(f"Study: {study.task}", subtitle, sections, is_finished=study.is_finished)


def markdown(found: Sequence[Table]) -> str:
    """Returns tables as Markdown."""
    return "\n".join(f"{caption}\n\n{texts.markdown(header, rows)}" for caption, header, rows in found)


def latex(found: Sequence[Table]) -> str:
    """Returns tables as LaTeX, the captions as comments."""
    return "\n".join(f"% {' '.join(caption.split())}\n{texts.latex(header, rows)}" for caption, header, rows in found)


def to_copy(found: Sequence[Table]) -> str:
    """Returns tables as folded Markdown and LaTeX texts to copy, HTML."""
    latex_text = page.folded("LaTeX, with the package booktabs", page.listing(latex(found)))
    return page.folded("Markdown", page.listing(markdown(found))) + latex_text


def tables(study: Study) -> list[Table]:
    """Returns the tables of a study, of text."""
    report, last = study.report, str(study.report["budget"])
    rows = []
    for name, record in report["algorithms"].items():
        if record.get("intervals"):
            if not all(last in curve for curve in record["intervals"].values()):
                raise ValueError(
                    f"{run_dir.STUDY} of {study.name} is damaged: {name} has no intervals after {last} queries"
                )
            best, test = (record["intervals"][key][last] for key in ("best_fitness", "test_of_best"))
            bands = [*(best[kind] for kind in ("mean", "interquartile_mean", "median")), test["mean"]]
            rows.append([name, *map(units.interval, bands), f"{record['seconds_per_search']:.3g}"])
    header = ["algorithm", "mean (%)", "interquartile mean (%)", "median (%)", "test of best, mean (%)", "s per search"]
    caption = (
        f"Best {report['protocol']} fitness after {last} queries, {report['num_seeds']} seeds; in brackets 95 % "
        "bootstrap intervals, for the median the quartiles."
    )
    several = [] if study.fronts is None else [front_study.table(report)]
    found = [
        *several,
        (caption, header, rows),
        *(_reaching(study, at, target) for at, target in enumerate(targets(study))),
    ]
    if report.get("comparisons"):
        header = ["first", "second", "by", "first better (%)", "p", "p after Holm"]
        caption = (
            "Comparisons: probability that a search of the first does better (ties half) with its 95 % interval; "
            "p-value of the two-sided Mann-Whitney test, also corrected for the number of pairs."
        )
        found.append((caption, header, [_compared(one) for one in report["comparisons"]]))
    return found


def _reaching(study, at, target):
    """The table of the queries and the training time to a target."""
    records = {name: record["targets"][at] for name, record in study.report["algorithms"].items()}
    finite = [value for record in records.values() for value in record["seconds"] if value is not None]
    divisor, unit = units.time(max(finite, default=0))
    rows = []
    for name, record in records.items():
        queries, seconds = _quartiles(record["queries"], 1, ".1f"), _quartiles(record["seconds"], divisor, ".3g")
        rows.append([name, f"{100 * record['found']:.0f}", queries, seconds])
    header = ["algorithm", "seeds that reached it (%)", "queries: median", f"training time: median ({unit})"]
    if not any(np.any(curves.seconds[:, -1] > 0) for curves in study.curves.values()):
        header, rows = header[:-1], [row[:-1] for row in rows]
    budget = study.report["budget"]
    caption = f"Reaching {100 * target:.2f} %: medians, in brackets quartiles; never: not within {budget} queries."
    return caption, header, rows


def _quartiles(values, divisor, form):
    """The median and the quartiles; "never" for those of searches that did not reach the target."""
    center, low, high = ("never" if value is None else format(value / divisor, form) for value in values)
    return "never" if center == low == high == "never" else f"{center} [{low}, {high}]"


def _compared(one):
    by = {"best_fitness": "best fitness", "hypervolume": "hypervolume"}.get(one["of"])
    by = by or f"queries to {100 * one['target']:.2f} %"
    improvement = units.interval(one["improvement"], ".0f")
    p_values = ("-" if one[name] is None else f"{one[name]:.2g}" for name in ("p_value", "adjusted"))
    return [one["first"], one["second"], by, improvement, *p_values]


def _stated(study):
    report, names, num_seeds = study.report, list(study.report["algorithms"]), study.report["num_seeds"]
    seeds = f"{num_seeds}: {report['seed']} to {report['seed'] + num_seeds - 1}, intervals in the tables"
    baselines = ", ".join(names) + ("" if "random" in names else "; random search is missing")
    seeds, baselines = (seeds, num_seeds > 1), (baselines, "random" in names and len(names) > 1)
    budget = f"{report['budget']} architectures per search"
    return checklist.of_searches(study.task, report["protocol"], budget, seeds=seeds, baselines=baselines)
