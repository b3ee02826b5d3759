"""NAS-Bench-101: cells of at most 7 vertices and 9 edges with an operation at each vertex (arXiv:1902.09635).

A row of 26 decisions: the 21 edge bits of a cell of 7 vertices in the order of `nasbench101_graphs.EDGES`, then the
operations of vertices 1 to 5. Vertex 0 is the input, vertex 6 the output. A smaller cell is one whose other vertices
are on no path from input to output. Of the 2^21 * 3^5 rows 73 % are valid, and these are 423,624 networks.

`sample` includes each edge with probability 1/2 and rejects invalid rows, as the benchmark's own random search does.
0.3 % of the samples have 7 vertices, but 85 % of all networks: to sample these uniformly, sample rows of `enumerate()`.
"""

from collections.abc import Callable, Sequence

import chex
import jax.numpy as jnp
import numpy as np

from common import types
from common.spaces import factory, nasbench101_encodings, nasbench101_graphs

OPERATIONS = ("conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3")
INPUT, OUTPUT = "input", "output"
MAX_EDGES, MAX_VERTICES = nasbench101_graphs.MAX_EDGES, nasbench101_graphs.NUM_VERTICES
_LAST = MAX_VERTICES - 1


def space(
    name: str = "nasbench101", features: Callable[[chex.Array], chex.Array] = nasbench101_encodings.features
) -> types.SearchSpace:
    """Returns the space: 21 edge bits, then 5 operations with the ids of `OPERATIONS`."""
    num_choices = (2,) * nasbench101_graphs.NUM_EDGES + (len(OPERATIONS),) * nasbench101_graphs.NUM_INNER
    return factory.search_space(
        name,
        num_choices,
        size=423_624,
        describe=describe,
        is_valid=nasbench101_graphs.is_valid,
        canonicalize=nasbench101_graphs.canonicalize,
        features=features,
        tokens=nasbench101_encodings.tokens,
        from_tokens=nasbench101_encodings.from_tokens,
        legal_tokens=nasbench101_encodings.legal_tokens(),
        neighbors=_neighbors(num_choices),
        enumerate_rows=nasbench101_graphs.enumerate_rows,
    )


def codes() -> types.SearchSpace:
    """Returns the space of all 2^21 * 3^5 rows, valid or not, each an architecture of its own, with LaNAS' features.

    The space of LaNAS' and AlphaX's paper, with 509,607,936 codes for 423,624 networks (arXiv:1906.06832).
    """
    made = factory.product("nasbench101_codes", space().num_choices)
    return made._replace(features=nasbench101_encodings.lanas_features)


def to_matrix(arch: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Returns the pruned cell of one row (26,), as NAS-Bench-101 writes it.

    Returns:
      int[n, n] strictly upper triangular adjacency of the n vertices on paths from input to output, and their n
      operations, the first `input`, the last `output`.
    """
    edges, operations = nasbench101_graphs.split(np.asarray(arch))
    kept = np.flatnonzero(nasbench101_graphs.is_kept(edges))
    adjacency = np.zeros((MAX_VERTICES, MAX_VERTICES), int)
    adjacency[nasbench101_graphs.SOURCES, nasbench101_graphs.TARGETS] = edges
    names = [INPUT, *(OPERATIONS[operation] for operation in operations), OUTPUT]
    return adjacency[np.ix_(kept, kept)], [names[v] for v in kept]


def from_matrix(adjacency: np.ndarray, operations: Sequence[str]) -> np.ndarray:
    """Returns int32[26], the row of a cell as NAS-Bench-101 writes it.

    Vertices keep their order and are not pruned, so the row is valid but maybe not canonical.

    Args:
      adjacency: integer [n, n], strictly upper triangular zeros and ones, 2 <= n <= 7.
      operations: n names, the first `input`, the last `output`, the others of `OPERATIONS`.

    Raises:
      ValueError: if it is not a cell of the benchmark.
    """
    adjacency = np.asarray(adjacency)
    _check_form(adjacency, operations)
    row = np.zeros(nasbench101_graphs.NUM_EDGES + nasbench101_graphs.NUM_INNER, np.int32)
    size = len(adjacency)
    places = [*range(size - 1), _LAST]
    for source, target in zip(*np.nonzero(adjacency), strict=True):
        row[nasbench101_graphs.EDGES.index((places[source], places[target]))] = 1
    for vertex in range(1, size - 1):
        row[nasbench101_graphs.NUM_EDGES + vertex - 1] = OPERATIONS.index(operations[vertex])
    num_edges = nasbench101_graphs.split(nasbench101_graphs.prune(row))[0].sum()
    if num_edges == 0:
        raise ValueError("adjacency has no path from the input to the output; connect them")
    if num_edges > MAX_EDGES:
        raise ValueError(
            f"adjacency has {num_edges} edges after pruning; NAS-Bench-101 allows at most {MAX_EDGES}: remove some"
        )
    return row


def describe(arch: np.ndarray) -> str:
    """Returns a text of one row (26,), such as `1=maxpool3x3(input) output(input,1)`."""
    adjacency, operations = to_matrix(arch)
    names = [INPUT, *map(str, range(1, len(operations) - 1)), OUTPUT]
    parts = []
    for v in range(1, len(operations)):
        inputs = ",".join(names[u] for u in np.flatnonzero(adjacency[:, v]))
        parts.append(f"{OUTPUT if v == len(operations) - 1 else f'{v}={operations[v]}'}({inputs})")
    return " ".join(parts)


def _check_form(adjacency: np.ndarray, operations: Sequence[str]) -> None:
    """Raises a `ValueError` unless the arguments have the form of a cell, connected or not."""
    size = len(operations)
    if not 2 <= size <= MAX_VERTICES or adjacency.shape != (size, size):
        raise ValueError(
            f"adjacency must be n x n and operations n names, n from 2 to {MAX_VERTICES}; "
            f"got an adjacency of shape {adjacency.shape} and {size} operations"
        )
    if not np.isin(adjacency, (0, 1)).all():
        raise ValueError(f"adjacency must hold zeros and ones; got {np.unique(adjacency).tolist()}")
    if np.tril(adjacency).any():
        source, target = (int(v[0]) for v in np.nonzero(np.tril(adjacency)))
        raise ValueError(
            f"adjacency must be strictly upper triangular; got an edge from vertex {source} to vertex {target}"
        )
    if operations[0] != INPUT or operations[-1] != OUTPUT:
        raise ValueError(f"operations must begin with {INPUT!r} and end with {OUTPUT!r}; got {list(operations)}")
    for vertex, name in enumerate(operations[1:-1], start=1):
        if name not in OPERATIONS:
            raise ValueError(f"unknown operation {name!r} at vertex {vertex}; choose one of {', '.join(OPERATIONS)}")


def _neighbors(num_choices: tuple[int, ...]) -> Callable[[chex.Array], tuple[chex.Array, chex.Array]]:
    """One changed decision, or one more vertex with an edge to it and one from it: K = 21 + 5 * 2 + 45."""
    steps = np.array([(at, step) for at, n in enumerate(num_choices) for step in range(1, n)])
    changes = np.eye(len(num_choices), dtype=np.int32)[steps[:, 0]] * steps[:, 1:]  # [31, 26]
    choices = _insertions()

    def neighbors(archs):
        archs = nasbench101_graphs.canonicalize(archs)  # so that missing vertices are last
        batch, length = archs.shape
        changed = (archs[:, None, :] + changes[None]) % np.array(num_choices)[None, None]
        constants = jnp.broadcast_to(jnp.arange(len(OPERATIONS), dtype=archs.dtype)[None], (batch, len(OPERATIONS)))
        grown = jnp.concatenate([archs, constants], axis=1)[:, choices]
        around = jnp.concatenate([changed, grown], axis=1).astype(archs.dtype).reshape(-1, length)
        is_new = nasbench101_graphs.is_valid(around).reshape(batch, -1)
        around = nasbench101_graphs.canonicalize(around).reshape(batch, -1, length)
        is_new &= jnp.any(around != archs[:, None, :], axis=-1)
        has_room = ~nasbench101_graphs.is_kept(archs[:, : nasbench101_graphs.NUM_EDGES])[:, _LAST - 1]
        needs_room = np.arange(is_new.shape[1]) >= len(changes)
        return around, is_new & (has_room[:, None] | ~needs_room[None])

    return neighbors


def _insertions() -> np.ndarray:
    """Ways to add a vertex with one edge from `source` and one to `target`, where vertex 5 is missing.

    int[45, 26]: for each decision of the new row, the column to copy from an old row to which the constants 0, 1 and 2
    (an operation; no edge, an edge) are appended.
    """
    length = nasbench101_graphs.NUM_EDGES + nasbench101_graphs.NUM_INNER
    index = {edge: i for i, edge in enumerate(nasbench101_graphs.EDGES)}
    choices = []
    for source in range(_LAST - 1):
        new = source + 1  # the vertices from here on move up by one, the output stays
        old = [v if v < new or v == _LAST else v - 1 for v in range(MAX_VERTICES)]
        for target in (*range(new + 1, _LAST), _LAST):
            edges = [
                length + ((u, v) in ((source, new), (new, target))) if new in (u, v) else index[old[u], old[v]]
                for u, v in nasbench101_graphs.EDGES
            ]
            labels = [nasbench101_graphs.NUM_EDGES + old[v] - 1 for v in range(1, _LAST)]
            for operation in range(len(OPERATIONS)):
                choices.append([*edges, *labels[: new - 1], length + operation, *labels[new:]])
    return np.array(choices)
