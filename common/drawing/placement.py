"""The second half of a layered drawing: heights of the items of each layer, in the order that they have.

The heights minimise the weighted distances of neighbours, with room between the items of a layer. Layer after
layer, isotonic regression gives the best heights while those of all other layers stay; weights that shrink with
distance turn the squares that it minimises into plain distances, under which lines run straight or bend once.
"""

import itertools
from collections.abc import Sequence

from common.drawing import levelling

_NUM_SWEEPS = 200
# Distances shorter than this are squared: first all of them, in the end hardly any.
_FAR, _SHRINKS, _NEAR = 1000.0, 0.94, 1.0


def heights(
    layers: Sequence[Sequence[int]], extents: Sequence[float], links: Sequence[levelling.Link], gap: float
) -> list[float]:
    """Returns the heights of the middles of all items, counted downwards from the uppermost border.

    Args:
      layers: the items of each layer from top to bottom.
      extents: of each item how high it is.
      links: edges between neighbouring layers.
      gap: room that stays between the borders of two items.
    """
    middles = [0.0] * len(extents)
    for layer in layers:
        spaced = _isotonic([0.0] * len(layer), [1.0] * len(layer), _separations(layer, extents, gap))
        for item, height in zip(layer, spaced, strict=True):
            middles[item] = height
    touching: list[list[tuple[int, float, float]]] = [[] for _ in extents]
    for source, target, offset, num_bends in links:
        weight = levelling.WEIGHTS[num_bends]
        touching[source].append((target, offset, weight))
        touching[target].append((source, -offset, weight))
    for sweep in range(_NUM_SWEEPS):
        near = max(_NEAR, _FAR * _SHRINKS**sweep)
        forward = range(len(layers))
        for rank in forward if sweep % 2 == 0 else reversed(forward):
            _settle(layers[rank], middles, touching, _separations(layers[rank], extents, gap), near)
    middles = levelling.levelled(layers, middles, links, extents, gap)
    top = min(middle - extent / 2 for middle, extent in zip(middles, extents, strict=True))
    return [middle - top for middle in middles]


def _settle(
    layer: Sequence[int],
    middles: list[float],
    touching: Sequence[Sequence[tuple[int, float, float]]],
    separations: Sequence[float],
    near: float,
) -> None:
    """Moves the items of a layer to where they are nearest to their neighbours."""
    wanted, weights = [], []
    for item in layer:
        total, moment = 1e-9, 1e-9 * middles[item]  # those without neighbours stay
        for other, offset, weight in touching[item]:
            aim = middles[other] + offset
            pull = weight / (near + abs(middles[item] - aim))
            total += pull
            moment += pull * aim
        wanted.append(moment / total)
        weights.append(total)
    for item, height in zip(layer, _isotonic(wanted, weights, separations), strict=True):
        middles[item] = height


def _separations(layer: Sequence[int], extents: Sequence[float], gap: float) -> list[float]:
    """Returns the least distances between the middles of the neighbours in a layer."""
    return [(extents[above] + extents[below]) / 2 + gap for above, below in itertools.pairwise(layer)]


def _isotonic(wanted: Sequence[float], weights: Sequence[float], separations: Sequence[float]) -> list[float]:
    """Returns the heights nearest to the wanted ones, in weighted squares, that are as far apart as asked."""
    shifts = [0.0]
    for separation in separations:
        shifts.append(shifts[-1] + separation)
    blocks: list[tuple[float, float, int]] = []  # of neighbours pooled: mean, weight, how many
    for height, weight, shift in zip(wanted, weights, shifts):
        mean, size = height - shift, 1
        while blocks and blocks[-1][0] > mean:
            above, above_weight, above_size = blocks.pop()
            mean = (above * above_weight + mean * weight) / (above_weight + weight)
            weight, size = weight + above_weight, size + above_size
        blocks.append((mean, weight, size))
    pooled = [mean for mean, _, size in blocks for _ in range(size)]
    return [mean + shift for mean, shift in zip(pooled, shifts)]
