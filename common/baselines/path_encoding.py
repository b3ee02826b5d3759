"""Path encoding: which sequences of operations occur on paths from input to output (arXiv:1910.11858, section 4)."""

import functools
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import types
from common.spaces import factory, nasbench101_graphs, nasbench201

ENCODINGS = ("paths", "one_hot", "space")


def encoder(space: types.SearchSpace, encoding: str) -> Callable[[chex.Array], chex.Array]:
    """Returns int32[B, L] -> float32[B, F], the inputs of a predictor.

    Args:
      encoding: one of `ENCODINGS`: paths, in a space that has them, else one-hot decisions; one-hot decisions; the
        features of the space.
    """
    if encoding == "space":
        return space.features
    paths = {"nasbench201": _nasbench201, "nasbench101": _nasbench101}.get(space.name)
    if encoding == "paths" and paths:
        return paths
    return functools.partial(factory.one_hot, num_choices=space.num_choices)


def _nasbench201(archs):
    """Returns float32[B, 155]: sequences of 1, 2 and 3 operations, "none" among them as in the released code."""
    count = len(nasbench201.OPERATIONS)
    columns = []
    for length in (1, 2, 3):
        codes = jnp.stack(
            [archs[:, path] @ (count ** np.arange(length)) for path in nasbench201.PATHS if len(path) == length], axis=1
        )
        columns.append(jnp.max(jax.nn.one_hot(codes, count**length), axis=1))
    return jnp.concatenate(columns, axis=1)


def _nasbench101(archs):
    """Returns float32[B, 364]: sequences of 0 to 5 of the three operations, breadth first."""
    graphs = nasbench101_graphs
    edges, operations = graphs.split(graphs.prune(archs))
    chosen = jax.nn.one_hot(operations, graphs.NUM_OPERATIONS)  # [B, 5, 3]
    num_paths = sum(graphs.NUM_OPERATIONS**length for length in range(graphs.NUM_INNER + 1))
    num_shorter = (num_paths - 1) // graphs.NUM_OPERATIONS
    reached = [jnp.zeros((archs.shape[0], num_paths)).at[:, 0].set(1.0)]
    for vertex in range(1, graphs.NUM_VERTICES):
        into = [at for at, target in enumerate(graphs.TARGETS) if target == vertex]
        paths = jnp.max(jnp.stack([edges[:, at, None] * reached[graphs.SOURCES[at]] for at in into]), axis=0)
        if vertex <= graphs.NUM_INNER:  # sequence s, then operation o, is number 3 s + o + 1
            longer = (paths[:, :num_shorter, None] * chosen[:, vertex - 1, None, :]).reshape(-1, num_paths - 1)
            paths = jnp.pad(longer, ((0, 0), (1, 0)))
        reached.append(paths)
    return reached[-1]
