"""The mobile space of SemiNAS on ImageNet: 21 blocks, 7 operations (arXiv:2002.10389).

A row holds the operation of each block, from input to output, in stages of 4, 4, 4, 4, 4 and 1 blocks. All but the
first block of a stage can be left out: a block "zero" passes its input on, so rows that differ only in where a stage
has its zeros are one network; the canonical row has them last. Published strings number the operations from 1.
"""

import math

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
        size=math.prod(sum(ZERO**blocks for blocks in range(1, depth + 1)) for depth in STAGES),
        describe=describe,
        canonicalize=_canonicalize,
    )


def describe(arch: np.ndarray) -> str:
    """Returns a text of one row (21,), stages apart, such as `mb3_k3 mb6_k5 zero zero | ...`."""
    stages = np.split(np.asarray(arch), np.cumsum(STAGES)[:-1])
    return " | ".join(" ".join(OPERATIONS[operation] for operation in stage) for stage in stages)


def from_string(text: str) -> np.ndarray:
    """Returns int32[21], the row of a published string of 21 integers 1 to 7; or raises a `ValueError`."""
    places = []
    for stage, depth in enumerate(STAGES):
        places += [f"block {block} of stage {stage}" for block in range(depth)]
        places[-depth] += ", which cannot be left out"
    return integer_strings.read(text, "seminas_mobile architecture", places, NUM_CHOICES, lows=1)


def to_string(arch: np.ndarray) -> str:
    """Returns the published string of one row (21,); undoes `from_string`."""
    return integer_strings.write(np.asarray(arch) + 1)


def _canonicalize(archs: chex.Array) -> chex.Array:
    order = jnp.argsort(2 * _STAGE_OF[None] + (archs == ZERO), axis=-1, stable=True)
    return jnp.take_along_axis(archs, order, axis=-1)
