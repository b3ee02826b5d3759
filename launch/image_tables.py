"""The table of networks for small images: what was found, and what is beside it, tested alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import rich.console
import rich.table

from common.report import image_search_files


def rows(result: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Returns (header, rows) of the table of a result.json, as text."""
    made = []
    for name in dict.fromkeys(row["found_by"] for row in result["networks"]):
        own = [row for row in result["networks"] if row["found_by"] == name]
        # A mean is over networks, or over the trainings of the one there is.
        tests = np.array([np.mean(row["test"]) for row in own] if len(own) > 1 else own[0]["test"])
        shared = np.array([row["shared_weights"] for row in own])
        spread = f" ± {100 * tests.std(ddof=1) / len(tests) ** 0.5:.2f}" if len(tests) > 1 else ""
        spread += f" (from {100 * tests.min():.2f} to {100 * tests.max():.2f})" if len(own) > 1 else ""
        made.append((name, str(len(own)), f"{100 * shared.mean():.2f} %", f"{100 * tests.mean():.2f} %{spread}"))
    return ("found by", "networks", "validation on shared weights", "test, trained alone"), made


def show(result: Mapping[str, Any]) -> None:
    """Prints the table of a result.json."""
    names, told = rows(result)
    table = rich.table.Table(title=_title(result))
    for name in names:
        table.add_column(name)
    for row in told:
        table.add_row(*row)
    rich.console.Console().print(table)
    print(f"rank correlation of both (Kendall's tau): {_tau(result)}", flush=True)


def markdown(result: Mapping[str, Any]) -> str:
    """Returns the table of a result.json as a page of its own."""
    names, told = rows(result)
    lines = [f"# {_title(result)}", ""]
    lines += [f"Seed {result['seed']}; {result['budget']} architectures measured on shared weights by each search.", ""]
    lines += [
        f"Of the best {result['num_best']} of each search one was chosen by training alone; "
        f'"{image_search_files.CHOSEN}" is chosen so among {result["num_best"]} random architectures.',
        "",
    ]
    lines += ["| " + " | ".join(row) + " |" for row in (names, ("---",) * len(names), *told)]
    lines += ["", f"Kendall's tau between both columns, over all networks: {_tau(result)}.", ""]
    return "\n".join(lines)


def _title(result):
    return f"{result['space']} on {result['num_images'] or 'all'} images of {result['dataset']}"


def _tau(result):
    """Kendall's tau as text; there is none where all networks are equal in one of the columns."""
    return f"{result['kendall_tau']:.2f}" if np.isfinite(result["kendall_tau"]) else "not defined"
