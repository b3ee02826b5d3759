"""In what fitness is shown to people: percent, or the perplexity that it stands for."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from common.datasets import text


class Unit(NamedTuple):
    """What fitness is called, and counted in.

    Attributes:
      name: "fitness" or "perplexity".
      label: of an axis, with the unit.
      of: fitness, a number or an array -> the same in this unit.
      form: of such a value as text.
      is_lower_better: whether less is better.
    """

    name: str
    label: str
    of: Callable[[np.ndarray | float], np.ndarray]
    form: str
    is_lower_better: bool

    def text(self, fitness: float) -> str:
        """Returns a fitness as text."""
        return self.form.format(float(self.of(fitness)))


PERCENT = Unit("fitness", "fitness (%)", lambda fitness: 100.0 * np.asarray(fitness, np.float64), "{:.2f} %", False)


def perplexity(vocabulary_size: int) -> Unit:
    """Returns the unit of language models that choose among so many words."""

    def of(fitness):
        return np.vectorize(lambda one: text.perplexity(one, vocabulary_size), otypes=[np.float64])(fitness)

    return Unit("perplexity", "perplexity (lower is better)", of, "{:.2f}", True)
