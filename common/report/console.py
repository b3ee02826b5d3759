"""Tables that commands print."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import rich.console
import rich.table
import rich.text

_FAILURES_SHOWN = 3


def show(title: str, header: Sequence[str] | None, rows: Iterable[Sequence[str]]) -> None:
    """Prints a table whose cells wrap.

    Args:
      header: names of the columns; None: none are shown.
      rows: texts, none of which are markup.
    """
    table = rich.table.Table(title=title, show_header=header is not None)
    rows = [[rich.text.Text(cell) for cell in row] for row in rows]
    for name in header or [""] * len(rows[0]):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    rich.console.Console().print(table)


def show_facts(title: str, facts: Mapping[str, str]) -> None:
    """Prints a table of names and values."""
    show(title, None, facts.items())


def show_result(result: Mapping[str, Any], algorithm: str, optimum: float | None) -> None:
    """Prints the result of a search."""
    rows = {
        "search sees": f"{result['protocol']} fitness",
        "queries": f"{result['queries']} ({_infeasible(result)})",
        "seconds": f"{result['seconds']:.1f}, compiling included",
    }
    if "failures" in result:
        shown = list(result["failures"].items())[:_FAILURES_SHOWN]
        rows["infeasible"] = "\n".join(f"{count} x {reason}" for reason, count in shown)
    best = result["best"]
    if best is None:
        rows["best"] = "no evaluation succeeded"
    else:
        rows["best fitness"] = f"{100 * best['fitness']:.2f} %"
        if optimum is not None:
            rows["simple regret"] = f"{100 * (optimum - best['fitness']):.2f} points"
        rows["test fitness"] = "unknown" if best["test"] is None else f"{100 * best['test']:.2f} %"
        rows["architecture"] = best["description"]
        rows["row"] = " ".join(map(str, best["arch"]))
    where = f"{algorithm} on {result['benchmark']}/{result['dataset']}".rstrip("/")
    show_facts(where, rows)
    if result.get("front"):
        _show_front(result, where)


def _infeasible(result):
    num_over = result.get("over_limit", 0)
    return f"{result['infeasible']} infeasible" + (f", {num_over} of them over the limit" if num_over else "")


def _show_front(result, where):
    """Prints the table of the front of a result.json."""
    names = list(result["front"][0]["costs"])
    rows = [
        (f"{100 * one['fitness']:.2f} %", *(f"{one['costs'][name]:.6g}" for name in names), one["description"])
        for one in result["front"]
    ]
    worst = {name: f"{value:.6g}" for name, value in result["reference"].items()}
    worst["fitness"] = f"{100 * result['reference']['fitness']:.2f} %"
    reference = ", ".join(map(" ".join, worst.items()))
    caption = f"hypervolume {result['hypervolume']:.4f} (reference point: {reference})"
    if "hypervolume_gap" in result:
        found = f"{100 * result['front_found']:.0f} % of the points of the true front"
        caption += f"\ngap {100 * result['hypervolume_gap']:.2f} %, {found}"
    show(f"front of {where}: {','.join(result['objectives'])}\n{caption}", ("fitness", *names, "architecture"), rows)


def show_finalists(finalists: Sequence[Any]) -> None:
    """Prints the table of `common.runs.finalists.Finalist`s."""
    rows, is_halved = [], any(one.epochs is not None for one in finalists)
    for one in sorted(finalists, key=lambda one: (-(one.epochs or np.inf), -np.nan_to_num(one.result.fitness))):
        trained = f"{100 * one.result.fitness:.2f} %" if np.isfinite(one.result.fitness) else "infeasible"
        epochs = ["all" if one.epochs is None else f"{one.epochs}"] if is_halved else []
        rows.append((f"{100 * one.found:.2f} %", trained, *epochs, one.description))
    header = ("shared weights", "trained", *(["epochs"] if is_halved else []), "architecture")
    show("the best on shared weights, trained for a short time", header, rows)
