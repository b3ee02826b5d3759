"""The convolutional spaces of NAO: a normal and a reduction cell of 5 nodes (arXiv:1808.07233).

A row is the 40 integers of the published strings: for each node `input operation input operation`, the normal cell
first. Three sets of operations:

  nao_small    5, of NAO with shared weights and of NAONet-B and NAONet-V2 (arXiv:1909.10815); 40 tokens
  nao_middle  10, of Balanced NAO; 40 tokens
  nao_large   11, of NAO with each architecture trained from scratch, and of NAONet-A; 60 tokens
"""

import chex
import jax.numpy as jnp
import numpy as np

from common import config as configs
from common import types
from common.spaces import cells, integer_strings

OPERATIONS = {
    "nao_small": ("sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", "identity"),
    "nao_middle": (
        *("zero", "identity"),
        *("sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7"),
        *("dil_sep_conv_3x3", "dil_sep_conv_5x5", "dil_sep_conv_7x7"),
        *("avg_pool_3x3", "max_pool_3x3"),
    ),
    "nao_large": (
        *("identity", "conv_1x1", "conv_3x3", "conv_1x3_3x1", "conv_1x7_7x1"),
        *("max_pool_2x2", "max_pool_3x3", "max_pool_5x5"),
        *("avg_pool_2x2", "avg_pool_3x3", "avg_pool_5x5"),
    ),
}
NAONET_A_FIRST_ID = 5  # NAONet-A is published with operations 5 to 15; with shared weights all ids start at 0
NUM_NODES = 5
# The vocabulary of the 60 tokens after the start symbol and the states 1 to 6; four of these are in no operation here.
KINDS = {"identity": 7, "sep_conv": 8, "conv": 9, "dil_sep_conv": 10, "avg_pool": 11, "max_pool": 12, "min_pool": 13}
KERNELS = {"1x1": 14, "2x2": 15, "3x3": 16, "5x5": 17, "7x7": 18, "1x3_3x1": 19, "1x7_7x1": 20}
_LARGE_VOCABULARY_SIZE = 21


def space(name: str) -> types.SearchSpace:
    """Returns the space called `name`, one of `OPERATIONS`."""
    return cells.search_space(name, layout(name), tokens=_large_tokens() if name == "nao_large" else None)


def layout(name: str) -> cells.Layout:
    """Returns how rows of the space called `name` hold the two cells."""
    configs.one_of("NAO space", name, OPERATIONS)
    return cells.two_cells(OPERATIONS[name], NUM_NODES)


def from_string(text: str, name: str, *, first_id: int = 0) -> np.ndarray:
    """Returns int32[40], the row of a published string, which need not be canonical.

    Args:
      text: 40 integers `input operation input operation ...`.
      first_id: the integer of the first operation; `NAONET_A_FIRST_ID` for NAONet-A.

    Raises:
      ValueError: if the text is not an architecture of the space; the message names the place.
    """
    return cells.read(layout(name), text, f"{name} architecture", first_id=first_id)


def to_string(arch: np.ndarray, name: str, *, first_id: int = 0) -> str:
    """Returns the published string of one row (40,); undoes `from_string`."""
    return integer_strings.write(cells.write(layout(name), arch, first_id=first_id))


def _large_tokens():
    """Three tokens a branch: input plus 1, kind and kernel; identity has the kernel 1x1."""
    pairs = []
    for operation in OPERATIONS["nao_large"]:
        kind = next(kind for kind in KINDS if operation.startswith(kind))
        pairs.append((KINDS[kind], KERNELS[operation.removeprefix(kind).lstrip("_") or "1x1"]))
    pairs = np.array(pairs, np.int32)  # [11, 2]
    operation_of = np.full((_LARGE_VOCABULARY_SIZE,) * 2, -1, np.int32)
    operation_of[pairs[:, 0], pairs[:, 1]] = np.arange(len(pairs))

    def tokens(archs: chex.Array) -> chex.Array:
        inputs, operations = archs[:, 0::2, None], archs[:, 1::2]
        return jnp.concatenate([inputs + 1, jnp.asarray(pairs)[operations]], axis=2).reshape(archs.shape[0], 60)

    def from_tokens(tokens: chex.Array) -> chex.Array:
        inputs, kinds, kernels = tokens[:, 0::3], tokens[:, 1::3], tokens[:, 2::3]
        rows = jnp.stack([inputs - 1, jnp.asarray(operation_of)[kinds, kernels]], axis=2)
        return rows.reshape(tokens.shape[0], 40)

    return tokens, from_tokens, _large_legal_tokens(operation_of >= 0)


def _large_legal_tokens(is_operation: np.ndarray) -> np.ndarray:
    """bool[60, 21, 21]: of each kind only the kernels it has, where the released mask allows any kind or kernel."""
    kernels = np.where(is_operation.any(axis=1, keepdims=True), is_operation, is_operation.any(axis=0))
    kinds = np.tile(is_operation.any(axis=1), (_LARGE_VOCABULARY_SIZE, 1))
    legal = []
    for node in range(NUM_NODES):
        inputs = np.zeros_like(is_operation)
        inputs[:, 1 : node + 3] = True
        legal += [inputs, kinds, kernels] * cells.NUM_BRANCHES
    return np.array(2 * legal)
