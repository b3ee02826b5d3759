"""The first half of a layered drawing: which layer each vertex is in, and the order within layers.

After Sugiyama, Tagawa and Toda (1981): layers by longest paths, edges over several layers cut at *bends*, and
sweeps that put each item at the barycenter of its neighbours as long as crossings become fewer. All long edges
from one vertex share their bends, so that they run as one line that branches.
"""

import dataclasses
import itertools
import random
from collections.abc import Sequence

_NUM_SWEEPS = 8
_NUM_STARTS = 24  # from as many random orders, where the one of the graph leaves crossings


@dataclasses.dataclass(frozen=True)
class Layering:
    """Items, which are vertices and bends, in layers.

    Attributes:
      layers: the items of each layer from top to bottom. Vertices are numbered as in the graph, bends from
        there on.
      owner: of each item the vertex that it is or whose edges bend there.
      edges: pairs of items in neighbouring layers, from left to right.
    """

    layers: tuple[tuple[int, ...], ...]
    owner: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]


def layering(reads: Sequence[Sequence[int]]) -> Layering:
    """Returns the layering of a graph with few crossings.

    Args:
      reads: of each vertex the vertices before it that it reads.
    """
    ranks = _ranks(reads)
    owner, rank_of, edges = _cut(reads, ranks)
    start = [[item for item in range(len(owner)) if rank_of[item] == rank] for rank in range(max(ranks) + 1)]
    best = _sweep(start, edges)
    draws = random.Random(0)
    for _ in range(_NUM_STARTS):
        if num_crossings(best, edges) == 0:
            break
        shuffled = [sorted(layer, key=lambda _: draws.random()) for layer in start]
        best = min(best, _sweep(shuffled, edges), key=lambda layers: num_crossings(layers, edges))
    if best[0].index(0) >= len(best[0]) / 2:  # the same upside down, with the first input above the others
        best = [layer[::-1] for layer in best]
    return Layering(tuple(map(tuple, best)), tuple(owner), tuple(edges))


def num_crossings(layers: Sequence[Sequence[int]], edges: Sequence[tuple[int, int]]) -> int:
    """Returns how many pairs of edges cross; those with a common end do not."""
    place = {item: at for layer in layers for at, item in enumerate(layer)}
    crossings = 0
    for layer in layers:
        here = set(layer)
        spans = [(place[source], place[target]) for source, target in edges if source in here]
        crossings += sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for a, b in itertools.combinations(spans, 2))
    return crossings


def _ranks(reads: Sequence[Sequence[int]]) -> list[int]:
    """Returns the layer of each vertex: its longest path from a source, or later where that makes edges shorter."""
    ranks = []
    for sources in reads:
        ranks.append(1 + max((ranks[source] for source in sources), default=-1))
    ranks[-1] = max(ranks)  # the output stands last even where it reads nothing deep
    readers = [[reader for reader, sources in enumerate(reads) if vertex in sources] for vertex in range(len(reads))]
    for vertex in reversed(range(len(reads))):
        if reads[vertex] and readers[vertex]:
            latest = min(ranks[reader] for reader in readers[vertex]) - 1
            choices = ([*ranks[:vertex], rank, *ranks[vertex + 1 :]] for rank in range(ranks[vertex], latest + 1))
            ranks = min(choices, key=lambda ranks: _length(ranks, readers))
    return ranks


def _length(ranks: list[int], readers: list[list[int]]) -> int:
    """Returns the number of layers that the lines of all vertices pass, each as far as its last reader."""
    return sum(max(ranks[reader] for reader in those) - ranks[vertex] for vertex, those in enumerate(readers) if those)


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


def _sweep(layers: list[list[int]], edges: list[tuple[int, int]]) -> list[list[int]]:
    """Returns the layers in the best order that sweeps and exchanges of neighbours find."""
    best, fewest = layers, num_crossings(layers, edges)
    for sweep in range(_NUM_SWEEPS):
        layers = _exchange(_towards_neighbours(layers, edges, is_forward=sweep % 2 == 0), edges)
        crossings = num_crossings(layers, edges)
        if crossings < fewest:
            best, fewest = layers, crossings
    return best


def _towards_neighbours(layers: list[list[int]], edges: list[tuple[int, int]], *, is_forward: bool) -> list[list[int]]:
    """Returns the layers with each sorted by the mean place of the items before (forward) or after it."""
    layers = [list(layer) for layer in layers]
    order = range(1, len(layers)) if is_forward else range(len(layers) - 2, -1, -1)
    neighbours: dict[int, list[int]] = {}
    for source, target in edges:
        item, other = (target, source) if is_forward else (source, target)
        neighbours.setdefault(item, []).append(other)
    for rank in order:
        beside = layers[rank - 1 if is_forward else rank + 1]
        place = {item: (at + 0.5) / len(beside) for at, item in enumerate(beside)}
        own = {item: (at + 0.5) / len(layers[rank]) for at, item in enumerate(layers[rank])}
        keys = {}
        for item in layers[rank]:
            near = [place[other] for other in neighbours.get(item, ())]
            keys[item] = sum(near) / len(near) if near else own[item]
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
