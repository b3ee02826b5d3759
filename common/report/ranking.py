"""Agreement of shared weights with stand-alone training: its picture, and the page of `benchmarks.supernet_ranking`."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from common.file_formats import files, json_values
from common.report import canvas, judged, page, units
from common.statistics import intervals

_OTHER = "is not a file of benchmarks.supernet_ranking (--output); otherwise give a folder"
_MARKERS = ("o", "D", "^", "s", "v", "P", "X")  # tell groups apart without colour


class Ranking(NamedTuple):
    """Architectures scored on shared weights and trained from scratch."""

    name: str  # of the file
    scores: np.ndarray  # float[R], fractions, on shared weights
    alone: np.ndarray  # float[R, T], accuracies, fractions, after each of T trainings from scratch
    num_params: np.ndarray  # float[R]
    is_finished: bool = True  # as the file is written at the end


def read(path: pathlib.Path) -> Ranking | judged.Judged:
    """Returns a file of `benchmarks.supernet_ranking`; ValueError if it is another one, or damaged."""
    with files.reporting(path, _OTHER):
        record = json_values.read(path)
        is_judged = "truth" in record
    if is_judged:
        return judged.of(path, record)
    with files.reporting(path, _OTHER):
        scores, alone, sizes = (np.array(record[name], np.float64) for name in ("scores", "alone", "num_params"))
    count = len(scores) if scores.ndim else 0
    if count < 2 or scores.ndim != 1 or sizes.shape != (count,) or alone.ndim != 2 or len(alone) != count:
        raise ValueError(
            f"{path} is damaged: scores, alone and num_params must be of the same architectures, at least 2; they have "
            f"the shapes {scores.shape}, {alone.shape} and {sizes.shape}"
        )
    if not all(np.all(np.isfinite(values)) for values in (scores, alone, sizes)):
        raise ValueError(f"{path} is damaged: not all of its numbers are finite")
    return Ranking(path.name, scores, alone, sizes)


@canvas.styled
def agreement(
    scores: np.ndarray,
    accuracies: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    unit: units.Unit = units.PERCENT,
) -> canvas.Picture:
    """Draws scores on shared weights against those of stand-alone training.

    Args:
      scores: float[R], fractions, of architectures on the weights of a supernet.
      accuracies: float[R], fractions, of the same architectures trained from scratch.
      names: R texts for the tips.
      groups: R texts, such as the algorithm that found them; each has its own marker and colour.

    Raises:
      ValueError: the arrays differ in length, or hold fewer than two architectures.
    """
    scores, accuracies = np.asarray(scores, float), np.asarray(accuracies, float)
    names = [f"architecture {at}" for at in range(len(scores))] if names is None else names
    groups = [""] * len(scores) if groups is None else groups
    lengths = {len(scores), len(names), len(groups)}
    if scores.shape != accuracies.shape or scores.ndim != 1 or len(scores) < 2 or len(lengths) > 1:
        raise ValueError(
            f"scores, accuracies, names and groups must be of the same architectures, at least 2; got {scores.shape}, "
            f"{accuracies.shape}, {len(names)} names and {len(groups)} groups"
        )
    figure, axes = canvas.new()
    kinds, tips = list(dict.fromkeys(groups)), {}
    for at, kind in enumerate(kinds):
        where = [place for place, group in enumerate(groups) if group == kind]
        style = {"color": canvas.SERIES[at % len(canvas.SERIES)], "marker": _MARKERS[at % len(_MARKERS)]}
        marks = axes.scatter(unit.of(scores[where]), unit.of(accuracies[where]), s=26, lw=0, alpha=0.85, **style)
        marks.set_gid(f"architectures-{at}")
        marks.set_label(canvas.words(kind))
        texts = [(names[one], unit.text(scores[one]), unit.text(accuracies[one])) for one in where]
        tips[f"architectures-{at}"] = ["{}: {}, stand-alone {}".format(*one) for one in texts]
    label = "accuracy (%)" if unit is units.PERCENT else unit.label
    axes.set(xlabel=f"shared weights: {label}", ylabel=f"stand-alone training: {label}")
    if len(kinds) > 1:
        figure.legend(loc="outside upper left", ncols=2)
    tau = intervals.kendall_tau(scores, accuracies)
    text = "is not defined, as all values of one axis are equal"
    if np.isfinite(tau.center):
        text = f"{tau.center:.2f} (95 % interval {tau.low:.2f} to {tau.high:.2f}, bootstrap over architectures)"
        text += f", Spearman's rho {stats.spearmanr(scores, accuracies).statistic:.2f}"
    caption = f"{len(scores)} architectures. Kendall's tau {text}."
    return canvas.Picture("agreement", "Shared weights against stand-alone training", caption, figure, tips)


def pictures(ranking: Ranking) -> list[canvas.Picture]:
    """Returns the picture."""
    names = [f"architecture {at}, {size:,.0f} parameters" for at, size in enumerate(ranking.num_params)]
    return [agreement(ranking.scores, ranking.alone.mean(axis=1), names=names)]


def document(ranking: Ranking, made: Sequence[canvas.Picture]) -> str:
    """Returns the page, an HTML document."""
    mean, num_trainings = ranking.alone.mean(axis=1), ranking.alone.shape[1]
    rows = [("scores on shared weights", _tau(ranking.scores, mean))]
    rows.append(("number of parameters", _tau(ranking.num_params, mean)))
    against, more = "accuracy after training from scratch", ""
    if num_trainings > 1:
        rows.append(("two trainings, with each other", _tau(*ranking.alone.T[:2])))
        against = f"the mean accuracy of {num_trainings} trainings from scratch"
        more = " The tau of two trainings bounds what any score can reach."
    text = f"Against {against}; in brackets 95 % bootstrap intervals over architectures.{more}"
    sections = [
        page.Section("Results", page.table(("Kendall's tau of", "tau"), rows) + page.paragraph(text)),
        page.Section("Picture", page.pictures(made)),
    ]
    return page.document("How well shared weights rank", f"{ranking.name}: {len(mean)} architectures", sections)


def _tau(first, second):
    band = intervals.kendall_tau(first, second)
    return units.interval(band, ".3f", 1) if np.isfinite(band.center) else "not defined, as all are equal"
