"""The page of a study, and its tables."""

import math
from collections.abc import Sequence

import numpy as np

from common.report import canvas, checklist, files, page, search_pictures, study_pictures
from common.statistics import tables


def pictures(study: files.Study) -> list[canvas.Picture]:
    """Returns all pictures that the files of a study suffice for."""
    made = [
        study_pictures.curves(study, of="best_fitness", statistic="mean"),
        study_pictures.curves(study, of="best_fitness", statistic="median"),
    ]
    if study.report["protocol"] != "test":
        made.append(study_pictures.curves(study, of="test_of_best", statistic="mean"))
    for target in targets(study):
        made += [study_pictures.reached(study, target, by=by) for by in ("queries", "seconds")]
    made.append(study_pictures.improvements(study))
    return [one for one in made if one is not None]


def targets(study: files.Study) -> list[float]:
    """Returns the targets that the study counted to, the largest first."""
    told = next(iter(study.report["algorithms"].values()))
    return [one["target"] for one in told.get("targets", ())]


def document(study: files.Study, made: Sequence[canvas.Picture]) -> str:
    """Returns the page, an HTML document."""
    report = study.report
    title = f"Study: {report['benchmark']}/{report['dataset']}"
    state = "finished" if study.is_finished else "unfinished"
    subtitle = f"{study.name}: {report['num_seeds']} seeds, {report['budget']} queries, {state}"
    note = ""
    if not study.is_finished:
        missing = [name for name in study.config["flags"]["algorithms"] if name not in report["algorithms"]]
        note = (
            f'<p class="note"><strong>This study is unfinished:</strong> {page.escape(", ".join(missing))} still to '
            "come. Start it again with the same --workdir to go on.</p>\n"
        )
    if len(study.curves) < len(report["algorithms"]):
        note += page.paragraph("Curves of an older version are missing; launch.study with this --workdir writes them.")
    found = tables_of(study)
    *first, last = [page.paragraph(name) + page.table(header, rows) for name, header, rows in found]
    if report.get("comparisons"):
        last = page.folded("Comparisons of all pairs", last)
    shown = "".join([*first, last])
    sections = [
        page.Section("What came of it", note + shown),
        page.Section("Pictures", page.pictures(made)),
        page.Section("What a paper must state", checklist.body(_items(study))),
        page.Section("Tables to copy", to_copy(found)),
        page.Section("Settings", page.folded("All flags, as a flagfile",
                                             page.listing(checklist.flagfile(study.config)))),
    ]  # fmt: skip
    return page.document(title, subtitle, sections)


def markdown(found: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]]) -> str:
    """Returns (name, header, rows) tables as Markdown."""
    return "\n".join(f"{name}\n\n{tables.markdown(header, rows)}" for name, header, rows in found)


def latex(found: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]]) -> str:
    """Returns (name, header, rows) tables as LaTeX, the names as comments."""
    return "\n".join(f"% {' '.join(name.split())}\n{tables.latex(header, rows)}" for name, header, rows in found)


def percent(band: Sequence[float | None], form: str = ".2f") -> str:
    """Returns a value and the ends of its interval in %; "-" where one of them is not known."""
    if any(value is None or not math.isfinite(value) for value in band):
        return "-"
    center, low, high = (format(100 * value, form) for value in band)
    return f"{center} [{low}, {high}]"


def to_copy(found: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]]) -> str:
    """Returns (name, header, rows) tables as text to copy, folded, for a page."""
    return page.folded("Markdown", page.listing(markdown(found))) + page.folded(
        "LaTeX, with the package booktabs", page.listing(latex(found))
    )


def tables_of(study: files.Study) -> list[tuple[str, list[str], list[list[str]]]]:
    """Returns the tables of a study: (name, header, rows) each, of text."""
    report, found = study.report, []
    last = str(report["budget"])
    rows = []
    for name, said in report["algorithms"].items():
        bands = said.get("intervals")
        if bands:
            best, test = bands["best_fitness"][last], bands["test_of_best"][last]
            parts = [*(best[kind] for kind in ("mean", "interquartile_mean", "median")), test["mean"]]
            rows.append([name, *(percent(band) for band in parts), f"{said['seconds_per_search']:.3g}"])
    header = ["algorithm", "mean (%)", "interquartile mean (%)", "median (%)", "test of best, mean (%)", "s a search"]
    name = (
        f"Best {report['protocol']} fitness after {last} queries, {report['num_seeds']} seeds; in brackets 95 % "
        "intervals of the bootstrap, of the median the quartiles."
    )
    found.append((name, header, rows))
    has_time = any(np.any(algorithm.seconds[:, -1] > 0) for algorithm in study.curves.values())
    for at, target in enumerate(targets(study)):
        rows = []
        divisor, unit = _unit(report, at)
        for algorithm, said in report["algorithms"].items():
            told = said["targets"][at]
            spreads = [_spread(told["queries"], 1, ".1f"), _spread(told["seconds"], divisor, ".3g")]
            rows.append([algorithm, f"{100 * told['found']:.0f}", *spreads])
        header = ["algorithm", "seeds that reached it (%)", "queries: median", f"training time: median ({unit})"]
        if not has_time:
            header, rows = header[:-1], [row[:-1] for row in rows]
        name = f"To {100 * target:.2f} %; in brackets the quartiles; never: not within {last} queries."
        found.append((name, header, rows))
    rows = [_compared(one) for one in report.get("comparisons", ())]
    if rows:
        header = ["first", "second", "by", "first better (%)", "p", "p after Holm"]
        name = (
            "Comparisons: probability that a search of the first does better (ties half) with its 95 % interval; p of "
            "the Mann-Whitney test, both sides, and corrected for the number of pairs."
        )
        found.append((name, header, rows))
    return found


def _compared(one):
    by = "best fitness" if one["of"] == "best_fitness" else f"queries to {100 * one['target']:.2f} %"
    return [
        one["first"],
        one["second"],
        by,
        percent(one["improvement"], ".0f"),
        f"{one['p_value']:.2g}",
        f"{one['adjusted']:.2g}",
    ]


def _spread(values, divisor, form):
    """The median and the quartiles; "never" where one of them is of searches that did not get there."""
    center, low, high = ("never" if value is None else format(value / divisor, form) for value in values)
    return "never" if center == low == high == "never" else f"{center} [{low}, {high}]"


def _unit(report, at):
    seconds = [said["targets"][at]["seconds"] for said in report["algorithms"].values()]
    return search_pictures.time_unit(max((value for each in seconds for value in each if value is not None), default=0))


def _items(study):
    report = study.report
    names = list(report["algorithms"])
    seconds = ", ".join(
        f"{name} {said['seconds_per_search']:.3g} s a search and {said['compile_seconds']:.1f} s of compiling"
        for name, said in report["algorithms"].items()
    )
    has_test = any(
        value is not None for said in report["algorithms"].values() for value in said["test_of_best"].values()
    )
    first, last = report["seed"], report["seed"] + report["num_seeds"] - 1
    return checklist.items(
        study.config,
        benchmark=f"{report['benchmark']}/{report['dataset']}",
        protocol=report["protocol"],
        budget=f"{report['budget']} architectures for each search",
        seeds=f"{report['num_seeds']}: {first} to {last}, intervals in the tables",
        has_spread=report["num_seeds"] > 1,
        baselines=", ".join(names) + ("" if "random" in names else "; random search is missing"),
        has_baselines="random" in names and len(names) > 1,
        seconds=seconds,
        test="in the table, of the best so far" if has_test else "unknown",
    )
