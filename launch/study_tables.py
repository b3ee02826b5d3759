"""The tables that a study prints."""

from collections.abc import Mapping
from typing import Any

import rich.console
import rich.table

from common.statistics import study as studies


def show(report: Mapping[str, Any]) -> None:
    """Prints what study.json says."""
    console = rich.console.Console()
    where = f"{report['benchmark']}/{report['dataset']}, {report['num_seeds']} seeds, {report['budget']} queries"
    queries = rich.table.Table(title=f"Queries to the optimum\n{where}, {report['protocol']} fitness")
    queries.add_column("algorithm", no_wrap=True)
    for name in ("mean", "median", "sd", "found", "s/search", "compile s"):
        queries.add_column(name, justify="right")
    for name, said in report["algorithms"].items():
        count = said["queries_to_optimum"]
        numbers = [f"{count[key]:.1f}" for key in ("mean", "median", "sd")] if count else ["-"] * 3
        found = f"{100 * count['found']:.0f} %" if count else "-"
        queries.add_row(name, *numbers, found, f"{said['seconds_per_search']:.3f}", f"{said['compile_seconds']:.1f}")
    console.print(queries)
    for key, title in (
        ("best_fitness", "Best fitness in % (simple regret in points) after queries"),
        ("test_of_best", "Test fitness in % of the best after queries"),
    ):
        console.print(_curves(report, key, title))
    console.print(f"peak memory {report['peak_memory_mib']:.0f} MiB")


def _curves(report, key, title):
    """A row an algorithm, a column a checkpoint."""
    shown = studies.shown(studies.checkpoints(report["budget"]))
    table = rich.table.Table(title=title)
    table.add_column("algorithm", no_wrap=True)
    for queries in shown:
        table.add_column(str(queries), justify="right")
    for name, said in report["algorithms"].items():
        cells = [_percent(said[key][str(queries)]) for queries in shown]
        if key == "best_fitness" and "simple_regret" in said:
            regrets = [_percent(said["simple_regret"][str(queries)]) for queries in shown]
            cells = [f"{cell} ({regret})" for cell, regret in zip(cells, regrets)]
        table.add_row(name, *cells)
    return table


def _percent(value):
    return "-" if value is None else f"{100 * value:.2f}"
