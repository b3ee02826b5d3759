"""The page of the numbers of `benchmarks.supernet_ranking`: how well shared weights order architectures."""

import json
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from common.report import canvas, latent_pictures, page
from common.statistics import intervals as ranks


class Ranking(NamedTuple):
    """Architectures on shared weights, and each trained alone.

    Attributes:
      name: of the file.
      scores: float[R], fractions, on shared weights.
      alone: float[R, T], accuracies, fractions, after each of T trainings.
      num_params: float[R], numbers of parameters.
      is_finished: always, as the file is written at the end.
    """

    name: str
    scores: np.ndarray
    alone: np.ndarray
    num_params: np.ndarray
    is_finished: bool = True


def read(path: pathlib.Path) -> Ranking:
    """Returns what a file holds.

    Raises:
      ValueError: it is of something else, or damaged.
    """
    try:
        told = json.loads(path.read_text())
        scores, alone, sizes = (np.array(told[name], np.float64) for name in ("scores", "alone", "num_params"))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not what benchmarks.supernet_ranking writes (--output): {error!r}; for all else give a folder"
        ) from error
    count = len(scores) if scores.ndim else 0
    if count < 2 or scores.ndim != 1 or sizes.shape != (count,) or alone.ndim != 2 or len(alone) != count:
        raise ValueError(
            f"{path} is damaged: scores, alone and num_params must be of the same architectures, at least 2; they have "
            f"the shapes {scores.shape}, {alone.shape} and {sizes.shape}"
        )
    if not all(np.all(np.isfinite(values)) for values in (scores, alone, sizes)):
        raise ValueError(f"{path} is damaged: not all of its numbers are finite")
    return Ranking(path.name, scores, alone, sizes)


def pictures(ranking: Ranking) -> list[canvas.Picture]:
    """Returns the picture."""
    names = [f"architecture {at}, {size:,.0f} parameters" for at, size in enumerate(ranking.num_params)]
    return [latent_pictures.agreement(ranking.scores, ranking.alone.mean(axis=1), names=names)]


def document(ranking: Ranking, made: Sequence[canvas.Picture]) -> str:
    """Returns the page, an HTML document."""
    mean = ranking.alone.mean(axis=1)
    rows = [
        ("scores on shared weights", _told(ranking.scores, mean)),
        ("number of parameters", _told(ranking.num_params, mean)),
    ]
    num_trainings = ranking.alone.shape[1]
    against = f"the mean accuracy of {num_trainings} trainings alone" if num_trainings > 1 else "accuracy trained alone"
    text = f"Against {against}; in brackets 95 % intervals of the bootstrap over architectures."
    if num_trainings > 1:
        rows.append(("two trainings alone, with each other", _told(*ranking.alone.T[:2])))
        text += " Above the tau of two trainings no score can be expected."
    sections = [
        page.Section("What came of it", page.table(("Kendall's tau of", "tau"), rows) + page.paragraph(text)),
        page.Section("Picture", page.pictures(made)),
    ]
    subtitle = f"{ranking.name}: {len(mean)} architectures"
    return page.document("How well shared weights rank", subtitle, sections)


def _told(first, second):
    band = ranks.kendall_tau(first, second)
    if not np.isfinite(band.center):
        return "not defined, as all are equal"
    return f"{band.center:.3f} [{band.low:.3f}, {band.high:.3f}]"
