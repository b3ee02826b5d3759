"""The graphs of NAS-Bench-101: pruning, one row for each network, and the list of all of them.

The *code* of a row is its 21 edges read as binary digits, times 243, plus its 5 operations read as base-3 digits, less
than 2^29. Codes order as rows do. The canonical row of a network is the one with the largest code among all ways to
number its vertices in which edges point forwards, at most 5! = 120: exact, where the benchmark compares hashes.
"""

import functools
import itertools
import operator

import chex
import jax
import jax.numpy as jnp
import numpy as np

NUM_VERTICES = 7  # vertex 0 is the input, vertex 6 the output
NUM_INNER = NUM_VERTICES - 2
NUM_OPERATIONS = 3
MAX_EDGES = 9
EDGES = tuple(itertools.combinations(range(NUM_VERTICES), 2))  # (from, to), row by row
SOURCES, TARGETS = np.array(EDGES).T
NUM_EDGES = len(EDGES)
NUM_LABELLINGS = NUM_OPERATIONS**NUM_INNER

# A batch larger than this is canonicalized in parts: each row is compared with its 120 renumberings.
_CHUNK = 8192


def split(archs: chex.Array) -> tuple[chex.Array, chex.Array]:
    """Returns (edges [..., 21], operations [..., 5]) of rows [..., 26], NumPy or JAX."""
    return archs[..., :NUM_EDGES], archs[..., NUM_EDGES:]


def is_kept(edges: chex.Array) -> chex.Array:
    """Returns bool[..., 7]: which vertices lie on paths from input to output, of edges int[..., 21], NumPy or JAX."""
    has = {edge: edges[..., i] != 0 for i, edge in enumerate(EDGES)}
    is_any = functools.partial(functools.reduce, operator.or_)
    always = has[0, 1] | ~has[0, 1]
    reached, reaching = {0: always}, {NUM_VERTICES - 1: always}
    for v in range(1, NUM_VERTICES):
        reached[v] = is_any([reached[u] & has[u, v] for u in range(v)])
    for v in reversed(range(NUM_VERTICES - 1)):
        reaching[v] = is_any([has[v, w] & reaching[w] for w in range(v + 1, NUM_VERTICES)])
    return _numpy_of(edges).stack([reached[v] & reaching[v] for v in range(NUM_VERTICES)], axis=-1)


def prune(archs: chex.Array) -> chex.Array:
    """Returns the rows int[..., 26], NumPy or JAX, without edges and operations of vertices on no path to the output.

    As in the benchmark; the other vertices keep their places. A row whose output cannot be reached has no edges left.
    """
    edges, operations = split(archs)
    kept = is_kept(edges)
    edges = edges * (kept[..., SOURCES] & kept[..., TARGETS])
    return _numpy_of(archs).concatenate([edges, operations * kept[..., 1:-1]], axis=-1)


def is_valid(archs: chex.Array) -> chex.Array:
    """Returns bool[B]: the output can be reached, by at most 9 edges after pruning (arXiv:1902.09635, section 2.1)."""
    num_edges = jnp.sum(split(prune(archs))[0], axis=-1)
    return (num_edges > 0) & (num_edges <= MAX_EDGES)


def canonicalize(archs: chex.Array) -> chex.Array:
    """Returns int32[B, 26], equal for rows of int32[B, 26] that are the same network.

    The lexicographically largest row among all ways to number the vertices that remain after pruning, with edges
    pointing forwards; it has its missing vertices last.
    """
    if archs.shape[0] > _CHUNK:
        return jax.lax.map(lambda arch: canonicalize(arch[None])[0], archs, batch_size=_CHUNK)
    edges, operations = split(prune(archs))
    edge_weights, operation_weights = _renumbering_weights()
    # Exact in float32, even as products of bfloat16: weights have 7 bits at most, sums of edges fewer than 24.
    graph_codes = (edges.astype(jnp.float32) @ edge_weights).astype(jnp.int32)
    labellings = (operations.astype(jnp.float32) @ operation_weights).astype(jnp.int32)
    # A renumbering with an edge that points backwards has a negative code, which never wins.
    codes = jnp.maximum(graph_codes, -1) * NUM_LABELLINGS + labellings
    return _decode(jnp.max(codes, axis=1))


@functools.cache
def enumerate_rows() -> np.ndarray:
    """Returns int32[423624, 26], the canonical rows of all networks, in lexicographic order, read-only.

    Of each unlabelled graph those labellings with operations that no automorphism of the graph turns into a larger one.
    """
    graphs = _graphs()
    edge_weights, operation_weights = _renumbering_weights()
    edges = _digits(graphs, 2, NUM_EDGES)
    is_automorphism = edges.astype(np.float32) @ edge_weights == graphs[:, None]  # [G, 120]
    labellings = np.arange(NUM_LABELLINGS)
    operations = _digits(labellings, NUM_OPERATIONS, NUM_INNER)
    is_exceeded = operations.astype(np.float32) @ operation_weights > labellings[:, None]  # [243, 120]
    is_missing = ~is_kept(edges)[:, 1:-1]  # [G, 5]
    # Counts of objections to each labelling of each graph, as products of float32, which BLAS multiplies.
    objections = is_automorphism.astype(np.float32) @ is_exceeded.T.astype(np.float32)
    objections += is_missing.astype(np.float32) @ (operations > 0).T.astype(np.float32)
    graph, labelling = np.nonzero(objections == 0)
    rows = np.concatenate([edges[graph], operations[labelling]], axis=1).astype(np.int32)
    rows.flags.writeable = False
    return rows


def _graphs() -> np.ndarray:
    """Codes int[G] of the canonical graphs without operations, in rising order."""
    codes = np.arange(2**NUM_EDGES, dtype=np.int32)
    codes = codes[np.bitwise_count(codes) <= MAX_EDGES]
    edges = _digits(codes, 2, NUM_EDGES).astype(np.int8)
    kept = is_kept(edges)
    is_pruned = kept[:, 0] & np.all((edges == 0) | (kept[:, SOURCES] & kept[:, TARGETS]), axis=1)
    codes, edges = codes[is_pruned], edges[is_pruned].astype(np.float32)
    # One renumbering after another, so that most graphs are gone after the first few.
    for weights in _renumbering_weights()[0].T:
        is_largest = edges @ weights <= codes
        codes, edges = codes[is_largest], edges[is_largest]
    return codes


@functools.cache
def _renumbering_weights() -> tuple[np.ndarray, np.ndarray]:
    """Weights of each edge and operation in the code, under each renumbering of the inner vertices.

    float32[21, 120], the power of two of the edge's new place, or -2^21, which outweighs all places together, where it
    would point backwards; float32[5, 120], the power of three of the vertex's place.
    """
    place_of = {edge: i for i, edge in enumerate(EDGES)}
    edge_weights, operation_weights = [], []
    for inner in itertools.permutations(range(1, NUM_VERTICES - 1)):
        to = (0, *inner, NUM_VERTICES - 1)
        places = [place_of.get((to[u], to[v])) for u, v in EDGES]
        edge_weights.append([-(2.0**NUM_EDGES) if i is None else 2.0 ** (NUM_EDGES - 1 - i) for i in places])
        operation_weights.append([float(NUM_OPERATIONS) ** (NUM_INNER - v) for v in inner])
    return np.array(edge_weights, np.float32).T, np.array(operation_weights, np.float32).T


def _decode(codes: chex.Array) -> chex.Array:
    """Rows int32[B, 26] of codes int32[B]."""
    edges = _digits(codes // NUM_LABELLINGS, 2, NUM_EDGES)
    operations = _digits(codes % NUM_LABELLINGS, NUM_OPERATIONS, NUM_INNER)
    return jnp.concatenate([edges, operations], axis=1)


def _digits(numbers: chex.Array, base: int, count: int) -> chex.Array:
    """Digits int32[B, count] of int[B], the most significant first, NumPy or JAX."""
    return numbers[:, None] // (base ** np.arange(count)[None, ::-1]).astype(np.int32) % base


def _numpy_of(array: chex.Array):
    """NumPy for its own arrays, else JAX's."""
    return np if isinstance(array, np.ndarray) else jnp
