"""Layered drawing of a graph: the layer of each vertex, the order within layers, and heights.

After Sugiyama, Tagawa and Toda (1981): layers by longest paths, edges over several layers cut at *bends*, sweeps that
put each item at the barycenter of its neighbours, and exchanges of neighbours that undo crossings. All long edges from
one vertex share their bends, so that they run as one line that branches. Heights are those for which lines climb least
and most of them are level, the optimum of a mixed-integer program.
"""

import dataclasses
import functools
import itertools
import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize

_NUM_STARTS = 24  # random orders to improve, unless the order of the graph leads to no crossings
_WEIGHTS = (1.0, 2.0, 4.0)  # of an edge between two vertices, a vertex and a bend, two bends
_UNLEVEL = 6.0  # the climb that an edge that is not level counts in addition
_MAX_NODES = 200  # of the search of the optimum, which rarely takes more than one


@dataclasses.dataclass(frozen=True)
class Layering:
    """Items in layers: vertices, numbered as in the graph, and bends, numbered from there on."""

    layers: tuple[tuple[int, ...], ...]  # the items of each layer from top to bottom
    owner: tuple[int, ...]  # of each item the vertex that it is or whose edges bend there
    edges: tuple[tuple[int, int], ...]  # pairs of items in neighbouring layers, from left to right


class Link(NamedTuple):
    """An edge between neighbouring layers."""

    source: int  # item whose middle it leaves
    target: int  # item of the next layer
    offset: float  # where it arrives, below the middle of the target
    num_bends: int  # number of its ends that are bends


def layering(reads: Sequence[Sequence[int]]) -> Layering:
    """Returns the layering of a graph with few crossings; `reads` holds the earlier vertices that each vertex reads."""
    ranks = _ranks(reads)
    owner, rank_of, edges = _cut(reads, ranks)
    start = [[item for item in range(len(owner)) if rank_of[item] == rank] for rank in range(max(ranks) + 1)]
    best, fewest = start, num_crossings(start, edges)
    generator = random.Random(0)
    for attempt in range(_NUM_STARTS + 1):
        layers = [sorted(layer, key=lambda _: generator.random()) for layer in start] if attempt else start
        for is_forward in (True, False):
            layers = _exchange(_towards_neighbours(layers, edges, is_forward=is_forward), edges)
            crossings = num_crossings(layers, edges)
            if crossings < fewest:
                best, fewest = layers, crossings
        if not fewest:
            break
    if best[0].index(0) >= len(best[0]) / 2:  # upside down, with the first input above the others
        best = [layer[::-1] for layer in best]
    return Layering(tuple(map(tuple, best)), tuple(owner), tuple(edges))


def num_crossings(layers: Sequence[Sequence[int]], edges: Sequence[tuple[int, int]]) -> int:
    """Returns the number of pairs of edges that cross; edges with a common end do not."""
    place = {item: at for layer in layers for at, item in enumerate(layer)}
    crossings = 0
    for layer in layers:
        here = set(layer)
        spans = [(place[source], place[target]) for source, target in edges if source in here]
        crossings += sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for a, b in itertools.combinations(spans, 2))
    return crossings


@functools.lru_cache(maxsize=256)
def heights(
    layers: tuple[tuple[int, ...], ...], extents: tuple[float, ...], links: tuple[Link, ...], gap: float
) -> list[float]:
    """Returns the heights of the middles of all items, counted downwards from the uppermost border.

    The items of a layer have a distance of at least `gap` between their borders; `extents` are the sizes of items.
    """
    # Variables: the middles, and of each link its climb and whether it climbs at all.
    num_items, num_links, extent = len(extents), len(links), np.array(extents)
    pairs = [pair for layer in layers for pair in itertools.pairwise(layer)]
    apart = _differences([high for high, _ in pairs], [low for _, low in pairs], num_items)
    step = _differences([link.target for link in links], [link.source for link in links], num_items)
    climb, offset = np.eye(num_links), np.array([link.offset for link in links])
    highest = max(extent[list(layer)].sum() + gap * len(layer) for layer in layers)
    level = [[step, -climb, 0 * climb], [-step, -climb, 0 * climb], [0 * step, climb, -highest * climb]]
    rows = np.block([[apart, np.zeros((len(pairs), 2 * num_links))], *level])
    room = [-extent[list(pair)].sum() / 2 - gap for pair in pairs]
    weights = np.array([_WEIGHTS[link.num_bends] for link in links])
    lowest = np.concatenate([extent / 2, np.zeros(2 * num_links)])
    program = {  # 1e-3: of equal solutions the uppermost
        "c": np.concatenate([np.full(num_items, 1e-3), weights, _UNLEVEL * weights]),
        "bounds": optimize.Bounds(lowest, np.inf),
        "constraints": optimize.LinearConstraint(rows, ub=np.concatenate([room, -offset, offset, np.zeros(num_links)])),
        "options": {"node_limit": _MAX_NODES},
    }
    found = optimize.milp(integrality=np.repeat([0, 0, 1], [num_items, num_links, num_links]), **program)
    if found.x is None:  # too large: only the climbs
        found = optimize.milp(**program)
    return np.round(found.x[:num_items], 3).tolist()


def _differences(plus: Sequence[int], minus: Sequence[int], size: int) -> np.ndarray:
    """Returns float[n, size], the matrix of the differences of n pairs of `size` variables."""
    return np.eye(size)[list(plus)] - np.eye(size)[list(minus)]


def _ranks(reads: Sequence[Sequence[int]]) -> list[int]:
    """Returns the layer of each vertex: its longest path from a source, or later where that makes edges shorter."""
    ranks = []
    for sources in reads:
        ranks.append(1 + max((ranks[source] for source in sources), default=-1))
    ranks[-1] = max(ranks)  # the output is last even if it reads nothing deep
    readers = [[reader for reader, sources in enumerate(reads) if vertex in sources] for vertex in range(len(reads))]
    for vertex in reversed(range(len(reads))):
        if reads[vertex] and readers[vertex]:
            latest = min(ranks[reader] for reader in readers[vertex]) - 1
            choices = ([*ranks[:vertex], rank, *ranks[vertex + 1 :]] for rank in range(ranks[vertex], latest + 1))
            ranks = min(choices, key=lambda ranks: _length(ranks, readers))
    return ranks


def _length(ranks: list[int], readers: list[list[int]]) -> int:
    """Returns the number of layers that the lines of all vertices pass, each as far as its last reader."""
    return sum(max(ranks[reader] for reader in those) - rank for rank, those in zip(ranks, readers) if those)


def _cut(reads: Sequence[Sequence[int]], ranks: list[int]) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Returns owners and layers of all items, and the edges between them, each cut at every layer it passes."""
    owner, rank_of, edges = list(range(len(reads))), list(ranks), []
    bends: dict[tuple[int, int], int] = {}
    for target, sources in enumerate(reads):
        for source in sorted(set(sources)):
            at = source
            for rank in range(ranks[source] + 1, ranks[target]):
                if (source, rank) not in bends:
                    bends[source, rank] = len(owner)
                    owner.append(source)
                    rank_of.append(rank)
                    edges.append((at, bends[source, rank]))
                at = bends[source, rank]
            edges.append((at, target))
    return owner, rank_of, edges


def _towards_neighbours(layers: list[list[int]], edges: list[tuple[int, int]], *, is_forward: bool) -> list[list[int]]:
    """Returns the layers with each sorted by the mean place of the items before (forward) or after it."""
    layers = [list(layer) for layer in layers]
    order = range(1, len(layers)) if is_forward else range(len(layers) - 2, -1, -1)
    neighbours: dict[int, list[int]] = {}
    for source, target in edges:
        item, other = (target, source) if is_forward else (source, target)
        neighbours.setdefault(item, []).append(other)
    for rank in order:
        beside, keys = layers[rank - 1 if is_forward else rank + 1], {}
        for at, item in enumerate(layers[rank]):
            near = [(beside.index(other) + 0.5) / len(beside) for other in neighbours.get(item, ())]
            keys[item] = sum(near) / len(near) if near else (at + 0.5) / len(layers[rank])
        layers[rank].sort(key=keys.__getitem__)
    return layers


def _exchange(layers: list[list[int]], edges: list[tuple[int, int]]) -> list[list[int]]:
    """Returns the layers after exchanging neighbours for as long as that undoes crossings."""
    layers = [list(layer) for layer in layers]
    improved = True
    while improved:
        improved = False
        for rank, layer in enumerate(layers):
            near = layers[max(rank - 1, 0) : rank + 2]
            own = set(itertools.chain.from_iterable(near))
            touching = [(source, target) for source, target in edges if source in own and target in own]
            before = num_crossings(near, touching)
            for at in range(len(layer) - 1):
                layer[at], layer[at + 1] = layer[at + 1], layer[at]
                after = num_crossings(near, touching)
                if after < before:
                    before, improved = after, True
                else:
                    layer[at], layer[at + 1] = layer[at + 1], layer[at]
    return layers
