"""Importance of decisions: how much of the variance of fitness among some architectures a decision explains."""

from typing import NamedTuple

import numpy as np

LEVEL = 0.05  # probability that chance alone lifts any decision above its level
_NUM_SHUFFLES = 2000


class Importance(NamedTuple):
    """Importance of a decision.

    Attributes:
      share: of the variance that its choices explain, adjusted for their number (epsilon squared, Kelley 1935): 0 on
        the average if they have no effect, at most 1; NaN where fewer than two choices occur, or all but one once.
      chance: what the share exceeds with probability `LEVEL` / number of decisions if fitness is shuffled.
      choices: int[C], that occur.
      counts: int[C], of the architectures with each.
      means: float64[C], their mean fitness.
    """

    share: float
    chance: float
    choices: np.ndarray
    counts: np.ndarray
    means: np.ndarray


def of_decisions(archs: np.ndarray, fitness: np.ndarray, is_active: np.ndarray) -> list[Importance]:
    """Returns the importance of each of D decisions, each alone; those of one architecture are not independent.

    Args:
      archs: int[N, D].
      fitness: float[N], finite.
      is_active: bool[N, D]: whether a decision has an effect in an architecture; others are left out.
    """
    generator = np.random.default_rng(0)
    return [
        _of(choices[active], fitness[active], len(archs.T), generator)
        for choices, active in zip(archs.T, is_active.T, strict=True)
    ]


def _of(chosen, fitness, num_decisions, generator):
    choices, places, counts = np.unique(chosen, return_inverse=True, return_counts=True)
    groups = np.eye(len(choices))[places] / np.maximum(counts, 1)[None]  # [N, C]: fitness @ groups are means
    means = fitness @ groups
    degrees = len(fitness) - len(choices)
    total = np.sum((fitness - np.mean(fitness)) ** 2) if len(fitness) else 0.0
    if len(choices) < 2 or degrees < 1 or total == 0:
        return Importance(np.nan, np.nan, choices, counts, means)

    def share(means):
        between = np.sum(counts * (means - np.mean(fitness)) ** 2, axis=-1)
        return 1 - (total - between) / degrees / (total / (len(fitness) - 1))

    shuffled = generator.permuted(np.tile(fitness, (_NUM_SHUFFLES, 1)), axis=1)
    chance = np.quantile(share(shuffled @ groups), 1 - LEVEL / num_decisions)
    return Importance(float(share(means)), float(chance), choices, counts, means)
