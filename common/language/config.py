"""The settings of training a language model and their meaning.

The defaults are those of NAO's cell on Penn Treebank (arXiv:1808.07233, as released).
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any

from common.language.recurrent import Dropout


@dataclasses.dataclass(frozen=True)
class Chunks:
    """How long the pieces are that a step reads and is differentiated through (arXiv:1708.02182)."""

    bptt: Annotated[int, "mean length of the pieces of text that a step reads, in words"] = 35
    short_share: Annotated[float, "share of pieces whose mean length is half of bptt"] = 0.05
    bptt_deviation: Annotated[float, "standard deviation of the lengths around their mean, in words"] = 5.0
    bptt_min: Annotated[int, "the shortest piece"] = 5
    bptt_max: Annotated[int, "the longest piece"] = 55

    def __post_init__(self):
        """Refuses what makes no sense."""
        _check_range(self, "bptt", at_least=1)
        _check_range(self, "short_share", at_least=0.0, at_most=1.0)
        _check_range(self, "bptt_deviation", at_least=0.0)
        _check_range(self, "bptt_min", at_least=1, at_most=self.bptt)
        _check_range(self, "bptt_max", at_least=self.bptt)


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Stochastic gradient descent, whose steps are averaged once the validation loss no longer falls."""

    learning_rate: Annotated[float, "of a piece of bptt words; longer ones take larger steps, in proportion"] = 20.0
    clip_norm: Annotated[float, "largest norm of the gradient of all parameters together"] = 0.25
    weight_decay: Annotated[float, "L2 penalty: weight_decay * p is added to the clipped gradient"] = 8e-7
    patience: Annotated[
        int, "averaging begins once the validation loss is above the least of all but the last so many; 0: never"
    ] = 5
    activation_penalty: Annotated[float, "weight of the mean square of the outputs after dropout, alpha"] = 0.0
    change_penalty: Annotated[float, "weight of the mean squared change of the outputs in a step, beta"] = 1e-3

    def __post_init__(self):
        """Refuses what makes no sense."""
        _check_range(self, "learning_rate", above=0.0)
        _check_range(self, "clip_norm", above=0.0)
        for name in ("weight_decay", "patience", "activation_penalty", "change_penalty"):
            _check_range(self, name, at_least=0)


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a training run."""

    width: Annotated[int, "size of the words' vectors and of all states of the cell"] = 850
    num_epochs: Annotated[int, "passes over the training text"] = 4000
    batch_size: Annotated[int, "sequences that are read side by side"] = 64
    valid_batch_size: Annotated[int, "sequences into which the validation text is cut"] = 10
    test_batch_size: Annotated[int, "sequences into which the test text is cut"] = 1
    chunks: Annotated[Chunks, "pieces of text"] = dataclasses.field(default_factory=Chunks)
    dropout: Annotated[Dropout, "what is dropped"] = dataclasses.field(default_factory=Dropout)
    optimizer: Annotated[Optimizer, "how it descends"] = dataclasses.field(default_factory=Optimizer)
    max_rollbacks: Annotated[int, "how often training goes back to its best state when the loss is no number"] = 10

    def __post_init__(self):
        """Refuses what makes no sense."""
        for name in ("width", "num_epochs", "batch_size", "valid_batch_size", "test_batch_size"):
            _check_range(self, name, at_least=1)
        _check_range(self, "max_rollbacks", at_least=0)


def from_dict(fields: Mapping[str, Any]) -> Config:
    """Returns the settings that `dataclasses.asdict` wrote; what is left out has its default.

    Raises:
      ValueError: there is an unknown field, or a value makes no sense.
    """
    parts = {"chunks": Chunks, "dropout": Dropout, "optimizer": Optimizer}
    try:
        made = {name: parts[name](**value) if name in parts else value for name, value in fields.items()}
        return Config(**made)
    except TypeError as error:
        raise ValueError(f"these are no settings of training a language model: {error}") from error


def _check_range(config, name, *, at_least=-math.inf, above=-math.inf, at_most=math.inf):
    value = getattr(config, name)
    if not (value >= at_least and value > above and value <= at_most):
        bounds = {"at least": at_least, "above": above, "at most": at_most}
        told = " and ".join(f"{text} {bound}" for text, bound in bounds.items() if math.isfinite(bound))
        raise ValueError(f"{name} must be {told}; got {value}")
