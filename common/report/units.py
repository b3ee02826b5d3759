"""Display of numbers: fitness in percent or as perplexity, intervals, and times."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from common.datasets import text

_TIMES = ((86_400 * 2, 86_400, "days"), (3_600 * 2, 3_600, "hours"), (120, 60, "minutes"), (0, 1, "seconds"))


class Unit(NamedTuple):
    """The unit in which fitness is displayed."""

    name: str  # "fitness" or "perplexity"
    label: str  # of an axis, with the unit
    of: Callable[[np.ndarray | float], np.ndarray]  # fitness -> the same in this unit
    form: str  # format of such a value
    is_lower_better: bool

    def text(self, fitness: float) -> str:
        """Returns a fitness as text; "-" if it is not finite."""
        return self.form.format(float(self.of(fitness))) if math.isfinite(fitness) else "-"


PERCENT = Unit("fitness", "fitness (%)", lambda fitness: 100.0 * np.asarray(fitness, np.float64), "{:.2f} %", False)
percent = PERCENT.text


def perplexity(vocabulary_size: int) -> Unit:
    """Returns the unit of language models with a vocabulary of the given size."""
    of = np.vectorize(lambda fitness: text.perplexity(fitness, vocabulary_size), otypes=[np.float64])
    return Unit("perplexity", "perplexity (lower is better)", of, "{:.2f}", True)


def interval(band: Sequence[float | None], form: str = ".2f", factor: float = 100.0) -> str:
    """Returns "value [low, high]", multiplied by `factor` (by default in %); "-" where one of them is unknown."""
    if any(value is None or not math.isfinite(value) for value in band):
        return "-"
    center, low, high = (format(factor * value, form) for value in band)
    return f"{center} [{low}, {high}]"


def time(seconds: float) -> tuple[float, str]:
    """Returns (seconds in a unit, its name) of the unit in which a time reads best."""
    return next((divisor, unit) for least, divisor, unit in _TIMES if seconds >= least)
