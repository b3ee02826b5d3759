"""The table of `launch.search_images`: what was found, and what is beside it, trained alone."""

from collections.abc import Sequence

import numpy as np

from common.report import image_search_files

NOTE = (
    "Means ± their standard errors, over networks, or over the trainings of the one there is; in brackets from the "
    "worst to the best network. Searches see validation accuracy only."
)


def groups(networks: Sequence[image_search_files.Network]) -> dict[str, list[image_search_files.Network]]:
    """Returns what found them -> networks, in their order."""
    found = {}
    for one in networks:
        found.setdefault(one.found_by, []).append(one)
    return found


def table(
    networks: Sequence[image_search_files.Network], candidates: Sequence[image_search_files.Network]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Returns (header, rows) of what was found, as text.

    Args:
      networks: what was found and what is beside it, with test accuracies.
      candidates: all among which they were chosen, with validation accuracies: their mean is what a search gives
        before that choice.
    """
    chosen_among, rows = groups(candidates), []
    for name, own in groups(networks).items():
        tests = np.array([one.accuracy for one in own])
        test = _mean(tests if len(own) > 1 else own[0].accuracies)
        ok = tests[np.isfinite(tests)]
        spread = f" ({_percent(ok.min())} to {_percent(ok.max())})" if len(ok) > 1 else ""
        alone = _mean(np.array([one.accuracy for one in chosen_among.get(name, ())]))
        shared = np.array([one.shared for one in own])
        shared = shared[np.isfinite(shared)]
        mean = _percent(shared.mean()) if len(shared) else "-"
        rows.append((name, test + spread, alone, mean, str(len(own)), str(len(tests) - len(ok))))
    header = ["found by", "test, trained alone", "candidates, validation alone", "validation on shared weights"]
    header += ["networks", "failed"]
    shown = [0, 1, *([2] if candidates else []), 3, 4, *([5] if any(row[5] != "0" for row in rows) else [])]
    return tuple(header[at] for at in shown), [tuple(row[at] for at in shown) for row in rows]


def _mean(accuracies):
    """A mean and its standard error as text, what failed left out."""
    ok = accuracies[np.isfinite(accuracies)]
    error = f" ± {100 * ok.std(ddof=1) / len(ok) ** 0.5:.2f}" if len(ok) > 1 else ""
    return f"{_percent(ok.mean())}{error}" if len(ok) else "-"


def _percent(fraction):
    return f"{100 * fraction:.2f} %"
