"""NAS-Bench-201: a cell of 4 states, 6 edges, 5 operations an edge (arXiv:2001.00326, section 2).

The published table trained all 15,625 cells apart, also those that compute the same function, so
every row is a network of its own here and `canonicalize` is the identity.
"""

import re

import numpy as np

from common import types
from common.spaces import factory

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # (from, to), the order of the official string


def space() -> types.SearchSpace:
    """Returns the space: one decision an edge, in the order of `EDGES`, with the ids of `OPERATIONS`."""
    return factory.search_space("nasbench201", (5,) * 6, size=5**6, describe=to_string)


def to_string(arch: np.ndarray) -> str:
    """Returns the official string of one row (6,): `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""
    nodes: dict[int, list[str]] = {}
    for (source, target), operation in zip(EDGES, arch, strict=True):
        nodes.setdefault(target, []).append(f"{OPERATIONS[int(operation)]}~{source}")
    return "+".join("|" + "|".join(inputs) + "|" for inputs in nodes.values())


def from_string(text: str) -> np.ndarray:
    """Returns int32[6], the row of an official string; a `ValueError` says what is wrong with it."""
    parts = re.findall(r"([a-z0-9_]+)~(\d)", text)
    row = [OPERATIONS.index(name) for name, _ in parts if name in OPERATIONS]
    arch = np.array(row, np.int32)
    if arch.shape != (6,) or to_string(arch) != text:
        raise ValueError(
            f"not a NAS-Bench-201 architecture: {text!r}; write it as {to_string(np.array([3] * 6))!r} "
            f"with operations of {', '.join(OPERATIONS)}"
        )
    return arch
