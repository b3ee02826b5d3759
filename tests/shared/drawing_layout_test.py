"""Steps of a layered drawing by hand and against exhaustive search."""

import itertools
import math
import random
import unittest.mock

import pytest
from absl.testing import parameterized

from common.drawing import layout


def edges_of(plan):
    """Returns the (vertex, reader) pairs that the edges of a layering stand for, by following their bends."""
    num_vertices = next((at for at, owner in enumerate(plan.owner) if owner != at), len(plan.owner))
    return sorted((plan.owner[source], target) for source, target in plan.edges if target < num_vertices)


def fewest_crossings(plan):
    """Returns the least crossings of any order of the layers."""
    orders = itertools.product(*(itertools.permutations(layer) for layer in plan.layers))
    return min(layout.num_crossings(layers, plan.edges) for layers in orders)


class LayeringTest(parameterized.TestCase):
    def test_crossings_by_hand(self):
        layers, edges = [[0, 1, 2], [3, 4, 5]], [(0, 4), (1, 3), (2, 3), (2, 5)]
        assert layout.num_crossings(layers, edges) == 2
        assert layout.num_crossings([[0, 1, 2], [4, 3, 5]], edges) == 0

    @parameterized.parameters(
        # A long edge bends in every layer that it passes; the long edges of one vertex share their bends.
        ([[], [0], [1], [0, 2]], {(0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 3)}),
        ([[], [0], [0, 1], [0, 2]], {(0, 1), (1, 2), (2, 3), (0, 4), (4, 2), (4, 5), (5, 3)}),
    )
    def test_bends_by_hand(self, reads, edges):
        plan = layout.layering(reads)
        assert (sorted(map(len, plan.layers)), plan.owner) == ([1, 1, 2, 2], (0, 1, 2, 3, 0, 0))
        assert set(plan.edges) == edges

    @parameterized.parameters(*range(8))
    def test_at_random(self, seed):
        draw = random.Random(seed)
        reads = [[source for source in range(target) if draw.random() < 0.45] for target in range(6)]
        plan = layout.layering(reads)
        assert edges_of(plan) == sorted((source, target) for target, those in enumerate(reads) for source in those)
        assert sorted(itertools.chain(*plan.layers)) == list(range(len(plan.owner)))
        rank_of = {item: rank for rank, layer in enumerate(plan.layers) for item in layer}
        assert all(rank_of[target] == rank_of[source] + 1 for source, target in plan.edges)
        if math.prod(math.factorial(len(layer)) for layer in plan.layers) <= 3000:
            assert layout.num_crossings(plan.layers, plan.edges) == fewest_crossings(plan)


def heights(layers, extents, links, gap):
    return layout.heights(tuple(map(tuple, layers)), tuple(extents), tuple(itertools.starmap(layout.Link, links)), gap)


class HeightsTest(parameterized.TestCase):
    @parameterized.parameters(
        # a chain is level
        ([[0], [1], [2]], [10, 30, 10], [(0, 1, 0.0, 0), (1, 2, 0.0, 0)], [15, 15, 15]),
        # edges run level into their ports
        ([[0, 1], [2]], [10, 10, 60], [(0, 2, -20.0, 0), (1, 2, 20.0, 0)], [10, 50, 30]),
        # neighbours keep their distance, one line is level
        ([[0, 1], [2]], [10, 20, 10], [(0, 2, 0.0, 0), (1, 2, 0.0, 0)], [5, 25, 5]),
        # the line with a bend is level
        ([[0, 1], [2]], [10, 20, 10], [(0, 2, 0.0, 0), (1, 2, 0.0, 1)], [5, 25, 25]),
        # a line that arrives 30 above the middle
        ([[0, 1], [2], [3]], [10, 20, 70, 10], [(1, 2, 0.0, 0), (2, 3, -30.0, 0)], [5, 35, 35, 65]),
        # nothing to align
        ([[0, 1]], [10, 10], [], [5, 20]),
        ([[0]], [10], [], [5]),
    )
    def test_by_hand(self, layers, extents, links, expected):
        assert heights(layers, extents, links, 5.0) == expected

    @parameterized.parameters(*range(10))
    def test_at_random(self, seed):
        generator = random.Random(seed)
        layers, item = [], 0
        for size in generator.choices(range(1, 6), k=5):
            layers.append(list(range(item, item + size)))
            item += size
        extents = [generator.choice((0.0, 26.0, 70.0)) for _ in range(item)]
        links = [
            (generator.choice(before), target, generator.uniform(-10, 10), generator.randint(0, 2))
            for before, layer in itertools.pairwise(layers)
            for target in layer
        ]
        found = heights(layers, extents, links, 14.0)
        assert min(height - extent / 2 for height, extent in zip(found, extents)) == pytest.approx(0.0, abs=1e-3)
        for high, low in itertools.chain.from_iterable(map(itertools.pairwise, layers)):
            assert found[low] - found[high] >= (extents[low] + extents[high]) / 2 + 14.0 - 2e-3

    def test_large_graphs(self):
        """If the optimization stops early, heights are still feasible."""
        layers = [[3 * at, 3 * at + 1, 3 * at + 2] for at in range(4)]
        links = [(*ends, 0.0, 0) for pair in itertools.pairwise(layers) for ends in itertools.product(*pair)]
        with unittest.mock.patch.object(layout, "_MAX_NODES", 0):
            found = heights(layers, [10.0] * 12, links, 5.5)
        assert all(found[at + 1] - found[at] >= 15.4 for at in range(11) if at % 3 < 2)
