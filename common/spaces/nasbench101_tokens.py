"""NAS-Bench-101 cells as the 27 tokens of SemiNAS (arXiv:2002.10389 and its released code).

Column after column of the adjacency matrix, vertex j from 1 to 6: a token for each entry (0, j), ...,
(j - 1, j), then one for the operation of vertex j. In a cell of n vertices the output is vertex n - 1, and
what is left of the sequence is padding.

The released decoder never emits padding, so it writes only cells of 7 vertices, and it may put the output
anywhere or nowhere. Here the output may stand at every vertex and ends the cell: after it there is
padding alone, and the last vertex can be nothing else. So every legal sequence is a row; whether that row
is a cell of the benchmark, connected and with at most 9 edges, remains to `is_valid`.
"""

import chex
import jax.numpy as jnp
import numpy as np

from common.spaces import nasbench101_graphs

PADDING, NO_EDGE, EDGE, FIRST_OPERATION, OUTPUT = 0, 1, 2, 3, 6
NUM_TOKENS, VOCABULARY_SIZE = 27, 7
_SIZE = nasbench101_graphs.NUM_VERTICES
_LAST = _SIZE - 1
# Where each vertex but the input has its operation; the entries of its column stand before it.
OPERATION_AT = np.cumsum(np.arange(2, _SIZE + 1)) - 1  # 1, 4, 8, 13, 19, 26
_COLUMN = np.searchsorted(OPERATION_AT, np.arange(NUM_TOKENS)) + 1  # the vertex that each position is about
_SOURCE = np.arange(NUM_TOKENS) - (OPERATION_AT[_COLUMN - 1] - _COLUMN)  # the entry's row; the vertex itself at the end
_IS_OPERATION = _SOURCE == _COLUMN


def tokens(archs: chex.Array) -> chex.Array:
    """Returns int32[B, 27], the tokens of valid rows int32[B, 26], pruned and without gaps between vertices."""
    edges, operations = nasbench101_graphs.split(nasbench101_graphs.prune(archs))
    batch = archs.shape[0]
    matrix = jnp.zeros((batch, _SIZE, _SIZE), jnp.int32)
    matrix = matrix.at[:, nasbench101_graphs.SOURCES, nasbench101_graphs.TARGETS].set(edges)
    ends = jnp.full((batch, 1), OUTPUT - FIRST_OPERATION, operations.dtype)  # the input's is never read
    labels = jnp.concatenate([ends, operations, ends], axis=1) + FIRST_OPERATION
    kept = nasbench101_graphs.is_kept(edges)
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
    sources, targets = nasbench101_graphs.SOURCES, nasbench101_graphs.TARGETS
    inner = matrix[:, sources, targets] * (targets[None] < output)
    last = to_output[:, sources, 0] * (sources[None] < output)
    edges = jnp.where(targets[None] == _LAST, last, inner)
    operations = jnp.clip(labels[:, :-1] - FIRST_OPERATION, 0, nasbench101_graphs.NUM_OPERATIONS - 1)
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
