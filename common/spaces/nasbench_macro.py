"""NAS-Bench-Macro: 8 layers, 3 choices a layer (arXiv:2103.11922, section 5).

Moving an identity within a stage does not change the network, so the table's 6,561 rows hold 3,969 results. The
benchmark and the literature on it count them as different, so `canonicalize` is the identity here.
"""

import numpy as np

from common import types
from common.spaces import factory

CHOICES = ("identity", "mb3_k3", "mb6_k5")  # mbE_kK: inverted residual of expansion E and kernel K


def space() -> types.SearchSpace:
    """Returns the space: one decision a layer, from input to output, with the ids of `CHOICES`."""

    def describe(arch):
        return " ".join(CHOICES[int(choice)] for choice in arch)

    return factory.search_space("nasbench_macro", (3,) * 8, size=3**8, describe=describe)


def from_key(text: str) -> np.ndarray:
    """Returns int32[8], the row of the table's key of eight digits 0 to 2."""
    if len(text) != 8 or set(text) - set("012"):
        raise ValueError(f"a NAS-Bench-Macro architecture is eight digits 0 to 2; got {text!r}")
    return np.array([int(digit) for digit in text], np.int32)
