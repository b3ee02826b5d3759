"""The table of networks for small images, printed and as a page."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import rich.console
import rich.table

from common.records import run_dir
from common.report import image_table


def show(result: Mapping[str, Any]) -> None:
    """Prints the table of a result.json."""
    names, rows = _table(result)
    table = rich.table.Table(title=_title(result))
    for name in names:
        table.add_column(name)
    for row in rows:
        table.add_row(*row)
    rich.console.Console().print(table)
    print(f"rank correlation of shared weights and test (Kendall's tau): {_tau(result)}", flush=True)


def markdown(result: Mapping[str, Any]) -> str:
    """Returns the table of a result.json as a page of its own."""
    names, rows = _table(result)
    num = result["num_best"]
    about = f"Seed {result['seed']}; {result['budget']} architectures measured on shared weights by each search."
    chosen = (
        f"The best {num} of each search were trained alone, and the best of them by validation was tested; "
        f'"{image_table.CHOSEN}" is the same of {num} random architectures, without shared weights.'
    )
    lines = ["| " + " | ".join(row) + " |" for row in (names, ("---",) * len(names), *rows)]
    tau = f"Kendall's tau between shared weights and test, over all networks: {_tau(result)}."
    return "\n".join([f"# {_title(result)}", "", about, "", chosen, "", *lines, "", image_table.NOTE, "", tau, ""])


def _table(result):
    path = pathlib.Path(run_dir.RESULT)
    parts = (("networks", "test"), ("choice", "validation"))
    return image_table.table(*(image_table.networks(result, *part, path=path) for part in parts))


def _title(result):
    return f"{result['space']} on {result['num_images'] or 'all'} images of {result['dataset']}"


def _tau(result):
    """Kendall's tau as text; there is none where all networks are equal in one of the columns."""
    return f"{result['kendall_tau']:.2f}" if np.isfinite(result["kendall_tau"]) else "not defined"
