"""Encodings of a NAS-Bench-101 cell: features for linear models, the features of LaNAS, the tokens of SemiNAS.

The 27 tokens are those of SemiNAS (arXiv:2002.10389 and its released code). Column after column of the adjacency
matrix, vertex j from 1 to 6: a token for each entry (0, j), ..., (j - 1, j), then one for the operation of vertex j. In
a cell of n vertices the output is vertex n - 1, and the rest of the sequence is padding.

The released decoder never emits padding and may put the output anywhere or nowhere. Here the output ends the cell: only
padding follows, and the last vertex can be nothing else. So every legal sequence is a row, if maybe not a valid one.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common.spaces import nasbench101_graphs as graphs

_CONV1X1, _CONV3X3 = 0, 1
_MAX_PATHS = 8  # from input to output, over all cells
PADDING, NO_EDGE, EDGE, FIRST_OPERATION, OUTPUT = 0, 1, 2, 3, 6
NUM_TOKENS, VOCABULARY_SIZE = 27, 7
_SIZE = graphs.NUM_VERTICES
_LAST = _SIZE - 1
# Where each vertex but the input has its operation; the entries of its column stand before it.
OPERATION_AT = np.cumsum(np.arange(2, _SIZE + 1)) - 1  # 1, 4, 8, 13, 19, 26
_COLUMN = np.searchsorted(OPERATION_AT, np.arange(NUM_TOKENS)) + 1  # the vertex that each position is about
_SOURCE = np.arange(NUM_TOKENS) - (OPERATION_AT[_COLUMN - 1] - _COLUMN)  # the entry's row; the vertex itself at the end
_IS_OPERATION = _SOURCE == _COLUMN


def features(archs: chex.Array) -> chex.Array:
    """Returns float32[B, 64], every column in [0, 1], of canonical rows int32[B, 26].

    Columns from 36 on are invariant to the numbering of vertices.

    | columns | contents | divided by |
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
    archs = graphs.prune(archs)
    edges, operations = graphs.split(archs)
    kept = graphs.is_kept(edges)
    one_hot = jax.nn.one_hot(operations, graphs.NUM_OPERATIONS) * kept[:, 1:-1, None]
    adjacency = _adjacency(edges)
    # Kinds of vertex: input, the three operations, output; a missing vertex is of none.
    kinds = jnp.zeros((*kept.shape, 5)).at[:, 1:-1, 1:-1].set(one_hot).at[:, 0, 0].set(1.0).at[:, -1, -1].set(1.0)
    between = jnp.einsum("buk,buv,bvl->bkl", kinds, adjacency, kinds)[:, :-1, 1:].reshape(-1, 16)
    columns = [
        edges.astype(jnp.float32),
        one_hot.reshape(-1, 15),
        jnp.delete(between, 3, axis=1, assume_unique_indices=True) / graphs.MAX_EDGES,
        jnp.sum(one_hot, axis=1) / graphs.NUM_INNER,
        jnp.sum(kept, axis=1, keepdims=True) / graphs.NUM_VERTICES,
        jnp.sum(edges, axis=1, keepdims=True) / graphs.MAX_EDGES,
        jnp.sum(adjacency[:, 0], axis=1, keepdims=True) / _LAST,
        jnp.sum(adjacency[:, :, _LAST], axis=1, keepdims=True) / _LAST,
        _paths(adjacency, kinds[..., 1:-1]),
    ]
    return jnp.concatenate(columns, axis=1)


def lanas_features(archs: chex.Array) -> chex.Array:
    """Returns float32[B, 49], the features of LaNAS' authors, of valid rows int32[B, 26].

    The adjacency matrix of the n vertices that remain after pruning, flattened row by row at its own width n; zeros up
    to 42 places. Then the vertices: input -1, output 1, conv3x3 0.5, missing 0. The values of the other operations were
    never published; here conv1x1 is -0.5 and maxpool 0.25.
    """
    edges, operations = graphs.split(graphs.prune(archs))
    kept = graphs.is_kept(edges)
    rank = jnp.cumsum(kept, axis=1) - 1
    num_vertices = jnp.sum(kept, axis=1, keepdims=True)
    at = rank[:, graphs.SOURCES] * num_vertices + rank[:, graphs.TARGETS]
    batch = jnp.arange(archs.shape[0])[:, None]
    # Edges and vertices that pruning dropped add a zero wherever they land.
    flat = jnp.zeros((archs.shape[0], 42)).at[batch, at].add(edges.astype(jnp.float32), mode="drop")
    inner = jnp.array([-0.5, 0.5, 0.25])[operations]
    values = jnp.pad(inner, ((0, 0), (1, 1)), constant_values=((0, 0), (-1.0, 1.0)))
    labels = jnp.zeros((archs.shape[0], 7)).at[batch, rank].add(values * kept)
    return jnp.concatenate([flat, labels], axis=1)


def _adjacency(edges: chex.Array) -> chex.Array:
    """Adjacency float32[B, 7, 7] of edge bits [B, 21]."""
    empty = jnp.zeros((edges.shape[0], _SIZE, _SIZE))
    return empty.at[:, graphs.SOURCES, graphs.TARGETS].set(edges.astype(jnp.float32))


def _paths(adjacency: chex.Array, operations: chex.Array) -> chex.Array:
    """Columns 58 to 63, float32[B, 6], of adjacency [B, 7, 7] and one-hot operations [B, 7, 3]."""
    conv3x3 = operations[..., _CONV3X3]
    convolutions = conv3x3 + operations[..., _CONV1X1]
    one = jnp.ones_like(conv3x3)
    # Each is the largest sum, over paths, of the weights of the vertices after the input.
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


def tokens(archs: chex.Array) -> chex.Array:
    """Returns int32[B, 27], the tokens of valid rows int32[B, 26], pruned and without gaps between vertices."""
    edges, operations = graphs.split(graphs.prune(archs))
    matrix = _adjacency(edges).astype(jnp.int32)
    ends = jnp.full((archs.shape[0], 1), OUTPUT - FIRST_OPERATION, operations.dtype)  # the input's is never read
    labels = jnp.concatenate([ends, operations, ends], axis=1) + FIRST_OPERATION
    kept = graphs.is_kept(edges)
    order = jnp.argsort(~kept, axis=1, stable=True)
    labels = jnp.take_along_axis(labels, order, axis=1)[:, _COLUMN]
    matrix = jnp.take_along_axis(matrix, order[:, :, None], axis=1)
    entries = jnp.take_along_axis(matrix, order[:, None, :], axis=2)[:, _SOURCE, _COLUMN] + NO_EDGE
    written = jnp.where(_IS_OPERATION[None], labels, entries)
    num_kept = jnp.sum(kept, axis=1, keepdims=True)
    return jnp.where(_COLUMN[None] < num_kept, written, PADDING).astype(jnp.int32)


def from_tokens(tokens: chex.Array) -> chex.Array:
    """Returns int32[B, 26], the rows of legal sequences int32[B, 27], not pruned and maybe not canonical."""
    labels = tokens[:, OPERATION_AT]  # [B, 6], of vertices 1 to 6
    output = 1 + jnp.argmax(labels == OUTPUT, axis=1)[:, None]  # [B, 1], which vertex is the output
    matrix = jnp.zeros((tokens.shape[0], _SIZE, _SIZE), jnp.int32)
    matrix = matrix.at[:, _SOURCE, _COLUMN].set(tokens == EDGE)
    to_output = jnp.take_along_axis(matrix, output[:, :, None], axis=2)
    inner = matrix[:, graphs.SOURCES, graphs.TARGETS] * (graphs.TARGETS[None] < output)
    last = to_output[:, graphs.SOURCES, 0] * (graphs.SOURCES[None] < output)
    edges = jnp.where(graphs.TARGETS[None] == _LAST, last, inner)
    operations = jnp.clip(labels[:, :-1] - FIRST_OPERATION, 0, graphs.NUM_OPERATIONS - 1)
    operations = operations * (np.arange(1, _LAST)[None] < output)
    return jnp.concatenate([edges, operations], axis=1).astype(jnp.int32)


def legal_tokens() -> np.ndarray:
    """Returns bool[27, 7, 7], see `common.types.SearchSpace`."""
    legal = np.zeros((NUM_TOKENS, VOCABULARY_SIZE, VOCABULARY_SIZE), bool)
    legal[~_IS_OPERATION, :, NO_EDGE : EDGE + 1] = True
    legal[_IS_OPERATION, :, FIRST_OPERATION : OUTPUT + 1] = True
    legal[OPERATION_AT[-1], :, FIRST_OPERATION:OUTPUT] = False
    for position, previous in ((slice(1, None), PADDING), (slice(None), OUTPUT)):
        legal[position, previous, :] = np.arange(VOCABULARY_SIZE) == PADDING
    return legal
