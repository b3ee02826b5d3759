"""Scores judged by the published accuracies of all networks: the page of `benchmarks.supernet_ranking --truth`."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from common.records import json_files
from common.report import canvas, page, units

_TAUS = {"0": "all", "0.9": "at least 90 %", "0.93": "at least 93 %"}  # a tau of too few networks is missing
_TOPS = ("10", "20")
_BEST = {"accuracy": (float, int), "rank": int}
_SCORE = {"tau": dict.fromkeys((f"{least}?" for least in _TAUS), dict), "top": dict.fromkeys(_TOPS, _BEST)}
_RECORD = {"truth": str, "networks": int, "seed": int, "processor_seconds": (float, int), "scores": {"*": _SCORE}}


class Judged(NamedTuple):
    """Scores of networks, judged by their accuracies."""

    name: str  # of the file
    record: Mapping[str, Any]  # that of the benchmark
    is_finished: bool = True  # as the file is written at the end


def of(path: pathlib.Path, record: Mapping[str, Any]) -> Judged:
    """Returns the contents of a file; ValueError if it is damaged."""
    json_files.check(path, record, _RECORD)
    return Judged(path.name, record)


def pictures(judged: Judged) -> list[canvas.Picture]:
    """Returns none."""
    del judged
    return []


def document(judged: Judged, made: Sequence[canvas.Picture]) -> str:
    """Returns the page, an HTML document."""
    del made
    record, rows = judged.record, []
    for name, one in record["scores"].items():
        bands = ([one["tau"].get(least, {}).get(end) for end in ("center", "low", "high")] for least in _TAUS)
        best = (one["top"][top] for top in _TOPS)
        cells = [units.interval(band, ".3f", 1) for band in bands]
        rows.append([name, *cells, *(f"{100 * at['accuracy']:.2f} %, #{at['rank']}" for at in best)])
    header = ["score", *_TAUS.values(), *(f"best of {top}" for top in _TOPS)]
    text = (
        f"Kendall's tau of scores with the published test accuracies of {record['truth']} on CIFAR-10, over all "
        "networks and over those of an accuracy, with 95 % bootstrap intervals. The last columns are the accuracy and "
        "the true rank, within these networks, of the best among those with the largest scores."
    )
    sections = [page.Section("Results", page.table(header, rows) + page.paragraph(text))]
    about = (
        f"{record['networks']:,} networks, seed {record['seed']}, {record['processor_seconds']:.0f} s of processor time"
    )
    return page.document("How well scores rank", f"{judged.name}: {about}", sections)
