"""Lines made level: small steps taken out of a layered drawing.

Heights that are nearly best leave lines with steps of a pixel or two, which look like blemishes, since no item
can move alone without making another line worse. Here items move together.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

WEIGHTS = (1.0, 2.0, 4.0)  # of an edge between two vertices, a vertex and a bend, two bends
_NUM_PASSES = 20
_LEVEL = 1e-6  # steps below it are rounding
_FINE = 6.0  # the height against which a line that is not level counts


class Link(NamedTuple):
    """An edge to be kept level.

    Attributes:
      source: item whose middle it leaves.
      target: item of the next layer.
      offset: where it arrives, below the middle of the target.
      num_bends: how many of its ends are bends.
    """

    source: int
    target: int
    offset: float
    num_bends: int


class _Space(NamedTuple):
    """Two neighbours of a layer, the upper one first, and the least distance of their middles."""

    high: int
    low: int
    room: float


def levelled(
    layers: Sequence[Sequence[int]],
    middles: Sequence[float],
    links: Sequence[Link],
    extents: Sequence[float],
    gap: float,
) -> list[float]:
    """Returns better heights: moves an item, or what hangs together by level links, while that makes lines better.

    Args:
      layers: the items of each layer from top to bottom.
      middles: heights of the middles of all items, with room enough.
      links: edges between neighbouring layers.
      extents: of each item how high it is.
      gap: room that stays between the borders of two items.
    """
    spaces = [
        _Space(high, low, (extents[high] + extents[low]) / 2 + gap)
        for layer in layers
        for high, low in itertools.pairwise(layer)
    ]
    middles, badness = list(middles), _badness(links, middles)
    for _ in range(_NUM_PASSES):
        before = badness
        for link in sorted(links, key=lambda link: abs(_step(link, middles))):
            step = _step(link, middles)
            if abs(step) < _LEVEL:
                continue
            moves = [
                [height + way * (at in moving) for at, height in enumerate(middles)]
                for item, way in ((link.source, step), (link.target, -step))
                for moving in _candidates(item, way, links, middles, spaces)
            ]
            moved = min(moves, key=lambda moved: _badness(links, moved))
            if _badness(links, moved) < badness - _LEVEL:
                middles, badness = moved, _badness(links, moved)
        if badness == before:
            break
    return middles


def _candidates(
    item: int, way: float, links: Sequence[Link], middles: Sequence[float], spaces: Sequence[_Space]
) -> list[set[int]]:
    """Returns what may go down by `way`, or up: an item alone, with what hangs on it, with what hangs on all pushed."""
    hanging = _hanging({item}, links, middles)
    together, size = hanging, 0
    while len(together) > size:
        size = len(together)
        together = _hanging(_pushed(together, way, middles, spaces), links, middles)
    return [_pushed({item}, way, middles, spaces), _pushed(hanging, way, middles, spaces), together]


def _pushed(moving: set[int], way: float, middles: Sequence[float], spaces: Sequence[_Space]) -> set[int]:
    """Returns some items, and all those that are in their way when they go down by `way`, or up."""
    found, size = set(moving), 0
    while len(found) > size:
        size = len(found)
        for high, low, room in spaces:
            behind, front = (low, high) if way < 0 else (high, low)
            if behind in found and middles[low] - middles[high] - abs(way) < room - _LEVEL:
                found.add(front)
    return found


def _step(link: Link, middles: Sequence[float]) -> float:
    """Returns how far the source of a link must go down for the link to be level."""
    return middles[link.target] + link.offset - middles[link.source]


def _hanging(items: set[int], links: Sequence[Link], middles: Sequence[float]) -> set[int]:
    """Returns some items and all that hang on them by level links."""
    found, size = set(items), 0
    while len(found) > size:
        size = len(found)
        for link in links:
            if abs(_step(link, middles)) < _LEVEL and (link.source in found or link.target in found):
                found |= {link.source, link.target}
    return found


def _badness(links: Sequence[Link], middles: Sequence[float]) -> float:
    """Returns the sum of the heights that lines climb, with a fine for each that is not level."""
    steps = ((abs(_step(link, middles)), WEIGHTS[link.num_bends]) for link in links)
    return sum(weight * (step + _FINE) for step, weight in steps if step >= _LEVEL)
