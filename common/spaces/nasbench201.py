"""NAS-Bench-201: a cell of 4 states, 6 edges, 5 operations an edge (arXiv:2001.00326, section 2).

The published table trained all 15,625 cells apart, also those that compute the same function, so
every row is a network of its own here and `canonicalize` is the identity.
"""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import types
from common.spaces import factory

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # (from, to), the order of the official string
PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))  # the edges of each path from state 0 to state 3
_NONE, _SKIP, _CONV_1X1, _CONV_3X3, _POOL = range(5)


def space() -> types.SearchSpace:
    """Returns the space: one decision an edge, in the order of `EDGES`, with the ids of `OPERATIONS`."""
    return factory.search_space("nasbench201", (5,) * 6, size=5**6, describe=to_string, features=features)


def features(archs: chex.Array) -> chex.Array:
    """Returns float32[B, 60], features for linear models, of int32[B, 6].

    An edge on no complete path from state 0 to state 3 has no effect; its operation counts as "none". Columns: 30
    one-hot operations of the edges; 5 numbers of edges with each operation, halved; for each of the four `PATHS` 5
    columns: it exists, is all skips, its numbers of convolutions, of 3x3 convolutions and of poolings (0 unless it
    exists); 5 one-hot depths, the most convolutions on one path, -1 (no path) to 3.
    """
    exists = jnp.stack([jnp.all(archs[:, path] != _NONE, axis=1) for path in PATHS], axis=1)  # [B, 4]
    on_path = np.array([[edge in path for edge in range(len(EDGES))] for path in PATHS])
    is_live = jnp.any(exists[:, :, None] & on_path[None], axis=1)
    operations = jax.nn.one_hot(jnp.where(is_live, archs, _NONE), len(OPERATIONS))  # [B, 6, 5]
    per_path = jnp.einsum("beo,pe->bpo", operations, on_path.astype(np.float32)) * exists[:, :, None]
    convolutions = per_path[:, :, _CONV_1X1] + per_path[:, :, _CONV_3X3]
    length = on_path.sum(axis=1).astype(np.float32)
    is_skip = exists & (per_path[:, :, _SKIP] == length[None])
    depth = jnp.max(jnp.where(exists, convolutions, -1.0), axis=1).astype(jnp.int32)
    batch = archs.shape[0]
    columns = (
        operations.reshape(batch, -1),
        0.5 * operations.sum(axis=1),
        exists.astype(jnp.float32),
        is_skip.astype(jnp.float32),
        convolutions,
        per_path[:, :, _CONV_3X3],
        per_path[:, :, _POOL],
        jax.nn.one_hot(depth + 1, 5),
    )
    return jnp.concatenate(columns, axis=1)


def to_string(arch: np.ndarray) -> str:
    """Returns the official string of one row (6,): `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""
    nodes: dict[int, list[str]] = {}
    for (source, target), operation in zip(EDGES, arch, strict=True):
        nodes.setdefault(target, []).append(f"{OPERATIONS[int(operation)]}~{source}")
    return "+".join("|" + "|".join(inputs) + "|" for inputs in nodes.values())


def from_string(text: str) -> np.ndarray:
    """Returns int32[6], the row of an official string; or raises a `ValueError`."""
    names = re.findall(r"([a-z0-9_]+)~\d", text)
    arch = np.array([OPERATIONS.index(name) for name in names if name in OPERATIONS], np.int32)
    if arch.shape != (6,) or to_string(arch) != text:
        raise ValueError(
            f"not a NAS-Bench-201 architecture: {text!r}; write it as {to_string(np.array([3] * 6))!r} "
            f"with operations of {', '.join(OPERATIONS)}"
        )
    return arch
