"""The mobile space of SemiNAS on ImageNet: 21 blocks, 7 operations (arXiv:2002.10389).

A row holds the operation of each block, from input to output, in stages of 4, 4, 4, 4, 4 and 1 blocks. The
first block of a stage, which changes the width, cannot be left out. The others can: a block "zero"
passes its input on, so rows that differ only in where a stage has its zeros are one network; the canonical
row has them last. Published strings number the operations from 1, as tokens do.
"""

import chex
import jax.numpy as jnp
import numpy as np

from common import types
from common.spaces import factory, integer_strings

# mbE_kK: inverted residual of expansion E and kernel K.
OPERATIONS = ("mb3_k3", "mb6_k3", "mb3_k5", "mb6_k5", "mb3_k7", "mb6_k7", "zero")
STAGES = (4, 4, 4, 4, 4, 1)
ZERO = OPERATIONS.index("zero")
_STAGE_OF = np.repeat(np.arange(len(STAGES)), STAGES)
_IS_FIRST = np.diff(_STAGE_OF, prepend=-1) > 0
NUM_CHOICES = tuple(np.where(_IS_FIRST, ZERO, len(OPERATIONS)).tolist())


def space() -> types.SearchSpace:
    """Returns the space: one decision a block with the ids of `OPERATIONS`; 21 tokens, the ids plus 1."""
    return factory.search_space(
        "seminas_mobile",
        NUM_CHOICES,
        size=num_networks(),
        describe=describe,
        canonicalize=_canonicalize,
    )


def num_networks() -> int:
    """Returns the number of networks: in each stage a first block, then 0 to 3 blocks that are not left out."""
    size = 1
    for depth in STAGES:
        size *= sum(ZERO**blocks for blocks in range(1, depth + 1))
    return size


def describe(arch: np.ndarray) -> str:
    """Returns a text of one row (21,), stages apart, such as `mb3_k3 mb6_k5 zero zero | ...`."""
    stages = np.split(np.asarray(arch), np.cumsum(STAGES)[:-1])
    return " | ".join(" ".join(OPERATIONS[operation] for operation in stage) for stage in stages)


def from_string(text: str) -> np.ndarray:
    """Returns int32[21], the row of a published string of 21 integers 1 to 7, which need not be canonical.

    Raises:
      ValueError: if the text is not a network of the space; the message names the place.
    """
    places = []
    for stage, depth in enumerate(STAGES):
        places += [f"block {block} of stage {stage}" for block in range(depth)]
        places[-depth] += ", which cannot be left out"
    row = integer_strings.read(
        text, "seminas_mobile architecture", places=places, lows=[1] * len(places), highs=NUM_CHOICES
    )
    return row - 1


def to_string(arch: np.ndarray) -> str:
    """Returns the published string of one row (21,); undoes `from_string`."""
    return " ".join(str(operation + 1) for operation in np.asarray(arch).tolist())


def _canonicalize(archs: chex.Array) -> chex.Array:
    order = jnp.argsort(2 * _STAGE_OF[None] + (archs == ZERO), axis=-1, stable=True)
    return jnp.take_along_axis(archs, order, axis=-1)
