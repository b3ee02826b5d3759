"""What regressors see of a NAS-Bench-101 cell: a row of numbers that does for linear models, and LaNAS's own."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common.spaces import nasbench101_graphs

_CONV1X1, _CONV3X3, _MAXPOOL3X3 = range(3)
_LAST = nasbench101_graphs.NUM_VERTICES - 1
_MAX_PATHS = 8  # from input to output, over all cells


def features(archs: chex.Array) -> chex.Array:
    """Returns float32[B, 64], every column in [0, 1], of canonical rows int32[B, 26].

    The number that a vertex has says little about what it does, so bits and one-hot codes alone make a
    poor linear model; the other columns count what the numbering does not touch.

    | columns | what | divided by |
    |---|---|---|
    | 0-20 | edge bits, in the order of `nasbench101_graphs.EDGES` | 1 |
    | 21-35 | operations of vertices 1 to 5, one-hot, zero for a missing vertex | 1 |
    | 36-50 | edges by their ends, from (input, conv1x1, conv3x3, maxpool) to (conv1x1, conv3x3, maxpool, | |
    | | output), row by row, without the one from input to output, which is column 5 | 9 |
    | 51-53 | vertices with conv1x1, conv3x3, maxpool | 5 |
    | 54, 55 | vertices, edges | 7, 9 |
    | 56, 57 | edges out of the input, into the output | 6 |
    | 58 | paths from input to output | 8 |
    | 59, 60 | edges of the longest path, of the shortest | 6 |
    | 61, 62, 63 | on a path: most conv3x3, most convolutions of either size, fewest conv3x3 | 5 |
    """
    archs = nasbench101_graphs.prune(archs)
    edges, operations = nasbench101_graphs.split(archs)
    kept = nasbench101_graphs.is_kept(edges)
    one_hot = jax.nn.one_hot(operations, nasbench101_graphs.NUM_OPERATIONS) * kept[:, 1:-1, None]
    adjacency = _adjacency(edges)
    # Kinds of vertex: input, the three operations, output; a missing vertex is of none.
    kinds = jnp.zeros((*kept.shape, 5)).at[:, 1:-1, 1:-1].set(one_hot).at[:, 0, 0].set(1.0).at[:, -1, -1].set(1.0)
    between = jnp.einsum("buk,buv,bvl->bkl", kinds, adjacency, kinds)[:, :-1, 1:].reshape(-1, 16)
    columns = [
        edges.astype(jnp.float32),
        one_hot.reshape(-1, 15),
        jnp.delete(between, 3, axis=1, assume_unique_indices=True) / nasbench101_graphs.MAX_EDGES,
        jnp.sum(one_hot, axis=1) / nasbench101_graphs.NUM_INNER,
        jnp.sum(kept, axis=1, keepdims=True) / nasbench101_graphs.NUM_VERTICES,
        jnp.sum(edges, axis=1, keepdims=True) / nasbench101_graphs.MAX_EDGES,
        jnp.sum(adjacency[:, 0], axis=1, keepdims=True) / _LAST,
        jnp.sum(adjacency[:, :, _LAST], axis=1, keepdims=True) / _LAST,
        _paths(adjacency, kinds[..., 1:-1]),
    ]
    return jnp.concatenate(columns, axis=1)


def lanas_features(archs: chex.Array) -> chex.Array:
    """Returns float32[B, 49], the encoding of the LaNAS authors, of valid rows int32[B, 26].

    The adjacency matrix of the n vertices that remain after pruning, in the order of the row and flattened
    row by row at its own width n, so that places do not align between cells of different n; zeros up to
    42 places. Then the vertices: input -1, output 1, conv3x3 0.5, missing 0. The values of the other
    operations were never published; here conv1x1 is -0.5 and maxpool 0.25.
    """
    edges, operations = nasbench101_graphs.split(nasbench101_graphs.prune(archs))
    kept = nasbench101_graphs.is_kept(edges)
    rank = jnp.cumsum(kept, axis=1) - 1
    num_vertices = jnp.sum(kept, axis=1, keepdims=True)
    at = rank[:, nasbench101_graphs.SOURCES] * num_vertices + rank[:, nasbench101_graphs.TARGETS]
    batch = jnp.arange(archs.shape[0])[:, None]
    # Edges and vertices that pruning dropped add a zero wherever they land.
    flat = jnp.zeros((archs.shape[0], 42)).at[batch, at].add(edges.astype(jnp.float32), mode="drop")
    inner = jnp.array([-0.5, 0.5, 0.25])[operations]
    values = jnp.pad(inner, ((0, 0), (1, 1)), constant_values=((0, 0), (-1.0, 1.0)))
    labels = jnp.zeros((archs.shape[0], 7)).at[batch, rank].add(values * kept)
    return jnp.concatenate([flat, labels], axis=1)


def _adjacency(edges: chex.Array) -> chex.Array:
    """Adjacency float32[B, 7, 7] of edge bits [B, 21]."""
    empty = jnp.zeros((edges.shape[0], nasbench101_graphs.NUM_VERTICES, nasbench101_graphs.NUM_VERTICES))
    return empty.at[:, nasbench101_graphs.SOURCES, nasbench101_graphs.TARGETS].set(edges.astype(jnp.float32))


def _paths(adjacency: chex.Array, operations: chex.Array) -> chex.Array:
    """Columns 58 to 63, float32[B, 6], of adjacency [B, 7, 7] and one-hot operations [B, 7, 3]."""
    conv3x3 = operations[..., _CONV3X3]
    convolutions = conv3x3 + operations[..., _CONV1X1]
    one = jnp.ones_like(conv3x3)
    # Each is the largest sum along a path of what its vertices, the input aside, weigh.
    weights = jnp.stack([one, -one, conv3x3, convolutions, -conv3x3], axis=-1)
    counts, sums = [one[:, 0]], [jnp.zeros_like(weights[:, 0])]
    for v in range(1, _LAST + 1):
        into = adjacency[:, :v, v]
        counts.append(jnp.sum(jnp.stack(counts, axis=1) * into, axis=1))
        # Finite where there is no edge, for rows that are no architecture: every sum is above -7.
        reached = jnp.where(into[:, :, None] > 0, jnp.stack(sums, axis=1), -7.0)
        sums.append(jnp.max(reached, axis=1) + weights[:, v])
    scale = np.array([1 / _LAST, -1 / _LAST, 1 / 5, 1 / 5, -1 / 5], np.float32)
    return jnp.concatenate([counts[-1][:, None] / _MAX_PATHS, sums[-1] * scale[None]], axis=1)
