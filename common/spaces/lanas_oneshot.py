"""The two cells of one-shot LaNAS: 5 nodes, 4 operations (arXiv:1906.06832 and its released code).

A node adds up two different (input, operation) pairs, which may share the input. The released search writes a network
as a mask of 160 bits: for each cell, node, input and operation whether the pair is used, two for each node. A row holds
the two pairs instead, as a row of NAO does. The output of a cell is its last 4 nodes with shared weights, all 5 in the
network that is trained from scratch.

With `cell_features`, ridge regression on 1,000 of the 3,776 recorded scores ranks the others with a Kendall's tau of
0.38, with the mask of 0.30.
"""

import math

import chex
import jax.numpy as jnp
import numpy as np

from common import types
from common.spaces import cells

OPERATIONS = ("max_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5")
NUM_NODES, MASK_SIZE = 5, 160
_NUM_BITS = np.tile(len(OPERATIONS) * np.arange(2, NUM_NODES + 2), 2)
_STARTS = np.cumsum(_NUM_BITS) - _NUM_BITS  # of the bits of each node, those of the normal cell first


def space() -> types.SearchSpace:
    """Returns the space; a row is `input operation` for each branch, the normal cell first."""
    size = math.prod(math.comb(bits, 2) for bits in _NUM_BITS.tolist())  # two of the bits of each node
    return cells.search_space("lanas_oneshot", layout(), size=size, is_valid=_has_different_branches)


def layout() -> cells.Layout:
    """Returns how rows hold the two cells."""
    return cells.two_cells(OPERATIONS, NUM_NODES)


def to_mask(archs: chex.Array) -> chex.Array:
    """Returns int32[B, 160], the released mask of each valid row int32[B, 40]."""
    at = (_bits(archs) + _STARTS[None, :, None]).reshape(archs.shape[0], -1)
    return jnp.sum(at[:, :, None] == np.arange(MASK_SIZE)[None, None], axis=1, dtype=jnp.int32)


def from_mask(masks: np.ndarray) -> np.ndarray:
    """Returns int32[B, 40], the canonical rows of released masks [B, 160], NumPy; undoes `to_mask`.

    Raises:
      ValueError: if a mask is not a network of the space; the message names the mask and the place.
    """
    masks = np.asarray(masks)
    if masks.ndim != 2 or masks.shape[1] != MASK_SIZE:
        raise ValueError(f"masks of lanas_oneshot have shape (any, {MASK_SIZE}); got {masks.shape}")
    if not np.isin(masks, (0, 1)).all():
        at = tuple(np.argwhere(~np.isin(masks, (0, 1)))[0].tolist())
        raise ValueError(f"bit {at[1]} of mask {at[0]} is {masks[at]}; masks of lanas_oneshot hold zeros and ones")
    counts = np.add.reduceat(masks.astype(int), _STARTS, axis=1)
    if np.any(counts != cells.NUM_BRANCHES):
        mask, node = np.argwhere(counts != cells.NUM_BRANCHES)[0].tolist()
        last = _STARTS[node] + _NUM_BITS[node] - 1
        raise ValueError(
            f"mask {mask}: {layout().cells[node // NUM_NODES]} cell, node {node % NUM_NODES} has {counts[mask, node]} "
            f"bits set among its {_NUM_BITS[node]} (bits {_STARTS[node]} to {last}); set exactly 2"
        )
    at = np.nonzero(masks)[1].reshape(-1, len(_STARTS), cells.NUM_BRANCHES) - _STARTS[None, :, None]
    return np.stack(np.divmod(at, len(OPERATIONS)), axis=-1).reshape(len(masks), -1).astype(np.int32)


def _bits(archs):
    """Returns int32[B, C N, 2], the bit of its node that each branch sets."""
    pairs = archs.reshape(archs.shape[0], -1, cells.NUM_BRANCHES, 2)
    return pairs[..., 0] * len(OPERATIONS) + pairs[..., 1]


def _has_different_branches(archs: chex.Array) -> chex.Array:
    bits = _bits(archs)
    return jnp.all(bits[..., 0] != bits[..., 1], axis=-1)
