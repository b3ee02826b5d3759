"""The networks that `benchmarks.shared_searches` trained from scratch, and the table of its results."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from common.records import run_dir
from common.report import units

RANDOM = "random architectures"  # that no search found
CHOSEN = "random, chosen alike"  # the best of random ones, chosen as that of a search is
NOTE = (
    "Means ± standard errors, over networks, or over the trainings of a single one; in brackets from the worst to the "
    "best network. Searches see validation accuracy only."
)


class Network(NamedTuple):
    """An architecture that was trained from scratch."""

    found_by: str  # a search, or `RANDOM`, or `CHOSEN`
    arch: np.ndarray  # int32[L]
    shared: float  # its fitness on shared weights; NaN where unknown
    accuracies: np.ndarray  # float64[T], after each training, NaN where that failed

    @property
    def accuracy(self) -> float:
        """The mean of its trainings; NaN where one failed, or there is none."""
        return float(np.mean(self.accuracies)) if len(self.accuracies) else math.nan


def networks(result: Mapping[str, Any], name: str, part: str, *, path: pathlib.Path) -> tuple[Network, ...]:
    """Returns the list `name` ("networks" or "choice") of a result.json, with the accuracies on a part of the images.

    Raises:
      ValueError: one of them cannot be read; `path` is named in the message.
    """
    found, rows = [], result.get(name)
    for at, row in enumerate(rows if isinstance(rows, list) else ()):
        try:
            alone, shared = row.get(part), row.get("shared_weights")
            each = alone if isinstance(alone, list) else [] if alone is None else [alone]
            shared, *each = (math.nan if one is None else float(one) for one in (shared, *each))
            arch = np.array([int(choice) for choice in row["arch"]], np.int32)
            found.append(Network(str(row["found_by"]), arch, shared, np.array(each, np.float64)))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            text = f"{path} is damaged: number {at} of {name} cannot be read ({error!r}); restore it"
            raise ValueError(text) from error
    return tuple(found)


def groups(networks: Sequence[Network]) -> dict[str, list[Network]]:
    """Returns the networks by what found them, in their order."""
    found: dict[str, list[Network]] = {}
    for one in networks:
        found.setdefault(one.found_by, []).append(one)
    return found


def table(networks: Sequence[Network], candidates: Sequence[Network]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Returns (header, rows) of the results, as text.

    Args:
      networks: with test accuracies.
      candidates: among which they were chosen, with validation accuracies: their mean is the result before that choice.
    """
    chosen_among, rows = groups(candidates), []
    for name, own in groups(networks).items():
        tests = np.array([one.accuracy for one in own])
        ok = tests[np.isfinite(tests)]
        test = _mean(tests if len(own) > 1 else own[0].accuracies)
        test += f" ({units.percent(ok.min())} to {units.percent(ok.max())})" if len(ok) > 1 else ""
        alone = _mean(np.array([one.accuracy for one in chosen_among.get(name, ())]))
        shared = _mean(np.array([one.shared for one in own]), has_error=False)
        rows.append((name, test, alone, shared, str(len(own)), str(len(tests) - len(ok))))
    header = ["found by", "test, trained from scratch", "candidates, validation, trained from scratch"]
    header += ["validation on shared weights", "networks", "failed"]
    shown = [0, 1, *([2] if candidates else []), 3, 4, *([5] if any(row[5] != "0" for row in rows) else [])]
    return tuple(header[at] for at in shown), [tuple(row[at] for at in shown) for row in rows]


def markdown(result: Mapping[str, Any]) -> str:
    """Returns the table of a result.json as a page."""
    names, rows = table_of(result)
    num = result["num_best"]
    about = f"Seed {result['seed']}; {result['budget']} architectures evaluated on shared weights by each search."
    chosen = (
        f"The best {num} of each search were trained from scratch, and the best of them by validation was tested; "
        f'"{CHOSEN}" is the same of {num} random architectures, without shared weights.'
    )
    lines = ["| " + " | ".join(row) + " |" for row in (names, ("---",) * len(names), *rows)]
    tau_line = f"Kendall's tau between shared weights and test, over all networks: {tau(result)}."
    return "\n".join([f"# {title(result)}", "", about, "", chosen, "", *lines, "", NOTE, "", tau_line, ""])


def table_of(result: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Returns (names of the columns, rows) of the table of a result.json."""
    parts, path = (("networks", "test"), ("choice", "validation")), pathlib.Path(run_dir.RESULT)
    return table(*(networks(result, *part, path=path) for part in parts))


def title(result: Mapping[str, Any]) -> str:
    """Returns the title of the table."""
    return f"{result['space']} on {result['num_images'] or 'all'} images of {result['dataset']}"


def tau(result: Mapping[str, Any]) -> str:
    """Returns Kendall's tau as text; it is not defined where all networks are equal in one of the columns."""
    return f"{result['kendall_tau']:.2f}" if np.isfinite(result["kendall_tau"]) else "not defined"


def _mean(accuracies, has_error=True):
    """A mean and its standard error as text, without failures."""
    ok = accuracies[np.isfinite(accuracies)]
    if not len(ok):
        return "-"
    error = f" ± {100 * ok.std(ddof=1) / len(ok) ** 0.5:.2f}" if has_error and len(ok) > 1 else ""
    return f"{units.percent(ok.mean())}{error}"
